"""The two lines for one language pair with raw scores: what one cell after another shows.

A row of panels a task; the line is the mean over seeds, the band reaches from the lowest seed to the
highest.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis import names, panels
from analysis.counts import per_line
from analysis.lines import WHOLE, on_lines
from analysis.panels import LINES, Look, Panel, by_cell
from analysis.ranges import Curve
from analysis.read import Results, split_by
from analysis.statistics import mean_over_cells, range_band
from analysis.style import Drawing, Skipped, encoder_colours


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure per language pair and scope."""
    for (source, target, scope), rows in split_by(on_lines(results.surfaces), "source", "target", "scope"):
        look = _look(rows, source, target, scope, results)
        yield panels.draw(_grid(rows), look).named(f"pair-{source}-{target}{suffix(scope)}")


def suffix(scope: str) -> str:
    """Return what a scope adds to a file name: nothing for the whole model."""
    return "" if scope == WHOLE else f"-scope-{scope}"


def scope_words(scope: str) -> str:
    """Say in a sentence what was interpolated."""
    if scope == WHOLE:
        return ""
    return f" Only the {scope} is interpolated; the rest stays the bilingual model's."


def raw_curve(rows: pd.DataFrame) -> Curve:
    """Return the mean score over seeds in percent with the range of the seeds."""
    alphas, values = by_cell(rows, "value")
    return Curve(alphas, 100 * mean_over_cells(values), range_band(100 * values))


def _grid(rows: pd.DataFrame) -> list[list[Panel]]:
    grid = []
    for task in names.in_order(rows["task"].unique()):
        of_task = rows[rows["task"] == task]
        label = f"{names.metric(str(of_task['metric'].iloc[0]))} (%)"
        grid.append(
            [
                Panel(f"{names.task(task)}: {line.short}", label, line.of(of_task), line.start)
                for line in LINES
            ]
        )
    return grid


def _look(rows: pd.DataFrame, source: str, target: str, scope: str, results: Results) -> Look:
    seeds = per_line((line.of(rows) for line in LINES), ["task", "encoder", "eval_role"], ["seed"])
    spread = f"Mean over {seeds.of('seed')}; band: lowest to highest seed." if seeds.most > 1 else "One seed."
    text = (
        "Weights are mixed in a straight line between two fine-tuned models and scored on held-out data of "
        f"both languages. {spread}{scope_words(scope)}"
    )
    return Look(
        title=f"Scores on the way to the bilingual model, {names.pair(source, target)}",
        text=text,
        curve=raw_curve,
        languages={
            "source": f"scored on {names.language(source)} (source)",
            "target": f"scored on {names.language(target)} (target)",
        },
        colours=encoder_colours(results.known, results.controls),
        controls=results.controls,
        least_span=10.0,
        own_scales=True,
        height=1.2,
    )
