"""``python -m xltray.data check SWEEP.yaml [key=value ...]``: is the sweep's data there and whole?

Reads every example that the sweep will read, with the checks of the corpora (label sets, trees,
encoding), counts them, and compares the counts with Table 1 of the paper wherever a file is one of the
paper's, and with the release's in XNLI's other languages. Prints a table with the layout and the licence
of each file, how often each label occurs, how often a rule of a reader applied (what it skipped) and where
fetched files came from, a line for each encoder, then what is wrong. Encoders are looked at as far as that
can be done without their weights in memory. Exit codes: 0 all good, 2 the sweep file is wrong, 3 something
is missing, broken or not as many as expected.

``python -m xltray.data fetch SWEEP.yaml [key=value ...]`` brings it all into place first
(``xltray/fetch``; exit code 3 if not all of it could be had).

``show SWEEP.yaml [key=value ...] [-n N] [--task TASK]`` prints examples of each language
(``show.py``); ``export SWEEP.yaml [key=value ...] --out DIR`` writes the data (``export.py``).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xltray.corpora.base import Corpus, Entities, Kind, Pair, ReleasedCorpus, Sentence
from xltray.corpora.registry import open_corpus
from xltray.corpora.text import text_sentences
from xltray.encoders import describe_encoders
from xltray.errors import CorpusError, MissingInputError, Problem, ProblemsError, XltrayError
from xltray.export import export
from xltray.fetch.needs import origins
from xltray.fetch.run import fetch
from xltray.inputs import check_names
from xltray.reads import splits
from xltray.show import show
from xltray.spec import DataSpec, SweepSpec
from xltray.spec_types import Role
from xltray.sweepfile import load_sweep
from xltray.tasks.registry import TASKS

PIPE_WIDTH = 200
"""Columns of the table where the output is not a terminal: wide enough not to break file names."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found of one language's training or development examples, or of one text file."""

    corpus: str
    language: str = ""
    role: Role = "train"
    file: Path | None = None
    layout: str = ""
    examples: int | None = None
    expected: int | None = None
    words: int | None = None
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    terms: str = ""
    error: ProblemsError | None = None

    @property
    def status(self) -> str:
        """``ok``, ``missing``, ``broken`` or, in its number of examples, ``differs``."""
        if self.error is None:
            return "ok"
        if isinstance(self.error, MissingInputError):
            return "missing"
        return "broken" if self.examples is None else "differs"

    @property
    def licence(self) -> str:
        """The name of the licence file beside the examples, or what is known of the corpus's terms."""
        folder = self.file.parent if self.file else None
        beside = sorted(path.name for path in folder.iterdir()) if folder and folder.is_dir() else []
        return next((name for name in beside if name.upper().startswith(("LICENSE", "LICENCE"))), self.terms)

    def lines(self) -> Iterator[str]:
        """Say how often each label occurs, most often first, and how often each rule applied."""
        split = f"{self.corpus} {self.language} {self.role}"
        for name, counts in self.labels.items():
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            yield f"{split}, {name}: {', '.join(f'{label} {count}' for label, count in ordered)}"
        yield from (f"{split}, {rule}: {count}" for rule, count in self.notes.items())


def check(sweep: SweepSpec) -> Iterator[Finding]:
    """Read and count everything that a sweep reads, each split and each text file once.

    Raises:
        SweepFileError: if the sweep names a corpus that does not exist or has no such examples.
    """
    opened: dict[str, Corpus] = {}
    for name, kind, language, role in splits(sweep):
        if name not in opened:
            opened[name] = open_corpus(name, sweep.data)
        yield _check_split(opened[name], kind, language, role)
    pretrained = (encoder.pretrain for encoder in sweep.encoders.values() if encoder.pretrain)
    for text in dict.fromkeys(text for spec in pretrained for text in spec.text):
        yield _check_text(sweep.data, text)


def _check_split(corpus: Corpus, kind: Kind, language: str, role: Role) -> Finding:
    released = corpus if isinstance(corpus, ReleasedCorpus) else None
    finding = Finding(corpus=corpus.name, language=language, role=role)
    try:
        if released:
            finding = replace(finding, expected=released.expected(language, role), terms=released.licence)
            file, layout = released.file(language, role), released.layout(language, role)
            finding = replace(finding, file=file, layout=layout)
        examples = corpus.examples(kind, language, role)
        notes = released.notes(language, role) if released else {}
    except (MissingInputError, CorpusError) as error:
        return replace(finding, error=error)
    return replace(
        finding,
        examples=len(examples),
        words=_words(examples),
        labels=_labels(examples),
        notes=notes,
        error=_difference(finding, len(examples), released) if released else None,
    )


def _words(examples: Sequence[Sentence | Entities | Pair]) -> int | None:
    """Count words, where examples are made of words."""
    lengths = [len(example.words) for example in examples if not isinstance(example, Pair)]
    return sum(lengths) if lengths else None


def _labels(examples: Sequence[Sentence | Entities | Pair]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        for name, labels in example.labels().items():
            counts[name].update(labels)
    return dict(counts)


def _difference(finding: Finding, examples: int, corpus: ReleasedCorpus) -> CorpusError | None:
    if finding.expected is None or examples == finding.expected:
        return None
    source = corpus.counted_in(finding.language)
    problem = Problem(
        where=f"{finding.file} ({finding.corpus} {finding.language} {finding.role})",
        found=f"{examples} examples",
        expected=f"{finding.expected} ({source})",
        advice=corpus.advice,
    )
    return CorpusError(f"Not the {source.partition(',')[0]}'s data", [problem])


def _check_text(data: DataSpec, name: str) -> Finding:
    file = Path(data.root).expanduser() / name
    examples = words = 0
    try:
        for sentence in text_sentences(data, name):
            examples += 1
            words += len(sentence.split())
    except (MissingInputError, CorpusError) as error:
        return Finding(corpus="text", file=file, error=error)
    return Finding(corpus="text", file=file, examples=examples, words=words)


def table(findings: Sequence[Finding], root: Path) -> Table:
    """Lay findings out for a terminal, with file names relative to the data root."""
    grid = Table(title=escape(f"Data root: {root}"), title_justify="left")
    for heading in ("corpus", "language", "role", "file", "layout"):
        grid.add_column(heading, overflow="fold")
    for heading in ("examples", "expected", "words"):
        grid.add_column(heading, justify="right")
    grid.add_column("licence", overflow="fold")
    grid.add_column("status")
    for found in findings:
        file = found.file.relative_to(root) if found.file and found.file.is_relative_to(root) else found.file
        names = (found.corpus, found.language, found.role, file, found.layout)
        numbers = (found.examples, found.expected, found.words)
        cells = [
            escape("-" if cell in (None, "") else str(cell)) for cell in (*names, *numbers, found.licence)
        ]
        grid.add_row(*cells, found.status if found.error is None else f"[red]{found.status}[/red]")
    return grid


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
    print(yaml.safe_dump({"data": data}, sort_keys=False), end="")
    return 0


def _run_check(sweep: SweepSpec, _: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
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
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # `show ... | head`: nobody reads on. Python would flush what is left, and say that it cannot.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
