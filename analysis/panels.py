"""Score against alpha: one row of panels per task, one column per line of the paper.

Left, Eq. 1: from the source-only to the bilingual model. Right, Eq. 2: from the target-only to the
bilingual model. Each encoder is a colour; a solid line is the score on the source language, a
dashed line on the target language. What a line shows (raw or normalised, which band) is the
caller's ``curve``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import names, style
from analysis.statistics import Array, Band

PAGE = style.Page(panel=(4.3, 2.3), gap=(0.35, 0.42), left=0.95, foot=1.5)


class Line(NamedTuple):
    """One of the paper's two lines: its flag in the results, its title, and its model at alpha 0."""

    flag: str
    title: str
    start: str


LINES = (
    Line("on_src_line", "From the source-only to the bilingual model", "source-only"),
    Line("on_tgt_line", "From the target-only to the bilingual model", "target-only"),
)


ROLES = ("source", "target")


class Curve(NamedTuple):
    """A line of a panel: alphas in order, its value and the edges of its band."""

    alphas: Array
    middle: Array
    band: Band


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a figure of panels says and measures."""

    title: str
    text: str
    curve: Callable[[pd.DataFrame], Curve]
    y_label: Callable[[str], str]
    languages: Mapping[str, str]
    colours: Mapping[str, str]
    controls: Collection[str]
    reference: float | None = None
    least_span: float = 0.1


def by_cell(rows: pd.DataFrame, column: str) -> tuple[Array, Array]:
    """Return alphas (P,) in order and the column's values (C, P), NaN where a cell lacks a point."""
    order = rows.groupby("point")["alpha"].first().astype(float).sort_values()
    table = rows.pivot(index="cell", columns="point", values=column).reindex(columns=order.index)
    alphas: Array = np.array(order, dtype=np.float64)
    values: Array = table.to_numpy(dtype=np.float64)
    return alphas, values


def draw(rows: pd.DataFrame, look: Look) -> Figure:
    """Draw the panels of all tasks in ``rows``."""
    tasks = names.in_order(rows["task"].unique())
    figure, axes = PAGE.axes(len(tasks), len(LINES), title=look.title, text=look.text)
    cut = False
    for task, across in zip(tasks, axes, strict=True):
        of_task = rows[rows["task"] == task]
        curves = [_panel(panel, of_task, line, look) for panel, line in zip(across, LINES, strict=True)]
        cut |= _scale(across, [curve for one in curves for curve in one], look)
        across[0].set_ylabel(f"{names.task(task)}\n{look.y_label(str(of_task['metric'].iloc[0]))}")
    for top, bottom, line in zip(axes[0], axes[-1], LINES, strict=True):
        top.set_title(line.title, loc="left", color=style.INK, pad=7)
        words = {0.0: f"0\n{line.start}\nmodel", 1.0: "1\nbilingual\nmodel"}
        ticks = [float(tick) for tick in bottom.get_xticks()]
        bottom.set_xticks(ticks, [words.get(tick, _tick(tick)) for tick in ticks])
    _foot(figure, rows, look, "; curves go on below the panels" if cut else "")
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, line: Line, look: Look) -> list[Curve]:
    curves = []
    on_line = rows[rows[line.flag].astype(bool)]
    encoders = [encoder for encoder in look.colours if encoder in set(on_line["encoder"])]
    # Source curves often coincide: later ones are drawn thinner, so that earlier ones show beside them.
    widths = np.linspace(2.0, 1.4, len(encoders)) if len(encoders) > 1 else [1.8]
    for encoder, width in zip(reversed(encoders), widths, strict=True):
        for role in ROLES:
            chosen = on_line[(on_line["encoder"] == encoder) & (on_line["eval_role"] == role)]
            if chosen.empty:
                continue
            curve = look.curve(chosen)
            colour = look.colours[encoder]
            axes.fill_between(curve.alphas, curve.band.low, curve.band.high, color=colour, alpha=0.16, lw=0)
            axes.plot(
                curve.alphas,
                curve.middle,
                color=colour,
                linestyle=style.LINE_STYLES[role],
                linewidth=float(width),
                label=f"{encoder}, {role}",
            )
            curves.append(curve)
    if not curves:
        axes.text(
            0.5, 0.5, "no points on this line", transform=axes.transAxes, ha="center", color=style.QUIET
        )
    _guides(axes, curves, look)
    return curves


def _guides(axes: Axes, curves: Sequence[Curve], look: Look) -> None:
    """Mark the two trained models and shade what lies beyond them."""
    low = min([float(curve.alphas[0]) for curve in curves] + [0.0])
    high = max([float(curve.alphas[-1]) for curve in curves] + [1.0])
    pad = 0.02 * (high - low)
    axes.set_xlim(low - pad, high + pad)
    for start, end in ((low - pad, 0.0), (1.0, high + pad)):
        axes.axvspan(start, end, color="#F3F3F3", lw=0, zorder=0)
    for alpha in (0.0, 1.0):
        axes.axvline(alpha, color="#999999", lw=0.9, zorder=1)
    if look.reference is not None:
        axes.axhline(look.reference, color="#999999", lw=0.9, ls=":", zorder=1)
    ticks = [tick for tick in (-0.5, 0.0, 0.5, 1.0, 1.5) if low - pad <= tick <= high + pad]
    axes.set_xticks(ticks, [_tick(tick) for tick in ticks])
    style.grid_lines(axes)


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _scale(across: Sequence[Axes], curves: Sequence[Curve], look: Look) -> bool:
    """Set one range for a task's panels; return whether a curve leaves it at the bottom."""
    for panel in across[1:]:
        panel.tick_params(labelleft=False)
    if curves:
        limits = readable_limits(curves, look.least_span)
        for panel in across:
            panel.set_ylim(*limits)
        return min(float(np.nanmin(curve.middle)) for curve in curves) < limits[0]
    return False


def readable_limits(curves: Sequence[Curve], least_span: float) -> tuple[float, float]:
    """Return a y range for what happens between the two models.

    Extrapolated models often fall to nothing; were they to set the range, the part between the
    models would be a flat stripe. They are shown as far as half the inner range below and above.
    """
    every = np.concatenate([np.concatenate([c.middle, c.band.low, c.band.high]) for c in curves])
    inside = [(curve.alphas >= 0) & (curve.alphas <= 1) for curve in curves]
    pairs = list(zip(curves, inside, strict=True))
    inner = np.concatenate([np.concatenate([c.middle[i], c.band.low[i], c.band.high[i]]) for c, i in pairs])
    every, inner = every[np.isfinite(every)], inner[np.isfinite(inner)]
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


def _foot(figure: Figure, rows: pd.DataFrame, look: Look, cut: str) -> None:
    """Write what the x axis is, then the legend: encoders by colour, languages by line style."""
    present = set(rows["encoder"])
    encoders = [
        Line2D([], [], color=colour, lw=3, label=names.encoder(encoder, look.controls))
        for encoder, colour in look.colours.items()
        if encoder in present
    ]
    roles = [
        Line2D([], [], color=style.INK, lw=1.7, ls=style.LINE_STYLES[role], label=look.languages[role])
        for role in ROLES
    ]
    width, height = figure.get_size_inches()
    centre = (PAGE.left + PAGE.panel[0] + PAGE.gap[0] / 2) / width
    words = f"mixing coefficient α (grey: extrapolated beyond the two models{cut})"
    figure.text(centre, 0.77 / height, words, ha="center", va="center")
    for handles, y in ((encoders, 0.5), (roles, 0.25)):
        figure.legend(
            handles=handles,
            loc="center",
            bbox_to_anchor=(centre, y / height),
            ncols=len(handles),
            handlelength=2.6,
            columnspacing=1.8,
        )
