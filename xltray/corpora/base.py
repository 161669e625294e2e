"""What every corpus offers, and the three kinds of examples: trees, entities and pairs.

A corpus has examples of one kind or more. It overrides the method of each kind that it has
(``sentences``, ``entities``, ``pairs``); the methods left as they are here say what to use instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import ClassVar, TypeVar

from xltray.corpora.downloads import Download
from xltray.errors import SweepFileError
from xltray.plan import DataId
from xltray.spec import DataSpec
from xltray.spec_types import Role

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

    def labels(self) -> Mapping[str, Sequence[str]]:
        """Return what is labelled, by name of the label set."""
        return {"UPOS": self.upos, "relation": self.deprels}


@dataclass(frozen=True, slots=True)
class Entities:
    """A sentence with its named entities; both tuples have one entry a word.

    ``tags`` are O, B-PER, I-PER, B-ORG, I-ORG, B-LOC or I-LOC; ``where`` names file and line or row.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    where: str

    def labels(self) -> Mapping[str, Sequence[str]]:
        """Return what is labelled, by name of the label set."""
        return {"tag": self.tags}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts and how they relate: ``label`` is entailment, neutral or contradiction.

    ``where`` names file and line or row.
    """

    premise: str
    hypothesis: str
    label: str
    where: str

    def labels(self) -> Mapping[str, Sequence[str]]:
        """Return what is labelled, by name of the label set."""
        return {"label": (self.label,)}


Kind = type[Sentence] | type[Entities] | type[Pair]

READERS: Mapping[Kind, str] = {Sentence: "sentences", Entities: "entities", Pair: "pairs"}
"""The method of a corpus that reads each kind of examples."""


class Corpus(ABC):
    """A source of examples in several languages."""

    name: ClassVar[str]

    @abstractmethod
    def __init__(self, data: DataSpec) -> None:
        """Read from where ``data`` says."""

    @abstractmethod
    def languages(self) -> tuple[str, ...]:
        """Return the languages that can be asked for, sorted."""

    @abstractmethod
    def identify(self, language: str, role: Role) -> DataId:
        """Return what the examples are, without reading them as examples.

        Raises:
            MissingInputError: if the files are not there.
        """

    @abstractmethod
    def text(self, language: str) -> Iterator[str]:
        """Yield the raw text of the training sentences, one sentence at a time."""

    def neighbours(self, language: str) -> Iterator[tuple[str, str]]:
        """Yield texts of which the second follows the first: every two sentences of ``text``.

        Only of use where the text is in the order of documents.
        """
        return neighbours_in(self.text(language))

    def sentences(self, language: str, role: Role) -> list[Sentence]:
        """Read the sentences that serve for training or development, in file order.

        Raises:
            MissingInputError: if the files are not there.
            CorpusError: if they are broken; all problems of a file are reported together.
            SweepFileError: if the corpus has no such examples.
        """
        raise self._without(Sentence)

    def entities(self, language: str, role: Role) -> list[Entities]:
        """Read the sentences with named entities; order and errors as for ``sentences``."""
        raise self._without(Entities)

    def pairs(self, language: str, role: Role) -> list[Pair]:
        """Read the pairs of texts; order and errors as for ``sentences``."""
        raise self._without(Pair)

    def parallel(self, first: str, second: str) -> Iterator[tuple[str, str]]:
        """Yield the raw text of sentences in two languages that say the same, at least one.

        They change only where what ``identify`` says of the training examples changes.

        Raises:
            MissingInputError: if they are not there.
            SweepFileError: if the corpus has no translations.
        """
        from xltray.corpora.registry import lacks_translations

        raise SweepFileError("Pretraining asks for translations", [lacks_translations(self.name)])

    @classmethod
    def translates(cls) -> bool:
        """Return whether the corpus has sentences with their translations."""
        return cls.parallel is not Corpus.parallel

    @classmethod
    def offers(cls, kind: Kind) -> bool:
        """Return whether the corpus has examples of this kind."""
        return getattr(cls, READERS[kind]) is not getattr(Corpus, READERS[kind])

    def examples(self, kind: Kind, language: str, role: Role) -> Sequence[Sentence | Entities | Pair]:
        """Read the examples of one kind; errors as for ``sentences``."""
        if kind is Sentence:
            return self.sentences(language, role)
        return self.entities(language, role) if kind is Entities else self.pairs(language, role)

    def _without(self, kind: Kind) -> SweepFileError:
        # The registry imports this module; it is only asked here, when there is something to say.
        from xltray.corpora.registry import lacks

        return SweepFileError("A task reads a corpus of another kind", [lacks(self.name, kind)])


class ReleasedCorpus(Corpus):
    """A corpus that is read from files as they were released, and what ``check`` says of them."""

    licence: ClassVar[str] = ""
    advice: ClassVar[str]
    """What to do where there are not as many examples as the paper has."""

    @abstractmethod
    def file(self, language: str, role: Role) -> Path:
        """Return the file with the examples (the first, where they are several)."""

    @abstractmethod
    def layout(self, language: str, role: Role) -> str:
        """Return in which of its layouts the corpus was found."""

    @abstractmethod
    def expected(self, language: str, role: Role) -> int | None:
        """Return the number of examples that there should be, or None where nobody says."""

    def counted_in(self, language: str) -> str:
        """Return where the number that ``expected`` gives for a language is from."""
        return "paper, Table 1"

    def download(self, language: str, roles: Sequence[Role]) -> Download | None:
        """Return how to fetch a language's examples, or None where they must be put there by hand."""
        return None

    def notes(self, language: str, role: Role) -> Mapping[str, int]:
        """Return how often each rule of the reader applied: what was skipped, what was taken how."""
        return {}


def neighbours_in(text: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield every two texts that follow each other.

    They come alternately from either half, so that two pairs in a row are not of one passage.
    """
    found = list(islice(pairwise(text), 0, None, 2))
    half = (len(found) + 1) // 2
    for index in range(half):
        yield found[index]
        yield from found[half + index : half + index + 1]


def at_most(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """Return ``limit`` examples spread evenly over the whole list (all if None).

    Treebank files are sorted by document and genre, so the first n would be one genre.
    """
    if limit is None or limit >= len(examples):
        return list(examples)
    return [examples[i * len(examples) // limit] for i in range(limit)]
