"""The two lines for one language pair with raw scores: what one cell after another shows.

Same panels as the normalised figure; the line is the mean over seeds, the band reaches from the
lowest seed to the highest.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis import names, panels
from analysis.lines import on_lines, scope_words, suffix
from analysis.panels import Curve, Look, by_cell
from analysis.read import Results, split_by
from analysis.statistics import mean_over_cells, range_band
from analysis.style import Drawing, Skipped, encoder_colours


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure per language pair and scope."""
    for (source, target, scope), rows in split_by(on_lines(results.surfaces), "source", "target", "scope"):
        look = _look(rows, source, target, scope, results)
        yield Drawing(f"pair-{source}-{target}{suffix(scope)}", panels.draw(rows, look))


def raw_curve(rows: pd.DataFrame) -> Curve:
    """Return the mean score over seeds in percent with the range of the seeds."""
    alphas, values = by_cell(rows, "value")
    return Curve(alphas, 100 * mean_over_cells(values), range_band(100 * values))


def _look(rows: pd.DataFrame, source: str, target: str, scope: str, results: Results) -> Look:
    seeds = rows["seed"].nunique()
    spread = f"Mean over {seeds} seeds; band: lowest to highest seed." if seeds > 1 else "One seed."
    text = (
        "Weights are mixed in a straight line between two fine-tuned models and scored on held-out data of "
        f"both languages. {spread}{scope_words(scope)}"
    )
    return Look(
        title=f"Scores on the way to the bilingual model, {names.pair(source, target)}",
        text=text,
        curve=raw_curve,
        y_label=lambda metric: f"{names.metric(metric)} (%)",
        languages={
            "source": f"scored on {names.language(source)} (source)",
            "target": f"scored on {names.language(target)} (target)",
        },
        colours=encoder_colours(results.encoders, results.controls),
        controls=results.controls,
        least_span=10.0,
    )
