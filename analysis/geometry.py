"""Norm ratio against angle of the two directions (the paper's Figure 4).

delta_src = source-only minus bilingual, delta_tgt = target-only minus bilingual, over all
parameters. One mark per cell: colour is the encoder, shape the task. The paper finds ratios near 1
and angles near 55 degrees; unrelated directions in many dimensions would be at 90.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis import names, style
from analysis.read import Results, split_by
from analysis.statistics import Array
from analysis.style import Drawing, Sheet, Skipped, encoder_colours

PAGE = style.Page(width=style.COLUMN, panel=2.0, left=0.48, foot=0.95)
PAPER_ANGLE = 55.0


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure of all cells."""
    rows = results.geometry[results.geometry["part"] == "all"].dropna(subset=["norm_ratio", "angle"])
    if rows.empty:
        yield Skipped("Norm ratio and angle: the results hold no geometry rows of the whole model.")
        return
    text = (
        "The directions from the bilingual to the source-only (δ of src) and to the target-only model (δ of "
        "tgt), over all parameters: the ratio of their norms and the angle between them. "
        f"One mark per task, language pair and seed ({names.count(rows['cell'].nunique(), 'cell')})."
    )
    sheet = PAGE.axes(1, 1, title="How far, and in which directions, the monolingual models lie", text=text)
    axes = sheet.axes[0, 0]
    colours = encoder_colours(results.known, results.controls)
    tasks = names.in_order(rows["task"].unique())
    for (encoder, task), chosen in split_by(rows, "encoder", "task"):
        axes.plot(
            chosen["angle"].to_numpy(dtype=np.float64),
            chosen["norm_ratio"].to_numpy(dtype=np.float64),
            style.MARKS[tasks.index(task) % len(style.MARKS)],
            color=colours[encoder],
            ms=3.6,
            alpha=0.75,
            mec="white",
            mew=0.3,
            ls="none",
            label=f"{encoder}, {task}",
        )
    _frame(axes, rows["angle"].to_numpy(dtype=np.float64), rows["norm_ratio"].to_numpy(dtype=np.float64))
    present = set(rows["encoder"])
    labelled = {names.encoder(e, results.controls): colour for e, colour in colours.items() if e in present}
    _legend(sheet, labelled, tasks)
    yield sheet.named("geometry")


def _frame(axes: Axes, angles: Array, ratios: Array) -> None:
    style.grid_lines(axes)
    low, high = min(45.0, angles.min() - 4), max(94.0, angles.max() + 4)
    axes.set_xlim(low, high)
    reach = max(0.2, 1.15 * float(np.abs(ratios - 1).max()))
    axes.set_ylim(max(0.0, 1 - reach), 1 + reach)
    axes.axhline(1.0, color=style.RULE, lw=0.7, ls=":", zorder=1)
    for angle, words in ((PAPER_ANGLE, "55°: the paper"), (90.0, "90°: unrelated")):
        axes.axvline(angle, color=style.RULE, lw=0.7, ls=":", zorder=1)
        axes.annotate(
            words,
            (angle, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center" if angle < 80 else "right",
            va="bottom",
            fontsize=8,
            color=style.QUIET,
        )
    axes.set_xlabel("angle between δ$_{src}$ and δ$_{tgt}$ (degrees)")
    axes.set_ylabel("norm ratio  ‖δ$_{src}$‖ / ‖δ$_{tgt}$‖")


def _legend(sheet: Sheet, colours: Mapping[str, str], tasks: Sequence[str]) -> None:
    encoders = [Line2D([], [], lw=2, color=colour, label=label) for label, colour in colours.items()]
    shapes = [
        Line2D(
            [],
            [],
            marker=style.MARKS[i % len(style.MARKS)],
            ls="none",
            ms=3.6,
            color=style.QUIET,
            label=names.task(task),
        )
        for i, task in enumerate(tasks)
    ]
    look = {"handlelength": 1.4, "handletextpad": 0.4, "columnspacing": 1.0}
    sheet.legend(encoders, 0.52, x=0.52, columns=3, labelspacing=0.2, **look)
    sheet.legend(shapes, 0.42, x=0.52, columns=2, labelspacing=0.2, loc="upper center", **look)
