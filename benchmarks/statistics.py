"""Ratios of medians, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DRAWS = 10_000
LEVEL = 0.95


class Ratio(NamedTuple):
    """A ratio of two medians, and the edges of its bootstrap interval."""

    value: float
    low: float
    high: float


def ratio_of_medians(
    above: Sequence[float], below: Sequence[float], *, draws: int = DRAWS, seed: int = 0
) -> Ratio:
    """Return median(above) / median(below) with its 95% percentile bootstrap interval.

    A draw resamples rounds, and takes both contestants' times of a round: what slows a machine down for a
    while slows both.

    Args:
        above: seconds of each round.
        below: seconds of the same rounds.
        draws: how many times rounds are resampled.
        seed: of the resampling.

    Raises:
        ValueError: if the two are not of the same rounds, or there are none.
    """
    if len(above) != len(below) or not above:
        raise ValueError(f"found {len(above)} and {len(below)} rounds; expected the same, at least one")
    above_R, below_R = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    rounds_DR = np.random.default_rng(seed).integers(len(above_R), size=(draws, len(above_R)))
    ratios_D: npt.NDArray[np.float64] = np.median(above_R[rounds_DR], 1) / np.median(below_R[rounds_DR], 1)
    low, high = np.quantile(ratios_D, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Ratio(float(np.median(above_R) / np.median(below_R)), float(low), float(high))
