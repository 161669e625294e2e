"""The README's promises: links lead somewhere, commands exist, its examples run."""

import importlib.util
import re
from pathlib import Path

import pytest

from xltray.started import write_plan
from xltray.sweepfile import load_sweep

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text()


def blocks() -> list[str]:
    """Return the indented blocks, without their indentation."""
    found = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", README, flags=re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip() for block in found]


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(link):
    assert link.startswith("https://") or (REPOSITORY / link).exists()


def test_commands_exist():
    modules = set(re.findall(r"python -m (\S+)", README))
    assert {"xltray.sweep", "xltray.status", "xltray.data", "analysis"} <= modules
    for module in modules:
        assert importlib.util.find_spec(module) is not None, module
    for path in re.findall(r"\bsweeps/[\w-]+\.(?:yaml|json)", README):
        assert (REPOSITORY / path).is_file(), path
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"(?:`|^ {4})make ([\w-]+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile, target


def test_every_module_of_the_map_exists():
    (tree,) = (block for block in blocks() if block.startswith("xltray/\n"))
    named = re.findall(r"\b([a-z_]+\.py)\b", tree)
    there = {path.name for path in (REPOSITORY / "xltray").rglob("*.py")}
    assert set(named) <= there
    top = {path.name for path in (REPOSITORY / "xltray").glob("*.py")} - {"__init__.py"}
    assert top <= set(named), "a module is missing from the README's map"


def test_the_example_sweep_file_loads(tmp_path):
    (example,) = (block for block in blocks() if block.startswith("extends:"))
    path = tmp_path / "mine.yaml"
    path.write_text(example.replace("ud-small.yaml", str(REPOSITORY / "sweeps/ud-small.yaml")))
    sweep = load_sweep(path)
    assert list(sweep.encoders) == ["xlmr"]
    assert dict(sweep.pairs) == {"en": ("cs",)}


def test_the_pandas_example_runs(tiny, capsys):
    (example,) = (block for block in blocks() if block.startswith("import pandas"))
    exec(example.replace("results/ud-small", tiny.store.uri), {})  # our own README
    assert "accuracy" not in capsys.readouterr().out.splitlines()[0]


def test_the_example_of_a_cell_runs(tiny, tmp_path, capsys):
    own = tiny.copied(tmp_path / "store")
    write_plan(own.plan, own.store)
    (example,) = (block for block in blocks() if block.startswith("from xltray.cells"))
    names = {}
    exec(example.replace("results/quickstart", own.store.uri), names)  # our own README
    job = own.cell()
    assert names["cell"].job == job
    assert names["frame"]["a_src"].tolist() == [0, 0, 0.5, 0.5, 1 / 3, 1 / 3]
    printed = capsys.readouterr().out
    assert job.id[:15] in printed
    assert [line.split()[0] for line in printed.splitlines()[-4:]] == [
        "a_src",
        "0.000000",
        "0.333333",
        "0.500000",
    ]
