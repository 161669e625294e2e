"""Reads the results of a sweep and checks that they can be put side by side.

``surfaces/`` holds one row per (cell, scope, point, evaluation language, metric); kept here is
the primary metric of each task, on the source and on the target language (and, apart from these, on
others). ``geometry/`` holds norms and angles. Which cells count and which encoders are controls (never
trained) is decided by ``sweeps/NAME/plan.json`` where there is one. Without one, and with one that does
not say, encoders with "random" in their names are taken as controls.

Two columns are added. ``corner`` names the three models that were trained ("bilingual",
"source-only", "target-only"; empty elsewhere). ``relative`` is the score divided by the bilingual
model's score of the same cell, scope and evaluation language.

Rows are joined on ``point``, the index into the grid, so all cells must share one grid.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import baselines, choice, learned
from analysis.gaps import find_gaps, listing
from analysis.names import PRIMARY_METRICS, TASKS, called_random
from analysis.tables import CELL, AnalysisError, NothingThereError, read_table

ROW = ["cell", "scope", "point", "eval_role", "eval_language"]
FLAGS = ["on_src_line", "on_tgt_line", "on_plane"]
SURFACE = [*CELL, *ROW, *FLAGS, "a_src", "a_tgt", "alpha", "metric", "value", "examples"]
GEOMETRY = [*CELL, "cell", "part", "parameters", "norm_src", "norm_tgt", "norm_ratio", "angle"]
# 0 and 1 are exact as floats, so comparing with them is safe; other coordinates are never compared.
CORNERS = {(0.0, 0.0): "bilingual", (1.0, 0.0): "source-only", (0.0, 1.0): "target-only"}


@dataclass(frozen=True)
class Results:
    """What the figures draw: checked rows, which encoders are controls, and what is missing in words."""

    surfaces: pd.DataFrame
    geometry: pd.DataFrame
    controls: frozenset[str]
    notes: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    """All encoders of the store, chosen or not, so that each keeps its colour in every figure."""
    others: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Rows like those of ``surfaces``, scored on languages that are neither source nor target."""
    unchosen: frozenset[str] = frozenset()
    """Controls that the store has cells of, which ``--encoders`` left out."""
    baselines: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """What one constant answer scores, in [0, 1] by task and language, where it is known."""

    @property
    def encoders(self) -> list[str]:
        """The encoders of the chosen cells."""
        return sorted({*self.surfaces["encoder"].unique(), *self.geometry["encoder"].unique()})


@dataclass(frozen=True)
class Selection:
    """What plans say: the cells that count and the controls (None: all cells; nothing about controls)."""

    cells: frozenset[str] | None
    controls: frozenset[str] | None
    note: str = ""
    sweeps: tuple[str, ...] = ()


def load(
    folder: Path,
    sweep: str | None = None,
    *,
    learned_only: bool = False,
    encoders: Collection[str] = (),
    tasks: Collection[str] = (),
) -> Results:
    """Read the results under ``folder``.

    Args:
        folder: what the sweep stored into.
        sweep: take the cells of this one only.
        learned_only: leave out cells with an endpoint that did not learn.
        encoders: take these only; empty: all.
        tasks: take these only; empty: all.

    Raises:
        NothingThereError: neither surfaces nor geometry hold a row of the chosen cells.
        AnalysisError: an unknown sweep, encoder or task, two cells for the same thing, cells of
            different grids.
    """
    selection = select(folder, sweep)
    # Other metrics of the tasks that are known are not even read.
    wanted_rows = [[("metric", "in", list(PRIMARY_METRICS))], [("task", "not in", list(TASKS))]]
    surfaces = _keep(_primary(read_table(folder / "surfaces", SURFACE, filters=wanted_rows)), selection)
    geometry = _keep(read_table(folder / "geometry", GEOMETRY, optional=learned.COLUMN), selection)
    known = tuple(sorted({*surfaces["encoder"].unique(), *geometry["encoder"].unique()}))
    wanted = choice.Choice(encoders=frozenset(encoders), tasks=frozenset(tasks))
    unchosen = wanted.unchosen(surfaces, geometry)
    surfaces, geometry = wanted.of(surfaces, geometry)
    marked = learned.marked(surfaces, geometry)
    left_out = pd.DataFrame(columns=[*CELL, "cell"])
    if learned_only:
        surfaces, geometry, left_out = learned.without(marked, surfaces, geometry)
    said = learned.notes(marked, left_out=learned_only)
    if surfaces.empty and geometry.empty:
        if not left_out.empty:
            raise NothingThereError(f"{folder}: {said[0]} That leaves nothing to draw.")
        raise NothingThereError(
            f"{folder}: no results of {selection.note or 'any cell'}; expected Parquet files under "
            f"{folder / 'surfaces'}. Run the sweep first, or pass the folder that it stores into."
        )
    columns = [*CELL, "cell"]
    cells = [frame[columns].drop_duplicates() for frame in (surfaces, geometry)]
    _check_one_cell_each(pd.concat(cells), selection)
    surfaces = _checked(surfaces)
    between = surfaces["eval_role"].isin(["source", "target"])
    surfaces, others = surfaces[between], surfaces[~between]
    controls, guess = _controls(selection, known)
    gaps = find_gaps(surfaces, geometry, wanted.planned(selection.cells), left_out)
    notes = tuple(note for note in (selection.note, wanted.note, guess, *said, *gaps) if note)
    constant = baselines.read(folder, surfaces)
    return Results(surfaces, geometry, controls, notes, known, others, unchosen & controls, constant)


def split_by(rows: pd.DataFrame, *columns: str) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """Yield each combination of values that occurs, in order, with its rows."""
    for values, chosen in rows.groupby(list(columns), observed=True):
        yield tuple(str(value) for value in values), chosen


def select(folder: Path, sweep: str | None) -> Selection:
    """Decide which cells count: the named sweep's, the only sweep's, or all."""
    plans = {path.parent.name: path for path in sorted(folder.glob("sweeps/*/plan.json"))}
    names = tuple(plans)
    if sweep is None and len(plans) > 1:
        note = f"cells of all sweeps together ({', '.join(names)}); --sweep NAME takes one"
        return Selection(None, _together([_plan(path).controls for path in plans.values()]), note, names)
    if sweep is None and not plans:
        return Selection(None, None)
    name = names[0] if sweep is None else sweep
    if name not in plans:
        known = ", ".join(names) or "none"
        raise AnalysisError(f"--sweep {name}: no plan at {folder / 'sweeps' / name}. Sweeps there: {known}.")
    cells, controls = _plan(plans[name])
    return Selection(cells, controls, f"cells of the sweep {name!r}", names)


class _Plan(NamedTuple):
    """What is read of a plan; plans of older versions say nothing about controls (None)."""

    cells: frozenset[str]
    controls: frozenset[str] | None


def _plan(path: Path) -> _Plan:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cells = _names(content["surfaces"])
        controls = _names(content["controls"]) if "controls" in content else None
    except (ValueError, KeyError, TypeError) as error:
        raise AnalysisError(
            f"{path}: expected a JSON object with a list 'surfaces' and, if any, a list 'controls', both of "
            f"names ({error!r}). Run the sweep's command again: it writes the plan anew."
        ) from error
    return _Plan(cells, controls)


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"found {value!r}")
    return frozenset(value)


def _together(controls: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    """Return the controls of several plans, or None if one of them does not say."""
    said = [of_plan for of_plan in controls if of_plan is not None]
    return frozenset[str]().union(*said) if len(said) == len(controls) else None


def _controls(selection: Selection, encoders: Sequence[str]) -> tuple[frozenset[str], str]:
    """Return the controls, and a note where only their names tell."""
    if selection.controls is not None:
        return selection.controls, ""
    guessed = [encoder for encoder in encoders if called_random(encoder)]
    why = "a plan.json does not list its controls" if selection.sweeps else "there is no plan.json"
    taken = f"taken as controls: {', '.join(guessed) or 'none'}"
    return frozenset(guessed), f'Encoders with "random" in their names are {taken} ({why}).'


def _keep(frame: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    return frame if selection.cells is None else frame[frame["cell"].isin(selection.cells)]


def _check_one_cell_each(rows: pd.DataFrame, selection: Selection) -> None:
    """Two cells for the same thing differ in what made them (say, a learning rate): not one mean."""
    cells = rows.drop_duplicates()
    twice = cells[cells.duplicated(CELL, keep=False)].sort_values([*CELL, "cell"])
    if twice.empty:
        return
    first = twice.iloc[0]
    sweeps = ", ".join(selection.sweeps) or "none has left a plan here"
    raise AnalysisError(
        f"several cells for {first.encoder}, {first.task}, {first.source} → {first.target}, "
        f"seed {first.seed}: {listing(list(twice['cell']))}. They come from different settings and "
        f"cannot be averaged: pass --sweep NAME to take one sweep's (sweeps: {sweeps})."
    )


def _primary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of primary metrics, and all rows of tasks that have none of those that are known."""
    known = frame["metric"].isin(PRIMARY_METRICS)
    return frame[known | ~known.groupby(frame["task"]).transform("any").astype(bool)]


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with ``corner`` and ``relative``, after checking that they fit."""
    for task, metrics in frame.groupby("task")["metric"].unique().items():
        if len(metrics) > 1:
            raise AnalysisError(
                f"task {task}: found the metrics {', '.join(sorted(metrics))}; expected one, or exactly one "
                f"of {', '.join(PRIMARY_METRICS)}. Add the primary one to METRICS in analysis/names.py."
            )
    twice = frame[frame.duplicated(ROW)]
    if not twice.empty:
        raise AnalysisError(f"two rows for one score in: {listing(sorted(twice['cell'].unique()))}")
    coordinates = frame[["scope", "point", "a_src", "a_tgt"]].drop_duplicates()
    if coordinates.duplicated(["scope", "point"]).any():
        raise AnalysisError("cells of different grids: the same point has two positions. Pass --sweep NAME.")
    corner = pd.Series("", index=frame.index)
    for (a_src, a_tgt), name in CORNERS.items():
        corner[(frame["a_src"] == a_src) & (frame["a_tgt"] == a_tgt)] = name
    return _relative(frame.assign(corner=corner))


def _relative(rows: pd.DataFrame) -> pd.DataFrame:
    key = ["cell", "scope", "eval_role", "eval_language"]
    bilingual = rows.loc[rows["corner"] == "bilingual", [*key, "value"]]
    merged = rows.merge(bilingual.rename(columns={"value": "bilingual"}), on=key, how="left")
    scores = merged["bilingual"].astype(float)
    # A bilingual model that scores 0 gives no scale: no relative score rather than an infinite one.
    relative = merged["value"].astype(float) / scores.where(scores > 0, np.nan)
    return merged.drop(columns="bilingual").assign(relative=relative)
