# Everything that a person or CI types. Each target sets up what it needs; only Python 3.11 to 3.13,
# make and git are assumed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One thread a process: on two cores, more threads than cores cost more than they bring.
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 0

.PHONY: install quickstart test test-slow bench check format schema clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

## Train and interpolate real models on synthetic languages; figures in results/quickstart/figures.
quickstart: $(VENV)/.installed
	$(BIN)/python -m xltray.sweep sweeps/quickstart.yaml
	$(BIN)/python -m analysis results/quickstart

## All tests that take seconds.
test: $(VENV)/.installed
	$(BIN)/python -m pytest

## Tests that start clusters and run whole sweeps.
test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

## How fast points are scored, against other code (benchmarks/README.md); mostly one core, minutes.
bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

## Style, types, layers.
check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## Files generated from the code.
schema: $(VENV)/.installed
	$(BIN)/python -m xltray.sweepfile > sweeps/schema.json
	$(BIN)/python -c "from xltray.schemas import data_dictionary; print(data_dictionary(), end='')" > docs/data-dictionary.md

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
