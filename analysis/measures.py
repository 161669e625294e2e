"""The numbers behind the paper's claims: for each claim, one value a cell.

Every function takes the material and the encoders in question and returns one row a cell with the
columns of ``UNIT`` and ``value`` (for the variance claim ``first`` and ``second``: the score on the
source and on the target language). ``subject`` is whom a verdict is about: an encoder, or for sizes
"LARGER against SMALLER". Cells without the value have no row. docs/verdicts.md says why each is
measured this way. Scores are fractions in [0, 1].
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.findings import RISE
from analysis.read import Results
from analysis.statistics import Array, largest_setback, stretches
from analysis.summary import KEY, between, measure_curves, per_cell

MATCH = ["task", "source", "target", "seed"]
UNIT = ["subject", *MATCH]
LEAST_SIDE = 3
"""A plane of fewer values a side says nothing about flatness."""


class Material(NamedTuple):
    """What the claims are measured on.

    ``cells`` has one row a cell with the measures of ``summary.per_cell``, ``curves`` the points of
    Eq. 1 between the two models for every scope, ``geometry`` one row a cell for the whole model.
    """

    cells: pd.DataFrame
    curves: pd.DataFrame
    geometry: pd.DataFrame

    def parameters(self, encoder: str) -> float:
        """Return the size of an encoder's models; NaN where unknown."""
        return float(self.geometry.loc[self.geometry["encoder"] == encoder, "parameters"].max())


def prepare(results: Results) -> Material:
    """Measure every cell whose curves and planes are complete."""
    rows = _complete(results.surfaces)
    whole = rows[rows["scope"] == "all"]
    cells = per_cell(whole, results.geometry)
    curves = between(rows)
    on_target = measure_curves(curves[curves["scope"] == "all"], "target", lambda _, y: largest_setback(y))
    # Of the pair's rise over all seeds: a seed that hardly rises would outweigh all others, or have no share.
    rise = cells.groupby(KEY)["target_rise"].transform("mean").astype(float)
    cells["target_setback"] = cells["cell"].map(on_target).astype(float) / rise.where(rise > 0)
    plane = whole[whole["on_plane"].astype(bool)]
    if min(plane["a_src"].nunique(), plane["a_tgt"].nunique()) < LEAST_SIDE:
        cells["target_plane"] = np.nan
    geometry = results.geometry[results.geometry["part"] == "all"]
    numbers = ["parameters", "norm_ratio", "angle"]
    return Material(cells, curves, geometry.astype(dict.fromkeys(numbers, float)))


def _complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out a cell's scores where points are missing: part of a curve can hide a fall."""
    counts = rows.groupby(["cell", "scope", "eval_role"])["point"].transform("nunique")
    fullest = counts.groupby(rows["scope"]).transform("max")
    return rows[counts == fullest]


def source_drop(material: Material, encoders: Collection[str]) -> pd.DataFrame:
    """How far the source score falls below the source-only model's along the line."""
    return _of_cells(material.cells, "source_drop", encoders)


def target_rise(material: Material, encoders: Collection[str]) -> pd.DataFrame:
    """Bilingual minus source-only model on the target."""
    return _of_cells(material.cells, "target_rise", encoders)


def target_setback(material: Material, encoders: Collection[str]) -> pd.DataFrame:
    """How far the target score falls back along the line, as a share of the pair's rise over all seeds."""
    return _of_cells(_rising(material.cells), "target_setback", encoders)


def target_linearity(material: Material, encoders: Collection[str]) -> pd.DataFrame:
    """R² of the straight line between the ends of the target's curve."""
    return _of_cells(_rising(material.cells), "target_linearity", encoders)


def flatness_by_size(material: Material, encoders: Collection[str]) -> pd.DataFrame:
    """Mean of the target's plane, larger minus smaller encoder, for every two of different sizes."""
    planes = material.cells[["encoder", *MATCH, "target_plane"]].dropna()
    sized = [(material.parameters(encoder), encoder) for encoder in encoders]
    # Those without a size leave first: among them the others would not be sorted.
    known = sorted((size, encoder) for size, encoder in sized if np.isfinite(size))
    frames = [_nothing()]
    for (small_size, small), (large_size, large) in combinations(known, 2):
        if small_size == large_size:
            continue
        both = planes[planes["encoder"] == large].merge(
            planes[planes["encoder"] == small], on=MATCH, suffixes=("", "_small")
        )
        both["value"] = both["target_plane"] - both["target_plane_small"]
        frames.append(both.assign(subject=f"{large} against {small}")[[*UNIT, "value"]])
    return pd.concat([frame for frame in frames if not frame.empty] or frames[:1], ignore_index=True)


def scores_over_seeds(material: Material, encoders: Collection[str]) -> pd.DataFrame:
    """Scores of the source-only model, of pairs with several seeds."""
    cells = material.cells[material.cells["encoder"].isin(list(encoders))]
    cells = cells.dropna(subset=["source_only_on_source", "source_only_on_target"])
    cells = cells[cells.groupby(KEY)["seed"].transform("nunique") > 1]
    names = {"encoder": "subject", "source_only_on_source": "first", "source_only_on_target": "second"}
    return cells.rename(columns=names)[[*UNIT, "first", "second"]]


def norms(material: Material, encoders: Collection[str]) -> pd.DataFrame:
    """The longer of the two directions over the shorter: 1 for equal ones."""
    ratios = material.geometry["norm_ratio"]
    longer = np.maximum(ratios, 1 / ratios.where(ratios > 0))
    return _of_cells(material.geometry.assign(longer=longer), "longer", encoders)


def angle(material: Material, encoders: Collection[str]) -> pd.DataFrame:
    """The angle between the two directions, in degrees."""
    return _of_cells(material.geometry, "angle", encoders)


def encoder_only(material: Material, encoders: Collection[str]) -> pd.DataFrame:
    """Mean distance between the curves of the encoder alone and of the whole; the worse language."""
    return _between_scopes(material, "encoder", encoders)


def head_only(material: Material, encoders: Collection[str]) -> pd.DataFrame:
    """Largest distance from the bilingual model when the task layer alone moves; the worse language."""
    return _between_scopes(material, "head", encoders)


def _between_scopes(material: Material, scope: str, encoders: Collection[str]) -> pd.DataFrame:
    curves = material.curves[material.curves["encoder"].isin(list(encoders))]
    moved = curves[curves["scope"] == scope]
    if scope == "encoder":
        whole = curves.loc[curves["scope"] == "all", ["cell", "eval_role", "point", "value"]]
        moved = moved.merge(whole, on=["cell", "eval_role", "point"], suffixes=("", "_whole"))
    found: list[dict[str, object]] = []
    for _, rows in moved.groupby("cell", observed=True):
        worst = [_distance(one.sort_values("alpha")) for _, one in rows.groupby("eval_role", observed=True)]
        if len(worst) == 2 and np.isfinite(worst).all():
            first = rows.iloc[0]
            found.append(
                {name: first[name] for name in MATCH} | {"subject": first["encoder"], "value": max(worst)}
            )
    return pd.DataFrame(found, columns=[*UNIT, "value"]) if found else _nothing()


def _distance(curve: pd.DataFrame) -> float:
    """Measure one cell's curve on one language, in order of alpha; NaN if an end is missing."""
    if not {"source-only", "bilingual"} <= set(curve["corner"]) or len(curve) < 3:
        return float("nan")
    scores: Array = curve["value"].to_numpy(dtype=np.float64)
    if "value_whole" not in curve:
        return float(np.abs(scores - scores[-1]).max())
    apart = np.abs(scores - curve["value_whole"].to_numpy(dtype=np.float64))
    return float(np.average(apart, weights=stretches(curve["alpha"].to_numpy(dtype=np.float64))))


def _rising(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of pairs whose target score rises: without a rise there is no shape."""
    return cells[cells.groupby(KEY)["target_rise"].transform("mean") > RISE]


def _of_cells(cells: pd.DataFrame, column: str, encoders: Collection[str]) -> pd.DataFrame:
    chosen = cells[cells["encoder"].isin(list(encoders)) & cells[column].notna()]
    return chosen.rename(columns={"encoder": "subject", column: "value"})[[*UNIT, "value"]]


def _nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=[*UNIT, "value"])
