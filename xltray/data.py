"""``python -m xltray.data check SWEEP.yaml [key=value ...]``: is the sweep's data there and whole?

Reads and counts all of it (``findings.py``). Prints a table with the layout and the licence of each file,
how often each label occurs, how often a rule of a reader applied (what it skipped) and where fetched files
came from, a line for each encoder, then what is wrong. Encoders are looked at as far as that
can be done without their weights in memory. Exit codes: 0 all good, 2 the sweep file is wrong, 3 something
is missing, broken or not as many as expected. With any command here 1: a full disk kept some of what it says.

``python -m xltray.data fetch SWEEP.yaml [key=value ...]`` brings it all into place first
(``xltray/fetch``; exit code 3 if not all of it could be had).

``show SWEEP.yaml [key=value ...] [-n N] [--task TASK]`` prints examples of each language
(``show.py``); ``export SWEEP.yaml [key=value ...] --out DIR`` writes the data (``export.py``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from xltray.encoders import describe_encoders
from xltray.errors import MissingInputError, XltrayError
from xltray.export import export
from xltray.fetch.needs import origins
from xltray.fetch.run import fetch
from xltray.findings import check, table
from xltray.inputs import check_names
from xltray.output import spoken
from xltray.show import show
from xltray.spec import SweepSpec
from xltray.sweepfile import load_sweep
from xltray.tasks.registry import TASKS, corpus_name

PIPE_WIDTH = 200
"""Columns of the table where the output is not a terminal: wide enough not to break file names."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m xltray.data", description="The data of a sweep.")
    commands = parser.add_subparsers(dest="command", required=True)
    _command(commands, "check", "count and validate everything that a sweep reads", _run_check)
    command = _command(commands, "show", "print examples of every language", _run_show)
    command.add_argument("-n", type=int, default=3, metavar="N", help="examples of each kind (default: 3)")
    command.add_argument("--task", choices=TASKS, help="one task only")
    command = _command(commands, "export", "write the tasks' data in the releases' formats", _run_export)
    command.add_argument("--out", type=Path, required=True, help="the new data root")
    _command(commands, "fetch", "bring everything that a sweep reads into place", _run_fetch)
    options = _parsed(parser, arguments)
    try:
        sweep = load_sweep(options.sweep, options.overrides, checks=[check_names])
        return int(options.run(sweep, options))
    except XltrayError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse, with overrides after options too: ``parse_intermixed_args`` cannot where there are commands."""
    options, rest = parser.parse_known_args(arguments)
    if unknown := [argument for argument in rest if argument.startswith("-")]:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.overrides += rest
    return options


def _command(
    commands: Any, name: str, help_: str, run: Callable[[SweepSpec, argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add a command that reads a sweep file."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=help_)
    command.add_argument("sweep", type=Path, help="the sweep file (YAML)")
    command.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. data.root=/data")
    command.set_defaults(run=run)
    return command


def _run_fetch(sweep: SweepSpec, _: argparse.Namespace) -> int:
    return fetch(sweep)


def _run_show(sweep: SweepSpec, options: argparse.Namespace) -> int:
    for line in show(sweep, (options.task,) if options.task else sweep.tasks, options.n):
        print(line)
    return 0


def _run_export(sweep: SweepSpec, options: argparse.Namespace) -> int:
    data = export(sweep, options.out)
    print("# Sweep files read this with:")
    if sweep.data.toy.evaluate_on == "test" and any(
        corpus_name(task, sweep.data) == "toy" for task in sweep.tasks
    ):
        print("# Its dev files are the test sample (data.toy.evaluate_on): choose nothing on them.")
    print(yaml.safe_dump({"data": data}, sort_keys=False), end="")
    return 0


def _run_check(sweep: SweepSpec, _: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout and sys.stdout.isatty() else PIPE_WIDTH)
    findings = list(check(sweep))
    console.print(table(findings, Path(sweep.data.root).expanduser()))
    for line in (line for found in findings for line in found.lines()):
        print(line)
    errors = [found.error for found in findings if found.error]
    try:
        for line in origins(sweep):
            print(line)
    except MissingInputError as unreadable:
        errors.append(unreadable)
    for encoder in describe_encoders(sweep):
        print(encoder.line)
        if encoder.problems:
            errors.append(MissingInputError("An encoder cannot be loaded.", encoder.problems))
    for error in errors:
        print(error, file=sys.stderr)
    return MissingInputError.exit_code if errors else 0


if __name__ == "__main__":
    sys.exit(spoken(main, all_counts=True))
