"""The shape of what lies between and around the models, one row a cell: barriers, straightness, flatness.

Scores are fractions in [0, 1]. ``{line}`` is src (Eq. 1, from source-only to bilingual) or tgt (Eq. 2, from
target-only to bilingual); ``{role}`` is the language scored.

    barrier_{line}_{role}     how far the score falls at most below the straight line between the scores of
                              the two models, 0 if never: the barrier of Entezari et al. 2022
                              (https://arxiv.org/abs/2110.06296), of scores instead of losses
    departure_{line}_{role}   the largest distance from that straight line, above or below
    r2_{line}_{role}          R² of that straight line (``statistics.straightness``), of curves whose ends
                              differ by more than 5 points: of level ones it measures noise
    area_{role}               share of the plane's points that reach 95% of the plane's best score
    near_{model}_{role}       the same share, of the points within 0.5 of the model
    drop_{model}_{role}       the model's score minus the mean score of the points at a distance of 0.5

Distances are in coordinates of the plane, in which the monolingual models are 1 from the bilingual one.
A point is "at" a distance if it is off by at most half the plane's smallest step. Points count equally.
Curves and planes with missing points have no value: part of a curve can hide a fall. Planes whose best
score is 0 have no shares.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.findings import RISE
from analysis.names import in_order
from analysis.read import CORNERS, Results
from analysis.statistics import Array, straightness
from analysis.summary import KEY
from analysis.texts import Table

GOOD = 0.95
RADIUS = 0.5
ROLES = ("source", "target")
LINES = {"src": "on_src_line", "tgt": "on_tgt_line"}
MODELS = {name.replace("-", "_"): place for place, name in CORNERS.items()}


class Departure(NamedTuple):
    """How a curve leaves the straight line between its ends."""

    barrier: float
    largest: float
    r2: float


class Points(NamedTuple):
    """Scores (C, P) of cells at points, and the points' places on line or plane; NaN: missing."""

    cells: npt.NDArray[np.object_]
    values_CP: Array
    frame: pd.DataFrame


def measure(results: Results) -> pd.DataFrame:
    """Return one row a cell with the columns above, of models interpolated as a whole."""
    rows = results.surfaces[results.surfaces["scope"] == "all"]
    cells = rows[["cell", *KEY, "seed"]].drop_duplicates("cell").set_index("cell")
    columns: dict[str, pd.Series[float]] = {}
    for role in ROLES:
        of_role = rows[rows["eval_role"] == role]
        for line, flag in LINES.items():
            columns |= _line(of_role[of_role[flag].astype(bool)], f"{line}_{role}")
        columns |= _plane(of_role[of_role["on_plane"].astype(bool)], role)
    return cells.assign(**columns).reset_index()


def departure(alphas: Array, scores: Array) -> Departure:
    """Measure a curve from alpha 0 to 1, both ends included and in order of alpha."""
    below = scores[0] + (scores[-1] - scores[0]) * alphas - scores
    slanted = abs(scores[-1] - scores[0]) > RISE
    r2 = straightness(alphas, scores) if slanted else float("nan")
    return Departure(max(0.0, float(below.max())), float(np.abs(below).max()), r2)


def _line(rows: pd.DataFrame, name: str) -> dict[str, pd.Series[float]]:
    inside = rows[rows["alpha"].astype(float).between(0.0, 1.0)]
    points = _points(inside)
    alphas = points.frame["alpha"].to_numpy(dtype=np.float64)
    order = np.argsort(alphas)
    alphas, values = alphas[order], points.values_CP[:, order]
    found = {}
    if len(alphas) > 2 and (alphas[0], alphas[-1]) == (0.0, 1.0):
        whole = np.isfinite(values).all(axis=1)
        pairs = zip(points.cells[whole], values[whole], strict=True)
        found = {str(cell): departure(alphas, curve) for cell, curve in pairs}
    table = pd.DataFrame.from_dict(found, orient="index", columns=list(Departure._fields), dtype=float)
    names = {"barrier": "barrier", "largest": "departure", "r2": "r2"}
    return {f"{word}_{name}": table[field] for field, word in names.items()}


def _plane(rows: pd.DataFrame, role: str) -> dict[str, pd.Series[float]]:
    points = _points(rows)
    places_P2 = points.frame[["a_src", "a_tgt"]].to_numpy(dtype=np.float64)
    whole = np.isfinite(points.values_CP).all(axis=1)
    values, index = points.values_CP[whole], points.cells[whole]
    # One row or column of points is a line, and says nothing of an area.
    if not len(values) or min(len(np.unique(axis)) for axis in places_P2.T) < 2:
        return {}
    best = values.max(axis=1, keepdims=True)
    # Where nothing scores, every point is "as good as the best": collapsed, not flat.
    good = np.where(best > 0, values >= GOOD * best, np.nan)
    found = {f"area_{role}": good.mean(axis=1)}
    half_step = _smallest_step(places_P2) / 2
    for name, place in MODELS.items():
        apart = np.hypot(*(places_P2 - place).T)
        at = np.flatnonzero(apart == 0)
        ring = np.abs(apart - RADIUS) <= half_step + 1e-9
        found[f"near_{name}_{role}"] = good[:, apart <= RADIUS + 1e-9].mean(axis=1)
        if len(at) and ring.any():
            found[f"drop_{name}_{role}"] = values[:, at[0]] - values[:, ring].mean(axis=1)
    return {key: pd.Series(numbers, index=index, dtype=float) for key, numbers in found.items()}


def _smallest_step(places_P2: Array) -> float:
    return min(float(np.diff(np.unique(axis)).min()) for axis in places_P2.T)


def _points(rows: pd.DataFrame) -> Points:
    """Lay the scores of cells out, one row a cell and one column a point."""
    frame = rows[["point", "alpha", "a_src", "a_tgt"]].drop_duplicates("point")
    table = rows.pivot(index="cell", columns="point", values="value").reindex(columns=frame["point"])
    return Points(table.index.to_numpy(dtype=object), table.to_numpy(dtype=np.float64), frame)


def averages(shapes: pd.DataFrame) -> pd.DataFrame:
    """Return means over pairs and seeds, one row an encoder and task; tasks in their usual order."""
    measures = [name for name in shapes.columns if name not in {"cell", "seed", *KEY}]
    means = shapes.groupby(["task", "encoder"], observed=True)[measures].mean()
    return means.loc[in_order(set(means.index.get_level_values("task")))].reset_index()


def tables(shapes: pd.DataFrame) -> list[Table]:
    """Return what the measures are on average, for people: one table of lines and one of planes.

    A row for each language that was scored, and for each line: with a column for each, the tables would
    be wider than a page.
    """
    if shapes.empty:
        return []
    means = averages(shapes)
    found = []
    for title, parts in (("Lines", _line_parts()), ("Planes", _plane_parts())):
        rows = [
            [row["task"], row["encoder"], *part, *(_number(row.get(name), name) for name in columns.values())]
            for row in means.to_dict("records")
            for part, columns in parts.items()
            if any(pd.notna(row.get(name)) for name in columns.values())
        ]
        if rows:
            measures = list(next(iter(parts.values())))
            header = ["task", "encoder", *(["line"] if title == "Lines" else []), "scored on", *measures]
            found.append(Table(f"{title}: {WORDS[title]}", header, rows))
    return found


WORDS = {
    "Lines": (
        "barriers (how far the score falls below the straight line between the two models, points), largest "
        f"departure from that line (points) and its R² (where its ends differ by more than {100 * RISE:g} "
        "points); means over pairs and seeds"
    ),
    "Planes": (
        "share (%) of good points (within 5% of the plane's best score) of all and within 0.5 of each model, "
        "and mean drop (points) at a distance of 0.5 from each model; means over pairs and seeds"
    ),
}


Parts = dict[tuple[str, ...], dict[str, str]]
"""What each row of a table is of, and its columns: their heads and the measures' names."""


def _line_parts() -> Parts:
    starts = {"src": "from source-only", "tgt": "from target-only"}
    measures = {"barrier": "barrier", "departure": "departure", "R²": "r2"}
    return {
        (starts[line], role): {head: f"{measure}_{line}_{role}" for head, measure in measures.items()}
        for line in LINES
        for role in ROLES
    }


def _plane_parts() -> Parts:
    models = {name: name.replace("_", "-") for name in MODELS}
    return {
        (role,): {
            "good, of all": f"area_{role}",
            **{f"good, near {words}": f"near_{name}_{role}" for name, words in models.items()},
            **{f"drop from {words}": f"drop_{name}_{role}" for name, words in models.items()},
        }
        for role in ROLES
    }


def _number(value: float | None, name: str) -> str:
    if value is None or pd.isna(value):
        return "–"
    return f"{value:.2f}" if name.startswith("r2") else f"{100 * value:.1f}"
