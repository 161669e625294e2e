"""Normalised scores over the plane through the three models (the paper's Figure 3).

One figure per task and pair; a row of panels per encoder, left scored on the source language,
right on the target language, all on one colour scale. The scale follows the triangle between the
three models, where the question lies; darker than its lower end means "below", as far models
often score nothing. The axes' values may be unevenly spaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from analysis import names, style
from analysis.read import Results, split_by
from analysis.statistics import Array
from analysis.style import Drawing, Skipped

PAGE = style.Page(panel=(3.1, 3.1), gap=(0.45, 0.8), left=0.85, right=1.2, foot=0.6)
COLOURS = "viridis"
GOOD = 0.95


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


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure per task and pair, of the models interpolated as a whole."""
    rows = results.surfaces
    rows = rows[rows["on_plane"].astype(bool) & (rows["scope"] == "all") & rows["relative"].notna()]
    if rows.empty:
        yield Skipped("Planes: the results hold no point of a plane (scope 'all') with a bilingual score.")
    for (task, source, target), chosen in split_by(rows, "task", "source", "target"):
        planes = {
            (encoder, role): plane
            for (encoder, role), one in split_by(chosen, "encoder", "eval_role")
            if min((plane := plane_of(one)).scores.shape) > 1
        }
        if not planes:
            yield Skipped(f"Plane of {task}, {source} → {target}: fewer than 2 x 2 points.")
            continue
        figure = _figure(planes, results.controls, task, (source, target), chosen["seed"].nunique())
        yield Drawing(f"plane-{task}-{source}-{target}", figure)


def plane_of(rows: pd.DataFrame) -> Plane:
    """Return the mean over seeds of the relative scores, laid out on the plane's axes."""
    points = rows.groupby("point").agg(
        a_src=("a_src", "first"), a_tgt=("a_tgt", "first"), mean=("relative", "mean")
    )
    a_src, column = np.unique(points["a_src"].to_numpy(dtype=np.float64), return_inverse=True)
    a_tgt, row = np.unique(points["a_tgt"].to_numpy(dtype=np.float64), return_inverse=True)
    scores = np.full((len(a_tgt), len(a_src)), np.nan)
    scores[row, column] = points["mean"].to_numpy(dtype=np.float64)
    return Plane(a_src, a_tgt, scores)


def levels_of(planes: Mapping[tuple[str, str], Plane]) -> Array:
    """Return the colour steps that all panels share."""
    inside = np.concatenate([plane.between for plane in planes.values()])
    every = np.concatenate([plane.scores[np.isfinite(plane.scores)] for plane in planes.values()])
    core = inside if len(inside) else every
    low, high = float(core.min()), float(core.max())
    reach = 0.2 * max(high - low, 0.05)
    low, high = max(low - reach, min(0.0, low)), high + 0.05
    return np.asarray(
        MaxNLocator(nbins=14, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high), dtype=np.float64
    )


def _figure(
    planes: Mapping[tuple[str, str], Plane],
    controls: Collection[str],
    task: str,
    pair: tuple[str, str],
    seeds: int,
) -> Figure:
    encoders = list(style.encoder_colours({encoder for encoder, _ in planes}, controls))
    text = (
        "Every point is a model: the bilingual one moved towards (or past) the source-only and the "
        f"target-only model. Colour: score divided by the bilingual model's, mean over "
        f"{names.count(seeds, 'seed')}. "
        f"White line: {GOOD:g}. Dashed: the straight lines between the models."
    )
    title = f"{names.task(task)}: the plane through the three models, {names.pair(*pair)}"
    figure, axes = PAGE.axes(len(encoders), 2, title=title, text=text)
    levels = levels_of(planes)
    for encoder, across in zip(encoders, axes, strict=True):
        for role, code, panel in zip(("source", "target"), pair, across, strict=True):
            panel.set_title(
                f"{names.encoder(encoder, controls)}\nscored on {names.language(code)} ({role})",
                loc="left",
                fontsize=9.5,
            )
            if (encoder, role) in planes:
                _panel(panel, planes[encoder, role], levels)
            else:
                panel.text(0.5, 0.5, "no points", transform=panel.transAxes, ha="center", color=style.QUIET)
        across[0].set_ylabel("towards target-only  (α₂)")
        across[1].tick_params(labelleft=False)
    for panel in axes[-1]:
        panel.set_xlabel("towards source-only  (α₁)")
    _colour_bar(figure, levels)
    return figure


def _steps(levels: Array) -> BoundaryNorm:
    """Return the steps of colour, the same for the panels and the bar."""
    return BoundaryNorm(levels.tolist(), ncolors=256, extend="both")


def _panel(axes: Axes, plane: Plane, levels: Array) -> None:
    masked = np.ma.masked_invalid(plane.scores)
    filled = axes.contourf(
        plane.a_src, plane.a_tgt, masked, levels=levels, cmap=COLOURS, norm=_steps(levels), extend="both"
    )
    filled.set_edgecolor("face")
    if masked.min() < GOOD < masked.max():
        axes.contour(plane.a_src, plane.a_tgt, masked, levels=[GOOD], colors="white", linewidths=1.3)
    axes.set_aspect("equal")
    axes.xaxis.set_major_locator(MultipleLocator(0.5))
    axes.yaxis.set_major_locator(MultipleLocator(0.5))
    for spine in axes.spines.values():
        spine.set_visible(False)
    corners = {"bilingual": (0.0, 0.0, "o"), "source-only": (1.0, 0.0, "s"), "target-only": (0.0, 1.0, "^")}
    for x, y, _ in (corners["source-only"], corners["target-only"]):
        axes.plot([0, x], [0, y], color="white", lw=0.9, ls=(0, (3, 2)), label="_")
    limits = (plane.a_src[0], plane.a_src[-1], plane.a_tgt[0], plane.a_tgt[-1])
    for name, (x, y, marker) in corners.items():
        if limits[0] <= x <= limits[1] and limits[2] <= y <= limits[3]:
            axes.plot(x, y, marker, ms=6.5, mfc="white", mec="black", mew=1.0, label=name, ls="none")
            _name(axes, name, x, y, limits)
    axes.set_xlim(limits[0], limits[1])
    axes.set_ylim(limits[2], limits[3])


def _name(axes: Axes, name: str, x: float, y: float, limits: tuple[float, float, float, float]) -> None:
    """Write a model's name beside its mark, on the side where the panel has room."""
    above = y - limits[2] < 0.12 * (limits[3] - limits[2])
    side = "left" if x - limits[0] < 0.2 * (limits[1] - limits[0]) else "center"
    side = "right" if limits[1] - x < 0.2 * (limits[1] - limits[0]) else side
    axes.annotate(
        name,
        (x, y),
        xytext=(0, 7 if above or name == "target-only" else -7),
        textcoords="offset points",
        ha=side,
        va="bottom" if above or name == "target-only" else "top",
        fontsize=8.5,
        color="white",
        path_effects=[patheffects.withStroke(linewidth=2.2, foreground="black")],
    )


def _colour_bar(figure: Figure, levels: Array) -> None:
    width, height = figure.get_size_inches()
    bottom, top = PAGE.foot / height, max(axes.get_position().y1 for axes in figure.axes)
    length = min(top - bottom, 4.0 / height)
    middle = (top + bottom) / 2
    place = (1 - (PAGE.right - 0.22) / width, middle - length / 2, 0.16 / width, length)
    bar = figure.add_axes(place, label="colour bar")
    figure.colorbar(ScalarMappable(_steps(levels), COLOURS), cax=bar, label="score, bilingual model = 1")
    # Every other step, counted from 1 so that the bilingual model's own score is on the bar.
    bar.set_yticks(levels[int(np.abs(levels - 1).argmin()) % 2 :: 2])
    bar.tick_params(length=2)
