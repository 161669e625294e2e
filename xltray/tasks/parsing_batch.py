"""The words of a batch of sentences to parse, padded to (S, N): what is gathered, and the gold standard.

Trees are found on the host, so the gold standard that they are held to is there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xltray.nn.device import upload
from xltray.tasks.base import Encoded


class Gold(NamedTuple):
    """The gold standard, on the host. ``decisions``: words that the mean loss is over."""

    lengths_S: npt.NDArray[np.int64]
    head_SN: npt.NDArray[np.int64]
    relation_SN: npt.NDArray[np.int64]
    counted_SN: npt.NDArray[np.bool_]  # scored, and seen by the encoder
    seen_SN: npt.NDArray[np.bool_]
    decisions: int


class Words(NamedTuple):
    """A batch's words, on the device but for ``gold``."""

    token: Tensor
    real: Tensor
    head: Tensor
    relation: Tensor
    seen: Tensor
    decided: Tensor  # counted, with a head in the sentence: what the mean loss is over
    gold: Gold


class Parsed(NamedTuple):
    """A batch's best trees: head and number of the relation of each word."""

    heads_SN: npt.NDArray[Any]
    relations_SN: npt.NDArray[Any]


def make_words(sentences: Sequence[Encoded], starts: Sequence[int], device: str) -> Words:
    """Pad the words of sentences, the first subwords of which lie at ``starts`` in the packed row."""
    lengths_S = np.array([len(sentence.words) for sentence in sentences])
    real_SN = np.arange(lengths_S.max()) < lengths_S[:, None]

    def padded(rows: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
        column_SN = np.zeros(real_SN.shape, dtype=np.int64)
        column_SN[real_SN] = [value for row in rows for value in row]
        return column_SN

    def on_device(column_SN: npt.NDArray[Any]) -> Tensor:
        return upload(torch.from_numpy(column_SN), device)

    labels = {
        name: padded([sentence.labels[name] for sentence in sentences])
        for name in ("head", "relation", "scored", "seen")
    }
    token_SN = padded([sentence.words for sentence in sentences]) + np.array(starts)[:, None]
    seen_SN = labels["seen"].astype(bool)
    counted_SN = labels["scored"].astype(bool) & seen_SN
    decided_SN = counted_SN & (labels["head"] >= 0)
    gold = Gold(lengths_S, labels["head"], labels["relation"], counted_SN, seen_SN, int(decided_SN.sum()))
    return Words(
        token=on_device(np.where(real_SN, token_SN, 0)),
        real=on_device(real_SN),
        head=on_device(gold.head_SN),
        relation=on_device(gold.relation_SN),
        seen=on_device(seen_SN),
        decided=on_device(decided_SN),
        gold=gold,
    )


def count_right(gold: Gold, parsed: Parsed) -> npt.NDArray[np.int64]:
    """Return how many scored words are right by las, uas and las_paper."""
    head_right_SN = gold.counted_SN & (parsed.heads_SN == gold.head_SN)
    both_right_SN = head_right_SN & (parsed.relations_SN == gold.relation_SN)
    return np.array([both_right_SN.sum(), head_right_SN.sum(), (both_right_SN & (gold.head_SN != 0)).sum()])
