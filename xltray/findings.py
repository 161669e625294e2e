"""What is found of everything that a sweep reads: is it there and whole, and what does it hold?

Reads every example that the sweep will read, with the checks of the corpora (label sets, trees,
encoding), counts them, and compares the counts with Table 1 of the paper wherever a file is one of the
paper's, and with the release's in XNLI's other languages.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from xltray.corpora.base import Corpus, Entities, Kind, Pair, ReleasedCorpus, Sentence
from xltray.corpora.registry import open_corpus
from xltray.corpora.text import text_sentences
from xltray.errors import CorpusError, MissingInputError, Problem, ProblemsError
from xltray.reads import splits
from xltray.spec import DataSpec, SweepSpec
from xltray.spec_types import Role


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
