"""Entity spans of tag sequences, counted on the device without a loop over words.

Tags are numbers, in the order O, B-PER, I-PER, B-ORG, I-ORG and so on: type k (from 0) has B at 2k + 1
and I at 2k + 2.
Sentences lie one after the other in one row, with a number for each word's sentence.

An I continues a span if the word before it, in the same sentence, has a tag of the same type; every
other I (after O, after another type, at the start of a sentence) opens a span, as if it were B. That is
the repair which the paper's authors apply to predicted tags before they score them, and also how
seqeval reads tags by default. A span is right if type, first and last word are.

Shapes: N words of all sentences.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

OUTSIDE = 0


class _Spans(NamedTuple):
    """Of each word: its entity type (0 for none), whether it begins or ends a span, the last beginning."""

    type_N: Tensor
    begins_N: Tensor
    ends_N: Tensor
    begin_N: Tensor


def count_spans(predicted_N: Tensor, gold_N: Tensor, sentence_N: Tensor) -> Tensor:
    """Count spans.

    Args:
        predicted_N: predicted tags.
        gold_N: gold tags.
        sentence_N: a number for the sentence of each word; words of a sentence are neighbours.

    Returns:
        Three integers on the same device: spans in both, predicted spans, gold spans.
    """
    same_N = torch.ones_like(sentence_N, dtype=torch.bool)
    same_N[1:] = sentence_N[1:] == sentence_N[:-1]
    same_N[:1] = False
    predicted, gold = _spans(predicted_N, same_N), _spans(gold_N, same_N)
    right_N = (
        (predicted.ends_N & gold.ends_N)
        & (predicted.begin_N == gold.begin_N)
        & (predicted.type_N == gold.type_N)
    )
    return torch.stack([right_N.sum(), predicted.begins_N.sum(), gold.begins_N.sum()])


def _spans(tag_N: Tensor, same_N: Tensor) -> _Spans:
    """Find spans; ``same_N`` says whether the word before is of the same sentence."""
    type_N = (tag_N + 1) // 2
    inside_N = (tag_N > OUTSIDE) & (tag_N % 2 == 0)
    continues_N = inside_N & same_N
    continues_N[1:] &= type_N[1:] == type_N[:-1]
    entity_N = type_N > 0
    begins_N = entity_N & ~continues_N
    ends_N = entity_N.clone()
    ends_N[:-1] &= ~continues_N[1:]
    place_N = torch.arange(len(tag_N), device=tag_N.device)
    # At a span's last word, the last beginning so far is its own.
    begin_N = torch.where(begins_N, place_N, -1).cummax(0).values
    return _Spans(type_N, begins_N, ends_N, begin_N)
