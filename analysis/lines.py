"""Normalised scores between a monolingual and the bilingual model (the paper's Figures 2 and 6 to 9).

A score is divided by the bilingual model's on the same language, which lets language pairs and tasks be
averaged; the band is the 95% bootstrap interval of that mean, resampling whole cells. One figure over
all tasks, one a task, one by pair for each source language; panels are source languages and directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from analysis import names, panels
from analysis.counts import per_line
from analysis.panels import LINES, Look, Panel, by_cell
from analysis.ranges import Curve
from analysis.read import Results, split_by
from analysis.statistics import bootstrap_band, mean_over_cells
from analysis.style import Drawing, Skipped, encoder_colours

WHOLE = "all"
NORMALISED = "score (bilingual = 1)"
HOW = (
    "Weights are mixed in a straight line between two fine-tuned models; the score on held-out data of each "
    "language is divided by the bilingual model's."
)


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw the figure over all tasks, then one a task, then those by pair."""
    rows = on_lines(results.surfaces)
    if rows.empty:
        yield Skipped("Lines: the results hold no point of the two lines.")
        return
    scaled = rows[(rows["scope"] == WHOLE) & rows["relative"].notna()]
    if scaled.empty:
        yield Skipped(
            "Normalised lines: no cell has a bilingual score of the whole model (scope 'all') to divide by."
        )
        return
    tasks = names.in_order(scaled["task"].unique())
    every = names.task(tasks[0]) if len(tasks) == 1 else f"mean over {len(tasks)} tasks"
    grid = by_source(scaled)
    title = f"Scores on the way to the bilingual model, {every}"
    yield panels.draw(grid, normalised_look(grid, title, results)).named("lines")
    for task in tasks:
        grid = by_source(scaled[scaled["task"] == task])
        title = f"Scores on the way to the bilingual model: {names.task(task)}"
        yield panels.draw(grid, normalised_look(grid, title, results)).named(f"lines-{task}")
    for (source,), chosen in split_by(scaled, "source"):
        if chosen["target"].nunique() > 1:
            title = (
                f"Scores on the way to the bilingual model from {names.language(source)}, by target language"
            )
            grid = by_target(chosen)
            look = normalised_look(grid, title, results, height=1.0)
            yield panels.draw(grid, look).named(f"lines-by-pair-{source}")


def on_lines(surfaces: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that belong to Eq. 1 or Eq. 2."""
    flags = surfaces["on_src_line"].astype(bool) | surfaces["on_tgt_line"].astype(bool)
    return surfaces[flags]


def by_source(rows: pd.DataFrame, y_label: str = NORMALISED) -> list[list[Panel]]:
    """Return a row of panels for each source language, a column for each line."""
    grid = []
    for (source,), chosen in split_by(rows, "source"):
        targets = sorted(set(chosen["target"]))
        to = names.language(targets[0]) if len(targets) == 1 else f"{len(targets)} languages"
        title = f"{names.language(source)} → {to}"
        grid.append([Panel(f"{title}: {line.title}", y_label, line.of(chosen), line.start) for line in LINES])
    return grid


def by_target(rows: pd.DataFrame) -> list[list[Panel]]:
    """Return a row of panels for each language pair, a column for each line."""
    return [
        [
            Panel(f"{names.pair(source, target)}: {line.title}", NORMALISED, line.of(chosen), line.start)
            for line in LINES
        ]
        for (source, target), chosen in split_by(rows, "source", "target")
    ]


def normalised_curve(rows: pd.DataFrame) -> Curve:
    """Return the mean relative score over cells with its bootstrap band."""
    alphas, values = by_cell(rows, "relative")
    return Curve(alphas, mean_over_cells(values), bootstrap_band(values))


def normalised_look(
    grid: Sequence[Sequence[Panel]], title: str, results: Results, *, height: float = 1.5
) -> Look:
    """Return what figures of normalised scores have in common."""
    return Look(
        title=title,
        text=f"{HOW} {averaged(grid)}",
        curve=normalised_curve,
        colours=encoder_colours(results.known, results.controls),
        controls=results.controls,
        reference=1.0,
        height=height,
    )


def averaged(grid: Sequence[Sequence[Panel]]) -> str:
    """Say what each line is the mean of, and what the band is."""
    cells = per_line((panel.rows for row in grid for panel in row), ["encoder", "eval_role"], ["cell"])
    mean = "mean over " if cells.most > 1 else ""
    return f"Each line: {mean}{cells.of('cell')} (a task, language pair and seed each).{cells.band('cells')}"
