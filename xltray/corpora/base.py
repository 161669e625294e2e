"""What every corpus offers, and the examples that it yields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from xltray.plan import DataId
from xltray.spec import Role

Example = TypeVar("Example")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with its dependency tree; all tuples have one entry a word.

    ``heads`` are 1-based word numbers, 0 for the root; ``deprels`` are universal relations with
    their subtypes cut off; ``where`` names the file and line, for messages.
    """

    words: tuple[str, ...]
    upos: tuple[str, ...]
    heads: tuple[int, ...]
    deprels: tuple[str, ...]
    text: str
    where: str


class Corpus(Protocol):
    """A source of examples in several languages."""

    name: str

    def languages(self) -> tuple[str, ...]:
        """Return the languages that can be asked for, sorted."""
        ...

    def identify(self, language: str, role: Role) -> DataId:
        """Return what the examples are, without reading them as examples.

        Raises:
            MissingInputError: if the files are not there.
        """
        ...

    def sentences(self, language: str, role: Role) -> list[Sentence]:
        """Read the sentences that serve for training or development, in file order.

        Raises:
            MissingInputError: if the files are not there.
            CorpusError: if they are broken; all problems of a file are reported together.
        """
        ...

    def text(self, language: str) -> Iterator[str]:
        """Yield the raw text of the training sentences, one sentence at a time."""
        ...


def at_most(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """Return ``limit`` examples spread evenly over the whole list (all if None).

    Treebank files are sorted by document and genre, so the first n would be one genre.
    """
    if limit is None or limit >= len(examples):
        return list(examples)
    return [examples[i * len(examples) // limit] for i in range(limit)]
