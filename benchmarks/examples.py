"""Splits of random subwords and labels whose lengths are those of real sentences.

Words are drawn by Zipf's law, and a word mostly has the same label wherever it stands, so that a short
training gives models that differ and are surer than by chance. Nothing else of a text matters to speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.lengths import Pieces
from xltray.corpora.ud import DEPRELS
from xltray.nn.packing import Tokens
from xltray.tasks.base import Encoded, EncodedSplit, SplitWords
from xltray.tasks.registry import get_task

CLS, SEP, FIRST_WORD = 1, 2, 3
MAX_LENGTH = 128
NOISE = 0.1
# Shares of scored words (the others are punctuation) and of named words, roughly as in real text.
SCORED, OUTSIDE = 0.88, 0.6
# Words of a premise and of a hypothesis: XNLI has few others. The means come to 17 and 10.
PREMISE, HYPOTHESIS = range(8, 41), range(5, 19)


class _Text(NamedTuple):
    """A sentence: its subwords without specials, and the place of each word's first."""

    ids: list[int]
    places: list[int]


class _Dice:
    """Draws words and their labels."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        weights = 1 / np.arange(1, vocabulary - FIRST_WORD + 1)
        self.words = (weights / weights.sum()).cumsum()
        # The same table whatever the seed: train and dev must agree on what a word means.
        self.table = np.random.default_rng(0).random(vocabulary)

    def text(self, pieces: Pieces, room: int) -> _Text:
        """Draw the subwords of the words that fit."""
        starts = np.cumsum([0, *pieces])
        fitting = int(np.searchsorted(starts, room, side="right")) - 1
        uniform = self.generator.random(int(starts[fitting]))
        ids = FIRST_WORD + np.searchsorted(self.words, uniform)
        ids = np.minimum(ids, len(self.table) - 1)
        return _Text(ids.tolist(), (1 + starts[:fitting]).tolist())

    def labels(self, text: _Text, shares: Sequence[float]) -> list[int]:
        """Return a label for each word: its own, or now and then any."""
        edges = np.cumsum(shares)
        values = self.table[[text.ids[place - 1] for place in text.places]]
        noise = self.generator.random(len(values))
        values = np.where(noise < NOISE, self.generator.random(len(values)), values)
        numbers: npt.NDArray[np.int64] = np.minimum(np.searchsorted(edges, values), len(shares) - 1)
        return [int(number) for number in numbers]


def make_split(task: str, sentences: Sequence[Pieces], *, vocabulary: int, seed: int) -> EncodedSplit:
    """Make a split of a task.

    Args:
        task: a task's name.
        sentences: subwords of each word of each sentence.
        vocabulary: subwords of the encoder, the specials included.
        seed: of what is drawn.
    """
    makers: dict[str, Callable[[_Dice, Sequence[Pieces]], EncodedSplit]] = {
        "pos": lambda dice, given: _tagging(dice, given, [1 / 17] * 17),
        "ner": lambda dice, given: _tagging(dice, given, [OUTSIDE, *[(1 - OUTSIDE) / 6] * 6]),
        "xnli": _inference,
        "parsing": _parsing,
    }
    assert get_task(task), "the registry names the choices"
    return makers[task](_Dice(vocabulary, seed), sentences)


def _wrapped(ids: Sequence[int]) -> Tokens:
    return Tokens([CLS, *ids, SEP], [0] * (len(ids) + 2))


def _tagging(dice: _Dice, sentences: Sequence[Pieces], shares: Sequence[float]) -> EncodedSplit:
    sequences: list[Encoded] = []
    gold: list[int] = []
    for example, pieces in enumerate(sentences):
        text = dice.text(pieces, MAX_LENGTH - 2)
        labels = dice.labels(text, shares)
        indices = list(range(len(gold), len(gold) + len(labels)))
        columns = {"label": labels, "index": indices}
        sequences.append(Encoded(_wrapped(text.ids), text.places, columns, example))
        gold += labels
    sizes = torch.tensor([len(sequence.words) for sequence in sequences])
    sentence_N = torch.repeat_interleave(torch.arange(len(sequences)), sizes)
    return EncodedSplit(sequences, len(sequences), words=SplitWords(torch.tensor(gold), sentence_N))


def _inference(dice: _Dice, sentences: Sequence[Pieces]) -> EncodedSplit:
    premises = [pieces for pieces in sentences if len(pieces) in PREMISE]
    hypotheses = [pieces for pieces in sentences if len(pieces) in HYPOTHESIS] or premises
    sequences = []
    for example in range(len(sentences)):
        premise = dice.text(premises[example % len(premises)], MAX_LENGTH // 2)
        # Beside its premise in the file is another sentence, of unrelated length.
        hypothesis = dice.text(hypotheses[(example * 7 + 3) % len(hypotheses)], MAX_LENGTH // 2 - 3)
        label = dice.labels(hypothesis, [1 / 3] * 3)[0]
        ids = [CLS, *premise.ids, SEP, *hypothesis.ids, SEP]
        types = [0] * (len(premise.ids) + 2) + [1] * (len(hypothesis.ids) + 1)
        sequences.append(Encoded(Tokens(ids, types), [0], {"label": [label]}, example))
    return EncodedSplit(sequences, len(sequences))


def _parsing(dice: _Dice, sentences: Sequence[Pieces]) -> EncodedSplit:
    sequences = []
    for example, pieces in enumerate(sentences):
        text = dice.text(pieces, MAX_LENGTH - 2)
        words = len(text.places)
        # A tree whose first word is the root: most words hang on the word before.
        chained = dice.generator.random(words) < 0.7
        anywhere = [int(dice.generator.integers(1, place + 1)) for place in range(1, words)]
        heads = [0, *(place if chained[place] else anywhere[place - 1] for place in range(1, words))]
        columns = {
            "head": heads[:words],
            "relation": dice.labels(text, [1 / len(DEPRELS)] * len(DEPRELS)),
            "scored": (dice.generator.random(words) < SCORED).astype(int).tolist(),
            "seen": [1] * words,
        }
        sequences.append(Encoded(_wrapped(text.ids), text.places, columns, example))
    return EncodedSplit(sequences, len(sequences))
