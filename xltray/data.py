"""``python -m xltray.data check SWEEP.yaml [key=value ...]``: is the sweep's data there and whole?

Reads every example that the sweep will read, with the checks of the corpora (label sets, trees,
encoding), counts them, and compares the counts with Table 1 of the paper wherever a file is one of the
paper's. Prints a table, then what is wrong. Exit codes: 0 all good, 2 the sweep file is wrong,
3 something is missing, broken or not as many as expected.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xltray.corpora.base import Corpus
from xltray.corpora.registry import open_corpus
from xltray.corpora.text import text_sentences
from xltray.errors import CorpusError, MissingInputError, Problem, ProblemsError, XltrayError
from xltray.spec import DataSpec, Role, SweepSpec
from xltray.sweepfile import load_sweep
from xltray.tasks.registry import corpus_name

PIPE_WIDTH = 200
"""Columns of the table where the output is not a terminal: wide enough not to break file names."""


@runtime_checkable
class ReleasedCorpus(Corpus, Protocol):
    """A corpus that is read from files, of which the paper may say how many examples they have."""

    def file(self, language: str, role: Role) -> Path:
        """Return the file with the examples."""
        ...

    def expected(self, language: str, role: Role) -> int | None:
        """Return the number of examples that the paper gives, or None."""
        ...


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found of one language's training or development examples, or of one text file."""

    corpus: str
    language: str = ""
    role: Role = "train"
    file: Path | None = None
    examples: int | None = None
    expected: int | None = None
    words: int | None = None
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
        """The name of the licence file beside the examples, if there is one."""
        folder = self.file.parent if self.file else None
        beside = sorted(path.name for path in folder.iterdir()) if folder and folder.is_dir() else []
        return next((name for name in beside if name.upper().startswith(("LICENSE", "LICENCE"))), "")


def check(sweep: SweepSpec) -> Iterator[Finding]:
    """Read and count everything that a sweep reads, each split and each text file once.

    Raises:
        SweepFileError: if the sweep names a corpus or task that does not exist.
    """
    opened: dict[str, Corpus] = {}
    for name, language, role in _splits(sweep):
        if name not in opened:
            opened[name] = open_corpus(name, sweep.data)
        yield _check_split(opened[name], language, role)
    pretrained = (encoder.pretrain for encoder in sweep.encoders.values() if encoder.pretrain)
    for text in dict.fromkeys(text for spec in pretrained for text in spec.text):
        yield _check_text(sweep.data, text)


def _splits(sweep: SweepSpec) -> list[tuple[str, str, Role]]:
    """Return corpus, language and role of everything that is trained, selected or scored on."""
    splits: dict[tuple[str, str, Role], None] = {}
    roles: tuple[Role, ...] = ("train", "dev")
    for task in sweep.tasks:
        name = corpus_name(task, sweep.data)
        splits |= dict.fromkeys((name, language, role) for language in sweep.languages() for role in roles)
    for encoder in sweep.encoders.values():
        if encoder.pretrain:
            name = encoder.pretrain.corpus
            splits |= dict.fromkeys((name, language, roles[0]) for language in encoder.pretrain.languages)
    return list(splits)


def _check_split(corpus: Corpus, language: str, role: Role) -> Finding:
    file, expected = None, None
    try:
        if isinstance(corpus, ReleasedCorpus):
            expected = corpus.expected(language, role)
            file = corpus.file(language, role)
        sentences = corpus.sentences(language, role)
    except (MissingInputError, CorpusError) as error:
        return Finding(
            corpus=corpus.name, language=language, role=role, file=file, expected=expected, error=error
        )
    return Finding(
        corpus=corpus.name,
        language=language,
        role=role,
        file=file,
        examples=len(sentences),
        expected=expected,
        words=sum(len(sentence.words) for sentence in sentences),
        error=_difference(file, len(sentences), expected),
    )


def _difference(file: Path | None, examples: int, expected: int | None) -> CorpusError | None:
    if expected is None or examples == expected:
        return None
    problem = Problem(
        where=str(file),
        found=f"{examples} examples",
        expected=f"{expected} (paper, Table 1)",
        advice="Fetch the release that the paper used, UD 2.7; "
        "for data of your own, name its folder in data.treebanks",
    )
    return CorpusError("Not the paper's data", [problem])


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
    for heading in ("corpus", "language", "role", "file"):
        grid.add_column(heading, overflow="fold")
    for heading in ("examples", "expected", "words"):
        grid.add_column(heading, justify="right")
    grid.add_column("licence", overflow="fold")
    grid.add_column("status")
    for found in findings:
        file = found.file.relative_to(root) if found.file and found.file.is_relative_to(root) else found.file
        names = (found.corpus, found.language, found.role, file, found.examples, found.expected, found.words)
        cells = [escape("-" if cell in (None, "") else str(cell)) for cell in (*names, found.licence)]
        grid.add_row(*cells, found.status if found.error is None else f"[red]{found.status}[/red]")
    return grid


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m xltray.data", description="The data of a sweep.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("check", help="count and validate everything that a sweep reads")
    command.add_argument("sweep", type=Path, help="the sweep file (YAML)")
    command.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. data.root=/data")
    command.set_defaults(run=_run_check)
    options = parser.parse_args(arguments)
    try:
        sweep = load_sweep(options.sweep, options.overrides)
        return int(options.run(sweep))
    except XltrayError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _run_check(sweep: SweepSpec) -> int:
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    findings = list(check(sweep))
    console.print(table(findings, Path(sweep.data.root).expanduser()))
    errors = [found.error for found in findings if found.error]
    for error in errors:
        print(error, file=sys.stderr)
    return MissingInputError.exit_code if errors else 0


if __name__ == "__main__":
    sys.exit(main())
