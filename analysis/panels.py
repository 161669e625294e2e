"""Score against alpha in panels: what the figures of lines, pairs, scopes and variances share.

Each encoder is a colour, and a mark on the two trained models; a solid line is what is scored on the
source language, a dashed line on the target language. What a line shows (raw or normalised, which band)
is the caller's ``curve``; which panels there are is the caller's grid.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis import names, style
from analysis.ranges import Curve, readable_limits
from analysis.statistics import Array, Band
from analysis.style import Sheet

FOOT = 0.84


class Line(NamedTuple):
    """One of the paper's two lines: its flag in the results, its title, and its model at alpha 0."""

    flag: str
    title: str
    start: str

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows on this line."""
        return rows[rows[self.flag].astype(bool)]


# Eq. 1 and Eq. 2 of the paper.
LINES = (
    Line("on_src_line", "source-only to bilingual", "source-only"),
    Line("on_tgt_line", "target-only to bilingual", "target-only"),
)
SCORED_ON = {"source": "scored on the source language", "target": "scored on the target language"}
ROLES = tuple(SCORED_ON)
LEVEL = "one constant answer"
LEVEL_WIDTH = 0.6


class Panel(NamedTuple):
    """A panel: its title, its y label (written in the first column), its rows, its model at alpha 0.

    ``levels`` are scores to compare with, by whether they are on the source or the target language.
    """

    title: str
    y_label: str
    rows: pd.DataFrame
    start: str
    levels: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a figure of panels says and measures.

    ``own_scales`` gives every row of panels a y range of its own; otherwise all share one.
    """

    title: str
    text: str
    curve: Callable[[pd.DataFrame], Curve]
    colours: Mapping[str, str]
    controls: Collection[str]
    languages: Mapping[str, str] = field(default_factory=lambda: dict(SCORED_ON))
    reference: float | None = None
    least_span: float = 0.1
    own_scales: bool = False
    logarithmic: bool = False
    height: float = 1.35
    shade: float = 0.16


def by_cell(rows: pd.DataFrame, column: str) -> tuple[Array, Array]:
    """Return alphas (P,) in order and the column's values (C, P), NaN where a cell lacks a point."""
    return by_group(rows, rows["cell"], column)


def by_group(rows: pd.DataFrame, groups: pd.Series[str], column: str) -> tuple[Array, Array]:
    """Return alphas (P,) in order and the column's values (G, P) of groups that have a point once."""
    points, places = np.unique(rows["point"].to_numpy(), return_inverse=True)
    at = np.full(len(points), np.nan)
    at[places] = rows["alpha"].to_numpy(dtype=np.float64)
    codes, found = pd.factorize(groups, sort=True)
    values = np.full((len(found), len(points)), np.nan)
    values[codes, places] = rows[column].to_numpy(dtype=np.float64)
    order = np.argsort(at, kind="stable")
    return at[order], values[:, order]


def draw(grid: Sequence[Sequence[Panel]], look: Look) -> Sheet:
    """Draw a grid of panels with a legend below."""
    label = max(across[0].y_label.count("\n") for across in grid)
    left = 0.52 + label * style.LINE_HEIGHT
    page = style.Page(panel=look.height, foot=FOOT, left=left, gap=(0.15, 0.3))
    sheet = page.axes(len(grid), len(grid[0]), title=look.title, text=look.text)
    drawn: list[list[Curve]] = []
    for across, panels in zip(sheet.axes, grid, strict=True):
        curves = [
            curve for axes, one in zip(across, panels, strict=True) for curve in _panel(axes, one, look)
        ]
        drawn.append(curves)
        across[0].set_ylabel(panels[0].y_label)
        for axes in across[1:]:
            axes.tick_params(labelleft=False)
    together = [curve for curves in drawn for curve in curves]
    cut = False
    for across, curves in zip(sheet.axes, drawn, strict=True):
        cut |= _scale(across, curves if look.own_scales else together, look)
    for column, axes in enumerate(sheet.axes[-1]):
        _name_models(axes, {panels[column].start for panels in grid})
    for axes in [axes for across in sheet.axes[:-1] for axes in across]:
        axes.tick_params(labelbottom=False)
    _foot(sheet, grid, look, "; curves go on below the panels" if cut else "")
    return sheet


def _panel(axes: Axes, panel: Panel, look: Look) -> list[Curve]:
    curves = []
    there = set(panel.rows["encoder"])
    encoders = [encoder for encoder in look.colours if encoder in there]
    # Source curves often coincide: later ones are drawn thinner, so that earlier ones show beside them.
    widths = np.linspace(1.5, 0.9, len(encoders)) if len(encoders) > 1 else [1.2]
    for encoder, width in zip(reversed(encoders), widths, strict=True):
        for role in ROLES:
            rows = panel.rows
            chosen = rows[(rows["encoder"] == encoder) & (rows["eval_role"] == role)]
            if chosen.empty:
                continue
            curve = look.curve(chosen)
            _curve(axes, curve, look, encoder, role, float(width))
            curves.append(curve)
    axes.set_title(panel.title, loc="left", color=style.INK)
    if not curves:
        axes.text(0.5, 0.5, "no points", transform=axes.transAxes, ha="center", color=style.QUIET)
    _guides(axes, curves, look)
    return [*curves, *_levels(axes, panel.levels)]


def _curve(axes: Axes, curve: Curve, look: Look, encoder: str, role: str, width: float) -> None:
    colour = look.colours[encoder]
    if np.isfinite(curve.band.low).any():
        axes.fill_between(curve.alphas, curve.band.low, curve.band.high, color=colour, alpha=look.shade, lw=0)
    axes.plot(
        curve.alphas,
        curve.middle,
        color=colour,
        linestyle=style.LINE_STYLES[role],
        linewidth=width,
        marker=style.MARKS[list(look.colours).index(encoder) % len(style.MARKS)],
        markersize=3.2,
        # 0 and 1 are exact as floats.
        markevery=np.flatnonzero(np.isin(curve.alphas, (0.0, 1.0))).tolist(),
        label=f"{encoder}, {role}",
    )


def _guides(axes: Axes, curves: Sequence[Curve], look: Look) -> None:
    """Mark the two trained models and shade what lies beyond them."""
    low = min([float(curve.alphas[0]) for curve in curves] + [0.0])
    high = max([float(curve.alphas[-1]) for curve in curves] + [1.0])
    pad = 0.03 * (high - low)
    axes.set_xlim(low - pad, high + pad)
    for start, end in ((low - pad, 0.0), (1.0, high + pad)):
        axes.axvspan(start, end, color=style.SHADE, lw=0, zorder=0)
    for alpha in (0.0, 1.0):
        axes.axvline(alpha, color=style.RULE, lw=0.7, zorder=1)
    if look.reference is not None:
        axes.axhline(look.reference, color=style.RULE, lw=0.7, ls=":", zorder=1)
    ticks = [tick for tick in (-0.5, 0.0, 0.5, 1.0, 1.5) if low - pad <= tick <= high + pad]
    axes.set_xticks(ticks, [style.number(tick) for tick in ticks])
    style.grid_lines(axes)


def _levels(axes: Axes, levels: Mapping[str, float]) -> list[Curve]:
    """Draw scores to compare with; return them as curves, so that the panel's range has them."""
    for role, level in levels.items():
        axes.axhline(
            level,
            color=style.QUIET,
            lw=LEVEL_WIDTH,
            ls=style.LINE_STYLES[role],
            zorder=1.5,
            label=f"{LEVEL}, {role}",
        )
    ends, nothing = np.array([0.0, 1.0]), np.full(2, np.nan)
    return [Curve(ends, np.full(2, level), Band(nothing, nothing)) for level in levels.values()]


def _name_models(axes: Axes, starts: Collection[str]) -> None:
    """Write below 0 and 1 which models those are; the titles say which where the panels above differ."""
    words = {0.0: next(iter(starts)) if len(starts) == 1 else "monolingual", 1.0: "bilingual"}
    for alpha, name in words.items():
        axes.annotate(
            name,
            (alpha, 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -14),
            textcoords="offset points",
            ha="center",
            va="top",
            color=style.INK,
        )


def _scale(across: Sequence[Axes], curves: Sequence[Curve], look: Look) -> bool:
    """Set one range for a row of panels; return whether a curve leaves it at the bottom."""
    if not curves:
        return False
    limits = readable_limits(curves, look.least_span, logarithmic=look.logarithmic)
    for panel in across:
        # A band's edge of 0 is clipped to below the panel; masked, the band would end in a wedge.
        # Limits first: a panel without a positive value has none that a logarithmic scale could take.
        panel.set_ylim(*limits)
        if look.logarithmic:
            panel.set_yscale("log", nonpositive="clip")
    return not look.logarithmic and min(float(np.nanmin(curve.middle)) for curve in curves) < limits[0]


def _foot(sheet: Sheet, grid: Sequence[Sequence[Panel]], look: Look, cut: str) -> None:
    """Write what the x axis is, then the legend: encoders by colour and mark, languages by line style."""
    present = {encoder for panels in grid for panel in panels for encoder in panel.rows["encoder"].unique()}
    encoders = [
        Line2D(
            [],
            [],
            color=colour,
            lw=1.6,
            marker=style.MARKS[index % len(style.MARKS)],
            ms=3.6,
            label=names.encoder(encoder, look.controls),
        )
        for index, (encoder, colour) in enumerate(look.colours.items())
        if encoder in present
    ]
    roles = [
        Line2D([], [], color=style.INK, lw=1.2, ls=style.LINE_STYLES[role], label=look.languages[role])
        for role in ROLES
    ]
    if any(panel.levels for panels in grid for panel in panels):
        roles.append(Line2D([], [], color=style.QUIET, lw=LEVEL_WIDTH, label=LEVEL))
    words = f"share of the bilingual model in the mix, α (grey: extrapolated beyond the two models{cut})"
    sheet.figure.text(0.54, 0.46 / sheet.figure.get_size_inches()[1], words, ha="center", va="center")
    for handles, y in ((encoders, 0.28), (roles, 0.11)):
        sheet.legend(handles, y, x=0.54, handlelength=2.4, columnspacing=1.4)
