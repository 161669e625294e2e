"""Counts (correct, predicted, gold) as they are written in Python: item by item, or on whole arrays.

Tags of named entities are numbered as in ``xltray.nn.spans``: 0 is O, B of type k is 2k + 1, I is 2k + 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from xltray.tasks.base import Counts

Ints = npt.NDArray[np.int64]
Rows = Iterable[Sequence[int]]


def label_counts(predicted: Rows, gold: Rows) -> Counts:
    """Count right labels, one at a time."""
    correct = total = 0
    for predicted_row, gold_row in zip(predicted, gold, strict=True):
        for guess, label in zip(predicted_row, gold_row, strict=True):
            correct += guess == label
            total += 1
    return Counts(correct, total, total)


def span_counts(predicted: Rows, gold: Rows) -> Counts:
    """Count right spans, sentence by sentence."""
    correct = found = wanted = 0
    for predicted_row, gold_row in zip(predicted, gold, strict=True):
        guesses, spans = _spans(predicted_row), _spans(gold_row)
        correct += len(guesses & spans)
        found += len(guesses)
        wanted += len(spans)
    return Counts(correct, found, wanted)


def label_counts_of_arrays(predicted_N: Ints, gold_N: Ints, sentence_N: Ints) -> Counts:
    """Count right labels of all words at once."""
    return Counts(int((predicted_N == gold_N).sum()), len(gold_N), len(gold_N))


def span_counts_of_arrays(predicted_N: Ints, gold_N: Ints, sentence_N: Ints) -> Counts:
    """Count right spans of all words at once; ``sentence_N`` numbers the words' sentences."""
    guesses, spans = _span_codes(predicted_N, sentence_N), _span_codes(gold_N, sentence_N)
    return Counts(len(np.intersect1d(guesses, spans, assume_unique=True)), len(guesses), len(spans))


def _spans(tags: Sequence[int]) -> set[tuple[int, int, int]]:
    """Return (type, first word, last word) of each span; an I that continues nothing begins one."""
    spans = set()
    type_ = start = 0
    for place, tag in enumerate([*tags, 0]):
        inside = tag > 0 and tag % 2 == 0 and (tag + 1) // 2 == type_
        if inside:
            continue
        if type_:
            spans.add((type_, start, place - 1))
        type_, start = (tag + 1) // 2, place
    return spans


def _span_codes(tag_N: Ints, sentence_N: Ints) -> Ints:
    """Return a number for each span that tells its type, first and last word."""
    type_N = (tag_N + 1) // 2
    goes_on_N = (tag_N > 0) & (tag_N % 2 == 0)
    goes_on_N[1:] &= (type_N[1:] == type_N[:-1]) & (sentence_N[1:] == sentence_N[:-1])
    goes_on_N[:1] = False
    first_S = np.flatnonzero((type_N > 0) & ~goes_on_N)
    last_S = np.flatnonzero((type_N > 0) & ~np.append(goes_on_N[1:], False))
    words = len(tag_N)
    codes_S: Ints = (type_N[first_S] * words + first_S) * words + last_S
    return codes_S
