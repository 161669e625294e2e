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

PARTS = {"encoder": "the encoder", "head": "the task layer"}
"""What is interpolated, by scope."""


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure per language pair and scope."""
    for (source, target, scope), rows in split_by(on_lines(results.surfaces), "source", "target", "scope"):
        look = _look(rows, source, target, scope, results)
        yield panels.draw(_grid(rows, results), look).named(f"pair-{source}-{target}{suffix(scope)}")


def suffix(scope: str) -> str:
    """Return what a scope adds to a file name: nothing for the whole model."""
    return "" if scope == WHOLE else f"-scope-{scope}"


def scope_words(scope: str) -> str:
    """Say in a sentence what was interpolated."""
    if scope == WHOLE:
        return ""
    return f" Only {PARTS.get(scope, scope)} is interpolated; the rest stays the bilingual model's."


def alone(scope: str) -> str:
    """Return what a scope adds to a title: nothing for the whole model."""
    return "" if scope == WHOLE else f", {PARTS.get(scope, scope)} moved alone"


def raw_curve(rows: pd.DataFrame) -> Curve:
    """Return the mean score over seeds in percent with the range of the seeds."""
    alphas, values = by_cell(rows, "value")
    return Curve(alphas, 100 * mean_over_cells(values), range_band(100 * values))


def _grid(rows: pd.DataFrame, results: Results) -> list[list[Panel]]:
    grid = []
    for task in names.in_order(rows["task"].unique()):
        of_task = rows[rows["task"] == task]
        levels = _levels(of_task, task, results)
        label = f"{names.metric(str(of_task['metric'].iloc[0]))} (%)"
        grid.append(
            [
                Panel(f"{names.task(task)}: {line.title}", label, line.of(of_task), line.start, levels)
                for line in LINES
            ]
        )
    return grid


def _levels(rows: pd.DataFrame, task: str, results: Results) -> dict[str, float]:
    """Return what one constant answer scores on each of the two languages, in percent, where known."""
    languages = rows[["eval_role", "eval_language"]].drop_duplicates().itertuples(index=False)
    known = {role: results.baselines.get((task, language)) for role, language in languages}
    return {role: 100 * level for role, level in known.items() if level is not None}


def _look(rows: pd.DataFrame, source: str, target: str, scope: str, results: Results) -> Look:
    seeds = per_line((line.of(rows) for line in LINES), ["task", "encoder", "eval_role"], ["seed"])
    spread = f"Mean over {seeds.of('seed')}; band: lowest to highest seed." if seeds.most > 1 else "One seed."
    text = (
        "Weights are mixed in a straight line between two fine-tuned models and scored on held-out data of "
        f"both languages. {spread}{scope_words(scope)}{_baseline_words(rows, results)}"
    )
    return Look(
        title=f"Scores on the way to the bilingual model, {names.pair(source, target)}{alone(scope)}",
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


def _baseline_words(rows: pd.DataFrame, results: Results) -> str:
    if not any(_levels(chosen, task, results) for (task,), chosen in split_by(rows, "task")):
        return ""
    return (
        " Thin grey lines: what the best constant answer scores without any model (solid: on the source, "
        "dashed: on the target language)."
    )
