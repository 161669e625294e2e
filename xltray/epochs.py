"""The epochs of a fine-tuning: which batches, in which order, and where the model is validated."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from xltray.tasks.base import Encoded, EncodedSplit


def epoch_batches(
    splits: Mapping[str, EncodedSplit], batch_size: int, generator: torch.Generator
) -> list[list[Encoded]]:
    """Return one epoch's batches, each of one language.

    Shuffling all batches together draws the languages in proportion to their size. With several
    languages, ragged last batches are dropped, unless a language has no full batch at all.
    """
    batches: list[list[Encoded]] = []
    for split in splits.values():
        order = torch.randperm(len(split.sequences), generator=generator).tolist()
        own = [
            [split.sequences[i] for i in order[start : start + batch_size]]
            for start in range(0, len(order), batch_size)
        ]
        if len(splits) > 1 and len(own) > 1 and len(own[-1]) < batch_size:
            own.pop()
        batches += own
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def validation_steps(epoch_steps: int, times: int) -> frozenset[int]:
    """Return after which steps of an epoch (from 1) the model is validated; the last is one."""
    return frozenset(max(1, epoch_steps * k // times) for k in range(1, times + 1))
