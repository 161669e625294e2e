"""Norm ratio against angle of the two directions (the paper's Figure 4).

delta_src = source-only minus bilingual, delta_tgt = target-only minus bilingual, over all
parameters. One mark per cell: colour is the encoder, shape the task. The paper finds ratios near 1
and angles near 55 degrees; unrelated directions in many dimensions would be at 90.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import names, style
from analysis.read import Results, split_by
from analysis.statistics import Array
from analysis.style import Drawing, Skipped, encoder_colours

PAGE = style.Page(panel=(5.2, 3.6), left=0.8, right=2.5, foot=0.65)
MARKS = ("o", "s", "^", "D", "v", "P", "X")
PAPER_ANGLE = 55.0


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure of all cells."""
    rows = results.geometry[results.geometry["part"] == "all"].dropna(subset=["norm_ratio", "angle"])
    if rows.empty:
        yield Skipped("Norm ratio and angle: the results hold no geometry rows of the whole model.")
        return
    text = (
        "$\\delta_{src}$ and $\\delta_{tgt}$ lead from the bilingual model to the source-only and to the "
        "target-only model, over all parameters. "
        f"One mark per task, language pair and seed ({names.count(rows['cell'].nunique(), 'cell')})."
    )
    figure, panels = PAGE.axes(
        1, 1, title="How far, and in which directions, the monolingual models lie", text=text
    )
    axes = panels[0, 0]
    colours = encoder_colours(results.encoders, results.controls)
    tasks = names.in_order(rows["task"].unique())
    for (encoder, task), chosen in split_by(rows, "encoder", "task"):
        axes.plot(
            chosen["angle"].to_numpy(dtype=np.float64),
            chosen["norm_ratio"].to_numpy(dtype=np.float64),
            MARKS[tasks.index(task) % len(MARKS)],
            color=colours[encoder],
            ms=6,
            alpha=0.75,
            mec="white",
            mew=0.5,
            ls="none",
            label=f"{encoder}, {task}",
        )
    _frame(axes, rows["angle"].to_numpy(dtype=np.float64), rows["norm_ratio"].to_numpy(dtype=np.float64))
    present = set(rows["encoder"])
    labelled = {names.encoder(e, results.controls): colour for e, colour in colours.items() if e in present}
    _legend(figure, axes, labelled, tasks)
    yield Drawing("geometry", figure)


def _frame(axes: Axes, angles: Array, ratios: Array) -> None:
    style.grid_lines(axes)
    low, high = min(40.0, angles.min() - 5), max(95.0, angles.max() + 5)
    axes.set_xlim(low, high)
    reach = max(0.2, 1.15 * float(np.abs(ratios - 1).max()))
    axes.set_ylim(max(0.0, 1 - reach), 1 + reach)
    axes.axhline(1.0, color="#999999", lw=0.9, ls=":", zorder=1)
    for angle, words in ((PAPER_ANGLE, "55°: the paper"), (90.0, "90°: unrelated")):
        axes.axvline(angle, color="#999999", lw=0.9, ls=":", zorder=1)
        axes.annotate(
            words,
            (angle, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
            color=style.QUIET,
        )
    axes.set_xlabel("angle between $\\delta_{src}$ and $\\delta_{tgt}$ (degrees)")
    axes.set_ylabel("norm ratio  $\\|\\delta_{src}\\|\\ /\\ \\|\\delta_{tgt}\\|$")


def _legend(figure: Figure, axes: Axes, colours: dict[str, str], tasks: Sequence[str]) -> None:
    handles = [Line2D([], [], lw=3, color=colour, label=label) for label, colour in colours.items()]
    handles += [
        Line2D([], [], marker=MARKS[i % len(MARKS)], ls="none", color=style.QUIET, label=names.task(task))
        for i, task in enumerate(tasks)
    ]
    figure.legend(
        handles=handles, loc="center left", bbox_to_anchor=(axes.get_position().x1 + 0.01, 0.5), fontsize=8.5
    )
