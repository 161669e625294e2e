"""From words to subwords, and which subword stands for a word.

A word is represented by its first subword (paper, appendix A) that is not a lone word marker:
sentencepiece can emit a lone "▁", byte-level BPE a lone "Ġ", which carry nothing of the word. Words
are aligned by the tokenizer's own word ids, never by counting: some words (stray format characters)
get no subword at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerFast

from xltray.nn.packing import Tokens

LONE_MARKERS = frozenset({"▁", "Ġ"})


class Word(NamedTuple):
    """A word's subword ids, and which of them represents it (None if there is none)."""

    pieces: tuple[int, ...]
    first: int | None


class Frame(NamedTuple):
    """The special tokens around a sequence, as this tokenizer puts them."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def length(self) -> int:
        """How many subwords they take."""
        return len(self.before) + len(self.after)

    def wrap(self, pieces: Sequence[int]) -> Tokens:
        """Return the sequence with specials; all of one segment."""
        ids = [*self.before, *pieces, *self.after]
        return Tokens(ids, [0] * len(ids))


def frame(tokenizer: PreTrainedTokenizerFast) -> Frame:
    """Read the specials off an encoded word."""
    encoding = tokenizer(["a"], is_split_into_words=True, return_special_tokens_mask=True)
    ids, special = encoding["input_ids"], encoding["special_tokens_mask"]
    first = special.index(0)
    last = len(special) - 1 - special[::-1].index(0)
    return Frame(tuple(ids[:first]), tuple(ids[last + 1 :]))


def split_words(tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sequence[str]]) -> list[list[Word]]:
    """Tokenise sentences that are already split into words; one ``Word`` for each word."""
    if not sentences:
        return []
    markers = {id_ for marker in LONE_MARKERS if (id_ := tokenizer.get_vocab().get(marker)) is not None}
    encodings = tokenizer(
        [list(words) for words in sentences],
        is_split_into_words=True,
        add_special_tokens=False,
        truncation=False,
        verbose=False,
    )
    result = []
    for index, words in enumerate(sentences):
        pieces: list[list[int]] = [[] for _ in words]
        for id_, word in zip(encodings["input_ids"][index], encodings.word_ids(index), strict=True):
            pieces[word].append(id_)
        result.append([_word(ids, markers) for ids in pieces])
    return result


def _word(pieces: Sequence[int], markers: set[int]) -> Word:
    places = [place for place, id_ in enumerate(pieces) if id_ not in markers]
    # A word that is a marker and nothing else is represented by it; there is nothing better.
    first = places[0] if places else (0 if pieces else None)
    return Word(tuple(pieces), first)
