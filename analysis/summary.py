"""One row of numbers per encoder, task and language pair, over seeds.

Scores are fractions in [0, 1]; every quantity is measured in each cell and then given as mean and
standard deviation over seeds (one seed has no deviation). The models are whole ones (scope "all").

    {model}_on_{language}       score of the source-only, bilingual and target-only model
    source_drop                 how far the source score falls below the source-only model's between
                                alpha 0 and 1 of Eq. 1; ``_max`` is the worst seed
    target_rise                 bilingual minus source-only model on the target language
    target_linearity            R² of the straight line between the ends of the target's curve
    zero_shot_variance_{lang}   variance over seeds of the source-only model's score
    target_plane                mean over the plane of the target score divided by the bilingual
                                model's: 1 for a plane as good as that model everywhere
    norm_ratio, angle           of the two directions (degrees)
    parameters                  of the whole model
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.names import in_order
from analysis.read import Results
from analysis.statistics import Array, largest_drop, straightness

KEY = ["encoder", "task", "source", "target"]
MODELS = ("source-only", "bilingual", "target-only")
ROLES = ("source", "target")
SCORES = [f"{model.replace('-', '_')}_on_{role}" for role in ROLES for model in MODELS]
MEASURES = [*SCORES, "source_drop", "target_rise", "target_linearity", "target_plane", "norm_ratio", "angle"]


def summarise(results: Results) -> pd.DataFrame:
    """Return the table described above, sorted by task, encoder and pair."""
    rows = results.surfaces[results.surfaces["scope"] == "all"]
    cells = per_cell(rows, results.geometry)
    groups = cells.groupby(KEY, observed=True)
    table = pd.DataFrame({"seeds": groups["seed"].nunique()})
    for name in MEASURES:
        table[f"{name}_mean"] = groups[name].mean()
        table[f"{name}_sd"] = groups[name].std(ddof=1)
    table["source_drop_max"] = groups["source_drop"].max()
    table["parameters"] = groups["parameters"].max()
    for role in ROLES:
        table[f"zero_shot_variance_{role}"] = table[f"source_only_on_{role}_sd"] ** 2
    on_source = table["zero_shot_variance_source"]
    table["zero_shot_variance_ratio"] = table["zero_shot_variance_target"] / on_source.where(
        on_source > 0, np.nan
    )
    ordered = table.reset_index()
    place = {task: position for position, task in enumerate(in_order(set(ordered["task"])))}
    return ordered.sort_values(
        ["task", "encoder", "source", "target"], key=lambda c: c.map(place) if c.name == "task" else c
    ).reset_index(drop=True)


def per_cell(rows: pd.DataFrame, geometry: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell with every measure, NaN where there is no point for it.

    Of a curve with some of its points only, the measures are of those points.
    """
    cells = rows[["cell", *KEY, "seed"]].drop_duplicates().set_index("cell")
    for role in ROLES:
        for model in MODELS:
            at = rows[(rows["corner"] == model) & (rows["eval_role"] == role)].set_index("cell")["value"]
            cells[f"{model.replace('-', '_')}_on_{role}"] = at.astype(float).reindex(cells.index)
    cells["target_rise"] = cells["bilingual_on_target"] - cells["source_only_on_target"]
    curves = between(rows)
    drops = measure_curves(curves, "source", lambda alphas, scores: largest_drop(scores))
    cells["source_drop"] = drops.reindex(cells.index)
    cells["target_linearity"] = measure_curves(curves, "target", straightness).reindex(cells.index)
    plane = rows[rows["on_plane"].astype(bool) & (rows["eval_role"] == "target")]
    cells["target_plane"] = plane.groupby("cell")["relative"].mean().reindex(cells.index)
    whole = geometry[geometry["part"] == "all"].set_index("cell")
    for name in ("norm_ratio", "angle", "parameters"):
        cells[name] = whole[name].astype(float).reindex(cells.index)
    return cells.reset_index()


def between(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the points of Eq. 1 from the source-only (alpha 0) to the bilingual model (alpha 1)."""
    on_line = rows[rows["on_src_line"].astype(bool)]
    return on_line[on_line["alpha"].astype(float).between(0.0, 1.0)]


def measure_curves(
    curves: pd.DataFrame, role: str, measure: Callable[[Array, Array], float]
) -> pd.Series[float]:
    """Apply a measure to each cell's curve; a cell without both ends or with nothing between has none."""
    rows = curves[curves["eval_role"] == role].sort_values(["cell", "alpha"])
    alphas = rows["alpha"].to_numpy(dtype=np.float64)
    values = rows["value"].to_numpy(dtype=np.float64)
    corners = rows["corner"].to_numpy(dtype=object)
    cells, starts = np.unique(rows["cell"].to_numpy(dtype=object), return_index=True)
    measured: dict[str, float] = {}
    for cell, start, stop in zip(cells, starts, np.append(starts, len(rows))[1:], strict=True):
        # In order of alpha from 0 to 1, so that the two models are the ends, if they are there.
        if stop - start > 2 and (corners[start], corners[stop - 1]) == ("source-only", "bilingual"):
            measured[str(cell)] = measure(alphas[start:stop], values[start:stop])
    return pd.Series(measured, dtype=float)
