"""Sentences for WikiANN's files, and reading them back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xltray.corpora.base import Entities
from xltray.corpora.wikiann import WikiannCorpus
from xltray.spec import DataSpec

SENTENCES = [
    (("12:30", "in", "Hà Nội"), ("O", "O", "B-LOC")),
    (("Ann", "B.", "runs", "Ax"), ("B-PER", "I-PER", "O", "B-ORG")),
]


def corpus(root: Path) -> WikiannCorpus:
    return WikiannCorpus(DataSpec(root=str(root)))


def content(examples: Sequence[Entities]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(example.words, example.tags) for example in examples]
