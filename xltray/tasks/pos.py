"""Part-of-speech tagging: universal tags, scored by accuracy over all words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xltray.corpora.base import Corpus, Sentence
from xltray.corpora.ud import UPOS
from xltray.spec_types import Role
from xltray.tasks.tagging import TaggingTask


class PosTask(TaggingTask):
    """UD part-of-speech tagging."""

    name: ClassVar[str] = "pos"
    corpus: ClassVar[str] = "ud"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    @property
    def labels(self) -> tuple[str, ...]:
        """The 17 universal tags."""
        return UPOS

    def read(self, corpus: Corpus, language: str, role: Role) -> list[Sentence]:
        """Read sentences."""
        return corpus.sentences(language, role)

    def words_and_labels(self, example: Sentence) -> tuple[Sequence[str], Sequence[str]]:
        """Return forms and tags."""
        return example.words, example.upos
