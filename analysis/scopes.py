"""The encoder alone and the task layer alone beside the whole model (the paper's footnote 2).

Normalised scores as in Figure 2; a column of panels for each part that is interpolated, a row for each
source language and line. What is not interpolated stays the bilingual model's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis import names, panels
from analysis.lines import NORMALISED, WHOLE, normalised_look, on_lines
from analysis.panels import LINES, Panel
from analysis.read import Results, split_by
from analysis.style import Drawing, Skipped

WORDS = {WHOLE: "the whole model", "encoder": "the encoder only", "head": "the task layer only"}


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure over all tasks and, with several, one a task; nothing if only wholes were moved."""
    rows = on_lines(results.surfaces)
    rows = rows[rows["relative"].notna()]
    scopes = [scope for scope in WORDS if scope in set(rows["scope"])]
    if not set(scopes) - {WHOLE}:
        return
    tasks = names.in_order(rows["task"].unique())
    for task in [None, *tasks] if len(tasks) > 1 else [None]:
        chosen = rows if task is None else rows[rows["task"] == task]
        of = f", {names.task(task)}" if task else ""
        title = f"Moving the encoder or the task layer alone on the way to the bilingual model{of}"
        grid = _grid(chosen, scopes)
        sheet = panels.draw(grid, normalised_look(grid, title, results, height=1.05))
        yield sheet.named("scopes" if task is None else f"scopes-{task}")


def _grid(rows: pd.DataFrame, scopes: list[str]) -> list[list[Panel]]:
    grid = []
    for (source,), chosen in split_by(rows, "source"):
        for line in LINES:
            of_line = line.of(chosen)
            grid.append(
                [
                    Panel(
                        f"{WORDS[scope]}, from {line.start}",
                        f"{names.language(source)} as source\n{NORMALISED}",
                        of_line[of_line["scope"] == scope],
                        line.start,
                    )
                    for scope in scopes
                ]
            )
    return grid
