"""Scores laid out on the plane's axes, and the steps of colour that suit them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from analysis.statistics import Array


class Plane(NamedTuple):
    """Scores (Y, X) over the values of a_src (X,) and a_tgt (Y,); NaN where a point is missing."""

    a_src: Array
    a_tgt: Array
    scores: Array

    @property
    def between(self) -> Array:
        """The scores in the triangle whose corners are the three models."""
        x, y = np.meshgrid(self.a_src, self.a_tgt)
        chosen: Array = self.scores[(x >= 0) & (y >= 0) & (x + y <= 1 + 1e-9)]
        return chosen[np.isfinite(chosen)]

    @property
    def drawable(self) -> bool:
        """Whether there is an area to draw."""
        return all(side > 1 for side in self.scores.shape)


def plane_of(rows: pd.DataFrame) -> Plane:
    """Return the mean over cells of the relative scores, laid out on the plane's axes."""
    _, first, place = np.unique(rows["point"].to_numpy(), return_index=True, return_inverse=True)
    means = np.bincount(place, weights=rows["relative"].to_numpy(dtype=np.float64)) / np.bincount(place)
    a_src, column = np.unique(rows["a_src"].to_numpy(dtype=np.float64)[first], return_inverse=True)
    a_tgt, row = np.unique(rows["a_tgt"].to_numpy(dtype=np.float64)[first], return_inverse=True)
    scores = np.full((len(a_tgt), len(a_src)), np.nan)
    scores[row, column] = means
    return Plane(a_src, a_tgt, scores)


def levels_of(planes: Sequence[Plane]) -> Array:
    """Return the colour steps that all panels share."""
    inside = np.concatenate([plane.between for plane in planes])
    every = np.concatenate([plane.scores[np.isfinite(plane.scores)] for plane in planes])
    core = inside if len(inside) else every
    low, high = float(core.min()), float(core.max())
    reach = 0.2 * max(high - low, 0.05)
    low, high = max(low - reach, min(0.0, low)), high + 0.05
    return np.asarray(
        MaxNLocator(nbins=14, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high), dtype=np.float64
    )
