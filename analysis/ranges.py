"""Which part of the curves a panel shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from analysis.statistics import Array, Band


class Curve(NamedTuple):
    """A line of a panel: alphas in order, its value and the edges of its band."""

    alphas: Array
    middle: Array
    band: Band


def readable_limits(
    curves: Sequence[Curve], least_span: float, *, logarithmic: bool = False
) -> tuple[float, float]:
    """Return a y range for what happens between the two models.

    Extrapolated models often fall to nothing; were they to set the range, the part between the
    models would be a flat stripe. They are shown as far as half the inner range below and above.
    """
    every = np.concatenate([np.concatenate([c.middle, c.band.low, c.band.high]) for c in curves])
    inside = [(curve.alphas >= 0) & (curve.alphas <= 1) for curve in curves]
    pairs = list(zip(curves, inside, strict=True))
    inner = np.concatenate([np.concatenate([c.middle[i], c.band.low[i], c.band.high[i]]) for c, i in pairs])
    if logarithmic:
        every, inner = every[every > 0], inner[inner > 0]
        if not len(every):
            return 1e-6, 1.0
        low, high = readable_of(np.log10(every), np.log10(inner), least_span)
        return float(10**low), float(10**high)
    return readable_of(every[np.isfinite(every)], inner[np.isfinite(inner)], least_span)


def readable_of(every: Array, inner: Array, least_span: float) -> tuple[float, float]:
    """Return a range around the inner values that reaches half its own width towards all values."""
    if not len(every):
        return 0.0, 1.0
    core = inner if len(inner) else every
    low, high = float(core.min()), float(core.max())
    lack = max(0.0, least_span - (high - low)) / 2
    low, high = low - lack, high + lack
    reach = 0.5 * (high - low)
    low, high = (
        max(min(low, float(every.min())), low - reach),
        min(max(high, float(every.max())), high + reach),
    )
    pad = 0.05 * (high - low)
    return low - pad, high + pad
