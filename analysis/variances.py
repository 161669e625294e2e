"""Variance over seeds along the two lines (the paper's Figure 5).

For each task, language pair and encoder: the variance over seeds (n - 1) of the score at a point, divided
by the square of the bilingual model's mean score on the same language. Each seed divided by its own
bilingual score would have no variance at the bilingual model by construction. Lines are means over tasks
and pairs; the band is the bootstrap interval of that mean over tasks and pairs. The scale is logarithmic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from analysis import panels
from analysis.counts import per_line
from analysis.lines import WHOLE, by_source, on_lines
from analysis.panels import Look, Panel
from analysis.panels import by_group as by_group_of
from analysis.ranges import Curve
from analysis.read import Results
from analysis.statistics import bootstrap_band, mean_over_cells
from analysis.style import Drawing, Skipped, encoder_colours

KEY = ["encoder", "task", "source", "target", "eval_role"]
COLUMN = "normalised_variance"


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw the figure over all tasks."""
    rows = results.surfaces
    table = variances(on_lines(rows[rows["scope"] == WHOLE]))
    if table.empty:
        yield Skipped("Variance over seeds: no encoder, task and pair has two seeds on the two lines.")
        return
    if not (table[COLUMN] > 0).any():
        yield Skipped("Variance over seeds: all seeds have the same scores on the two lines.")
        return
    grid = by_source(table, "normalised variance")
    look = Look(
        title="Variance over seeds on the way to the bilingual model",
        text=_text(table, grid),
        curve=variance_curve,
        colours=encoder_colours(results.known, results.controls),
        controls=results.controls,
        least_span=1.0,
        logarithmic=True,
        shade=0.08,
        height=1.5,
    )
    yield panels.draw(grid, look).named("variance")


def variances(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a group of seeds and point, with its normalised variance.

    Points that not all seeds of a group have are left out: they would be of fewer seeds than the rest.
    """
    groups = rows.groupby([*KEY, "point"], observed=True)
    table = groups.agg(
        seeds=("seed", "nunique"),
        variance=("value", "var"),
        alpha=("alpha", "first"),
        on_src_line=("on_src_line", "first"),
        on_tgt_line=("on_tgt_line", "first"),
    ).reset_index()
    bilingual = rows[rows["corner"] == "bilingual"].groupby(KEY, observed=True)["value"].mean()
    table = table.merge(bilingual.rename("scale").reset_index(), on=KEY)
    fullest = table.groupby(KEY)["seeds"].transform("max")
    table = table[(table["seeds"] > 1) & (table["seeds"] == fullest) & (table["scale"] > 0)]
    return table.assign(**{COLUMN: table["variance"] / table["scale"] ** 2})


def variance_curve(rows: pd.DataFrame) -> Curve:
    """Return the mean normalised variance over tasks and pairs with its bootstrap band."""
    groups = rows["task"] + " " + rows["source"] + " " + rows["target"]
    alphas, values = by_group_of(rows, groups, COLUMN)
    middle, band = mean_over_cells(values), bootstrap_band(values)
    # No variance at all has no place on a logarithmic scale.
    return Curve(alphas, np.where(middle > 0, middle, np.nan), band)


def _text(table: pd.DataFrame, grid: Sequence[Sequence[Panel]]) -> str:
    frames = (panel.rows for row in grid for panel in row)
    groups = per_line(frames, ["encoder", "eval_role"], ["task", "source", "target"])
    seeds = sorted(set(table["seeds"]))
    of = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else f"{seeds[0]} seeds"
    return (
        f"Variance of the score over {of}, divided by the square of the bilingual model's mean score on the "
        f"same language, on a logarithmic scale. Each line: {'mean over ' if groups.most > 1 else ''}"
        f"{groups.of('combination')} of task and pair.{groups.band('tasks and pairs')}"
    )
