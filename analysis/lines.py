"""Normalised scores between a monolingual and the bilingual model (the paper's Figure 2, by task).

One figure per source language and scope. A score is divided by the bilingual model's on the same
language, which lets language pairs be averaged; the band is the 95% bootstrap interval of that
mean, resampling whole cells.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis import names, panels
from analysis.panels import Curve, Look, by_cell
from analysis.read import Results, split_by
from analysis.statistics import bootstrap_band, mean_over_cells
from analysis.style import Drawing, Skipped, encoder_colours


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure per source language and scope."""
    rows = on_lines(results.surfaces)
    if rows.empty:
        yield Skipped("Lines: the results hold no point of the two lines.")
    scaled = rows[rows["relative"].notna()]
    if scaled.empty and not rows.empty:
        yield Skipped("Normalised lines: no cell has a bilingual score to divide by.")
    for (source, scope), chosen in split_by(scaled, "source", "scope"):
        yield Drawing(
            f"lines-{source}{suffix(scope)}", panels.draw(chosen, _look(chosen, source, scope, results))
        )


def on_lines(surfaces: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that belong to Eq. 1 or Eq. 2."""
    flags = surfaces["on_src_line"].astype(bool) | surfaces["on_tgt_line"].astype(bool)
    return surfaces[flags]


def suffix(scope: str) -> str:
    """Return what a scope adds to a file name: nothing for the whole model."""
    return "" if scope == "all" else f"-scope-{scope}"


def scope_words(scope: str) -> str:
    """Say in a sentence what was interpolated."""
    if scope == "all":
        return ""
    return f" Only the {scope} is interpolated; the rest stays the bilingual model's."


def normalised_curve(rows: pd.DataFrame) -> Curve:
    """Return the mean relative score over cells with its bootstrap band."""
    alphas, values = by_cell(rows, "relative")
    return Curve(alphas, mean_over_cells(values), bootstrap_band(values))


def _look(rows: pd.DataFrame, source: str, scope: str, results: Results) -> Look:
    pairs, seeds = rows["target"].nunique(), rows["seed"].nunique()
    band = "; band: 95% interval (bootstrap over cells)" if pairs * seeds > 1 else ""
    text = (
        "Weights are mixed in a straight line between two fine-tuned models and scored on held-out data of "
        "both languages. 1 is the bilingual model's score on the same language. "
        f"Mean over {names.count(pairs, 'language pair')} and {names.count(seeds, 'seed')}{band}."
        f"{scope_words(scope)}"
    )
    return Look(
        title=f"Scores on the way to the bilingual model, source language {names.language(source)}",
        text=text,
        curve=normalised_curve,
        y_label=lambda metric: f"{names.metric(metric)} (bilingual = 1)",
        languages={
            "source": f"scored on the source ({names.language(source)})",
            "target": "scored on the target language",
        },
        colours=encoder_colours(results.encoders, results.controls),
        controls=results.controls,
        reference=1.0,
    )
