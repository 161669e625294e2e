"""Packed batches: sequences of different lengths in one row, without padding.

Sequences are concatenated to shape (1, T) with explicit positions; all layers but attention work
on single tokens and need no more. Attention must stay inside a sequence, in one of three ways
(``attention.py`` does it):

* ``RUNS``: sequences are sorted by length and each run of equal lengths is one call of scaled
  dot-product attention without a mask, on a view. Best for large batches (evaluation).
* ``PADDED``: queries, keys and values (nothing else) are spread to (B, L) and masked. Best for the
  few, differently long sequences of a training step, where every run would be one sequence.
* ``VARLEN``: one call of flash attention for all sequences, which is told where each begins. For GPUs, and
  for half precision only; whatever it cannot do is done as ``RUNS``.

The choice and the composition of a batch are functions of the data alone, so numbers do not
depend on scheduling. Shapes: T tokens, B sequences, L tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from xltray.nn.device import upload

# Tokens of an evaluation batch. Part of the numbers (float sums depend on shapes), so not a setting.
TOKEN_BUDGET = {"cpu": 4096, "cuda": 32768}
# For batches whose words are padded to score pairs of them: fewer, so that their lengths are alike.
PAIRED_BUDGET = {"cpu": 1024, "cuda": 32768}


class Layout(Enum):
    """How attention is kept inside a sequence."""

    RUNS = "runs"
    PADDED = "padded"
    VARLEN = "varlen"


def scoring_layout(device: str) -> Layout:
    """Return how large batches without padding are laid out on a device."""
    return Layout.VARLEN if torch.device(device).type == "cuda" else Layout.RUNS


class Tokens(NamedTuple):
    """One tokenised sequence: subword ids with specials, and segment ids."""

    ids: Sequence[int]
    types: Sequence[int]


class Run(NamedTuple):
    """``sequences`` of equal ``length`` from token ``start`` on."""

    start: int
    sequences: int
    length: int


class Padding(NamedTuple):
    """Where each token of (B, L) lies in T (0 where there is none), and the other way round."""

    token_BL: Tensor
    real_BL: Tensor
    place_T: Tensor


@dataclass(frozen=True)
class PackedBatch:
    """Sequences in one row.

    ``order`` gives, for each packed sequence, its index in the input. ``bounds`` are, on the device, where
    each sequence starts and where the last one ends: B + 1 numbers in int32, as flash attention reads them.
    """

    ids_T: Tensor
    positions_T: Tensor
    types_T: Tensor
    sequence_T: Tensor
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    order: tuple[int, ...]
    runs: tuple[Run, ...]
    bounds: Tensor
    padding: Padding
    layout: Layout

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    def with_ids(self, ids_T: Tensor) -> PackedBatch:
        """Return the same batch with other subwords."""
        return replace(self, ids_T=ids_T)


def pack(sequences: Sequence[Tokens], *, layout: Layout, device: str = "cpu") -> PackedBatch:
    """Concatenate sequences, shortest first."""
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i].ids))
    lengths = [len(sequences[i].ids) for i in order]
    starts = [0]
    for length in lengths[:-1]:
        starts.append(starts[-1] + length)

    def tensor(values: list[int]) -> Tensor:
        return upload(torch.tensor(values, dtype=torch.long), device)

    real_BL = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    token_BL = torch.where(real_BL, torch.tensor(starts)[:, None] + torch.arange(max(lengths)), 0)
    positions_T = tensor([position for length in lengths for position in range(length)])
    sequence_T = tensor([index for index, length in enumerate(lengths) for _ in range(length)])
    padding = Padding(
        upload(token_BL, device), upload(real_BL, device), sequence_T * max(lengths) + positions_T
    )
    return PackedBatch(
        ids_T=tensor([id_ for i in order for id_ in sequences[i].ids]),
        positions_T=positions_T,
        types_T=tensor([type_ for i in order for type_ in sequences[i].types]),
        sequence_T=sequence_T,
        starts=tuple(starts),
        lengths=tuple(lengths),
        order=tuple(order),
        runs=_runs(starts, lengths),
        bounds=upload(torch.tensor([*starts, starts[-1] + lengths[-1]], dtype=torch.int32), device),
        padding=padding,
        layout=layout,
    )


def batches_by_tokens(
    lengths: Sequence[int], device: str, words: Sequence[int] | None = None
) -> list[list[int]]:
    """Split indices into batches of similar length within the device's token budget.

    Args:
        lengths: subwords of each sequence.
        device: ``cpu`` or ``cuda``.
        words: words of each sequence, where pairs of them are scored: then they are what is sorted by.
    """
    budget = (TOKEN_BUDGET if words is None else PAIRED_BUDGET)[torch.device(device).type]
    sort_by = lengths if words is None else words
    batches: list[list[int]] = []
    tokens = budget
    for index in sorted(range(len(lengths)), key=lambda i: (sort_by[i], i)):
        if tokens + lengths[index] > budget:
            batches.append([])
            tokens = 0
        batches[-1].append(index)
        tokens += lengths[index]
    return batches


def _runs(starts: Sequence[int], lengths: Sequence[int]) -> tuple[Run, ...]:
    runs: list[Run] = []
    for start, length in zip(starts, lengths, strict=True):
        if runs and runs[-1].length == length:
            runs[-1] = runs[-1]._replace(sequences=runs[-1].sequences + 1)
        else:
            runs.append(Run(start, 1, length))
    return tuple(runs)
