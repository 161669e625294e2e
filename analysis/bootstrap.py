"""Intervals by resampling language pairs and seeds, and by resampling rows as the paper does.

A resampled set of cells is a vector of weights: how often each cell was drawn. So a statistic is a
function of weights and values, computed for all draws at once, and two statistics computed from the
same weights are paired. docs/verdicts.md says how the draws are made and why.

Shapes: D draws, C cells, K values a cell. The expanded percentile interval is of Hesterberg, "What
Teachers Should Know About the Bootstrap", 2015, section 4.3, https://arxiv.org/abs/1411.5279.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.statistics import LEVEL, Array

DRAWS = 4000
FEW = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}
"""97.5% quantiles of Student's t by degrees of freedom, where the expansion falls short."""
DECIMALS = 9
"""Results are rounded to these, so that rounding errors in sums decide nothing."""

Labels = npt.NDArray[np.int64]


class Interval(NamedTuple):
    """Two ends; NaN where there is nothing to resample."""

    low: float
    high: float


class Sample(NamedTuple):
    """Cells: values (C, K), and for each cell the group (C,) whose seeds belong together."""

    values_CK: Array
    groups_C: Labels


Statistic = Callable[[Array, Sample], Array]
"""From weights (D, C) to one number a draw; NaN for a draw that has none."""


def mean(weights_DC: Array, sample: Sample) -> Array:
    """Return the weighted mean of the first value; NaN for a draw without any cell."""
    totals = weights_DC.sum(axis=1)
    sums = weights_DC @ sample.values_CK[:, 0]
    return np.where(totals > 0, sums / np.where(totals > 0, totals, 1.0), np.nan)


def share_of_deviation(weights_DC: Array, sample: Sample) -> Array:
    """Return the second value's share of both standard deviations over seeds (0.5: equal).

    Each group is one task and pair; deviations are roots of the mean variance over groups, each
    counted as often as its cells were drawn. A share, because drawing seeds shrinks both deviations
    (one draw of three seeds in nine has three times the same and no deviation at all), which would
    move a difference towards 0 but cancels here. NaN where neither value varies.
    """
    variances = np.zeros((len(weights_DC), 2))
    for group in np.unique(sample.groups_C):
        members = sample.groups_C == group
        weights, values = weights_DC[:, members], sample.values_CK[members]
        size, total = len(values), weights.sum(axis=1)[:, None]
        centres = weights @ values / np.where(total > 0, total, 1.0)
        squares = (values[None, :, :] - centres[:, None, :]) ** 2
        variances += size / (size - 1) * np.einsum("dc,dck->dk", weights, squares)
    deviations = np.round(np.sqrt(variances), DECIMALS)
    both = deviations.sum(axis=1)
    return np.where(both > 0, deviations[:, 1] / np.where(both > 0, both, 1.0), np.nan)


def estimate(statistic: Statistic, sample: Sample) -> float:
    """Return the statistic of the cells as they are."""
    value = statistic(np.ones((1, len(sample.values_CK))), sample)[0]
    return round(float(value), DECIMALS)


def clustered_weights(cells: pd.DataFrame, *, draws: int = DRAWS, seed: int = 0) -> Array:
    """Draw pairs, then seeds within them, one draw of seeds for all pairs of a source language.

    Args:
        cells: one row a cell, with columns source, target and seed.
        draws: how many times.
        seed: of the random numbers.

    Returns:
        How often each cell was drawn, (D, C).
    """
    generator = np.random.default_rng(seed)
    # In order of their names, so that the order of rows changes nothing.
    pairs = sorted(set(zip(cells["source"], cells["target"], strict=True)))
    drawn = generator.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), size=draws)
    of_pair = {pair: drawn[:, index] for index, pair in enumerate(pairs)}
    of_seed: dict[tuple[str, int], Labels] = {}
    for source in sorted(set(cells["source"])):
        seeds = sorted({int(one) for one in cells.loc[cells["source"] == source, "seed"]})
        drawn = generator.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=draws)
        of_seed |= {(source, one): drawn[:, index] for index, one in enumerate(seeds)}
    weights = np.empty((draws, len(cells)))
    rows = zip(cells["source"], cells["target"], cells["seed"], strict=True)
    for column, (source, target, one) in enumerate(rows):
        weights[:, column] = of_pair[source, target] * of_seed[source, int(one)]
    return weights


def row_weights(rows_C: Labels, *, draws: int = DRAWS, seed: int = 0) -> Array:
    """Draw rows one by one; cells with the same label are one row. Returns (D, C)."""
    rows = np.unique(rows_C)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=draws)
    return drawn[:, np.searchsorted(rows, rows_C)].astype(np.float64)


def expanded_interval(values_D: Array, clusters: int, level: float = LEVEL) -> Interval:
    """Return percentiles of the draws, further out the fewer clusters there are; none for one cluster."""
    if clusters < 2:
        return Interval(np.nan, np.nan)
    reach = t_quantile((1 + level) / 2, clusters - 1) * float(np.sqrt(clusters / (clusters - 1)))
    return _percentiles(values_D, NormalDist().cdf(-reach))


def percentile_interval(values_D: Array, rows: int, level: float = LEVEL) -> Interval:
    """Return the plain percentiles of the draws; none for one row."""
    return Interval(np.nan, np.nan) if rows < 2 else _percentiles(values_D, (1 - level) / 2)


def _percentiles(values_D: Array, tail: float) -> Interval:
    known = values_D[np.isfinite(values_D)]
    if not len(known):
        return Interval(np.nan, np.nan)
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(round(float(low), DECIMALS), round(float(high), DECIMALS))


def t_quantile(probability: float, freedom: int) -> float:
    """Return a quantile of Student's t, within 0.1%.

    By the Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5), which falls short with fewer than 5
    degrees of freedom: for those, a table of the 97.5% quantile.
    """
    if math.isclose(probability, 0.975) and freedom in FEW:
        return FEW[freedom]
    z = NormalDist().inv_cdf(probability)
    terms: Sequence[float] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum((term / freedom**power for power, term in enumerate(terms, 1)), 0.0)
