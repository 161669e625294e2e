"""The arithmetic behind the figures and the summary, on plain arrays.

Shapes: C cells (one curve each), P points along a line. Scores are fractions in [0, 1].
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DRAWS = 2000
LEVEL = 0.95


class Band(NamedTuple):
    """Lower and upper edge at every point, NaN where there is nothing to resample."""

    low: Array
    high: Array


def mean_over_cells(values_CP: Array) -> Array:
    """Return the mean of the cells that have a point; NaN where none has."""
    known = np.isfinite(values_CP)
    counts = known.sum(axis=0)
    sums = np.where(known, values_CP, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def bootstrap_band(values_CP: Array, *, draws: int = DRAWS, level: float = LEVEL, seed: int = 0) -> Band:
    """Return the percentile bootstrap interval of the mean over cells at each point.

    A draw resamples whole cells: the points of a cell come from the same three models, so drawing
    them one by one would count one model many times. One cell alone has no band.
    """
    cells, points = values_CP.shape
    if cells < 2:
        return Band(np.full(points, np.nan), np.full(points, np.nan))
    weights = _draws(cells, draws, seed)
    known = np.isfinite(values_CP)
    tail = (1.0 - level) / 2
    if known.all():
        # The common case, in a third of the time.
        low, high = np.quantile(weights @ values_CP / cells, [tail, 1.0 - tail], axis=0)
        return Band(low, high)
    counts = weights @ known.astype(np.float64)
    sums = weights @ np.where(known, values_CP, 0.0)
    means = np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)
    edges = np.full((2, points), np.nan)
    # A point that a single cell has says nothing about spread, like a single cell.
    spread = known.sum(axis=0) > 1
    edges[:, spread] = np.nanquantile(means[:, spread], [tail, 1.0 - tail], axis=0)
    return Band(edges[0], edges[1])


@lru_cache(maxsize=8)
def _draws(cells: int, draws: int, seed: int) -> Array:
    """Return how often each cell is drawn, (D, C); the same for all curves of as many cells."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(cells, np.full(cells, 1.0 / cells), size=draws).astype(np.float64)


def range_band(values_CP: Array) -> Band:
    """Return the lowest and the highest cell at each point; one cell alone has no band."""
    known = np.isfinite(values_CP)
    spread = known.sum(axis=0) > 1
    low = np.where(known, values_CP, np.inf).min(axis=0)
    high = np.where(known, values_CP, -np.inf).max(axis=0)
    return Band(np.where(spread, low, np.nan), np.where(spread, high, np.nan))


def largest_drop(scores: Array) -> float:
    """Return how far a curve falls below its first value at its lowest; 0 if it never does."""
    return float(scores[0] - scores.min())


def largest_setback(scores: Array) -> float:
    """Return how far a curve falls at most below the highest value that it had reached before."""
    return float((np.maximum.accumulate(scores) - scores).max())


def stretches(alphas: Array) -> Array:
    """Return the stretch of alpha that each point stands for (trapezoid rule)."""
    gaps = np.diff(alphas)
    weights: Array = (np.append(gaps, 0.0) + np.append(0.0, gaps)) / 2
    return weights


def straightness(alphas: Array, scores: Array) -> float:
    """Return R² of the straight line between the two ends of a curve: 1 is a straight line.

    Points are weighted by the stretch of alpha that they stand for (trapezoid rule). The paper's
    alphas crowd near both ends, where the line fits by construction; counted equally, they would
    flatter every curve. NaN for a curve that is constant; below 0 when the curve's mean is a
    better guess than the line.
    """
    weights = stretches(alphas)
    line = scores[0] + (scores[-1] - scores[0]) * (alphas - alphas[0]) / (alphas[-1] - alphas[0])
    centre = np.average(scores, weights=weights)
    total = float(weights @ (scores - centre) ** 2)
    if np.ptp(scores) == 0 or total == 0:
        return float("nan")
    return 1.0 - float(weights @ (scores - line) ** 2) / total
