"""Scores on third languages against the score on the source, on the way to the bilingual model.

Drawn only where languages other than source and target were scored. A path leads along Eq. 1 from the
source-only model (open mark) to the bilingual one (filled mark): across, the normalised score on the
source language; up, that on the target (dashed) and on each third language (dotted). Means over tasks and
seeds. One figure a language pair, a panel an encoder.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis import names, style
from analysis.lines import WHOLE
from analysis.read import Results, split_by
from analysis.style import Drawing, Sheet, Skipped

PAGE = style.Page(panel=1.7, left=0.5, foot=0.62, gap=(0.2, 0.3))


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure a language pair that has third languages."""
    if results.others.empty:
        return
    rows = pd.concat([results.surfaces, results.others])
    rows = rows[(rows["scope"] == WHOLE) & rows["on_src_line"].astype(bool) & rows["relative"].notna()]
    rows = rows[rows["alpha"].astype(float).between(0.0, 1.0)]
    for (source, target), chosen in split_by(rows, "source", "target"):
        if (chosen["eval_role"] == "other").any():
            yield _sheet(chosen, source, target, results).named(f"trajectory-{source}-{target}")


def paths(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean normalised scores, a row an alpha in order and a column a language scored.

    Only cells that were scored on a language count for it, so its path may be of fewer cells.
    """
    return rows.pivot_table(
        index="alpha", columns="eval_language", values="relative", aggfunc="mean"
    ).sort_index()


def _sheet(rows: pd.DataFrame, source: str, target: str, results: Results) -> Sheet:
    colours = style.encoder_colours(results.known, results.controls)
    encoders = [encoder for encoder in colours if encoder in set(rows["encoder"])]
    text = (
        "Each path leads from the source-only model (open mark) to the bilingual one (filled), along Eq. 1. "
        f"Across: score on {names.language(source)}; up: on {names.language(target)} and on languages that "
        "the models were not fine-tuned on; each divided by the bilingual model's. Means over "
        f"{names.count(rows['task'].nunique(), 'task')} and {names.count(rows['seed'].nunique(), 'seed')}."
    )
    title = f"Third languages on the way to the bilingual model, {names.pair(source, target)}"
    sheet = PAGE.axes(1, max(2, len(encoders)), title=title, text=text)
    for axes in sheet.axes[0][len(encoders) :]:
        axes.set_axis_off()
    for axes, encoder in zip(sheet.axes[0], encoders, strict=False):
        axes.set_title(names.encoder(encoder, results.controls), loc="left")
        _panel(axes, paths(rows[rows["encoder"] == encoder]), source, target, colours[encoder])
    sheet.axes[0][0].set_ylabel("score (bilingual = 1)")
    _legend(sheet, target)
    return sheet


def _panel(axes: Axes, table: pd.DataFrame, source: str, target: str, colour: str) -> None:
    across = table[source].to_numpy(dtype=np.float64)
    for language in table.columns.drop(source):
        up = table[language].to_numpy(dtype=np.float64)
        line = style.LINE_STYLES["target"] if language == target else ":"
        axes.plot(across, up, color=colour, ls=line, lw=1.1, label=str(language))
        axes.plot(across[0], up[0], "o", ms=3.5, mfc="white", mec=colour, label="_")
        axes.plot(across[-1], up[-1], "o", ms=3.5, color=colour, label="_")
        axes.annotate(
            str(language),
            (across[0], up[0]),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
            va="center",
        )
    style.grid_lines(axes)
    axes.set_xlabel(f"score on {names.language(source)} (bilingual = 1)")


def _legend(sheet: Sheet, target: str) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=style.INK,
            lw=1.1,
            ls=style.LINE_STYLES["target"],
            label=f"{names.language(target)} (target)",
        ),
        Line2D([], [], color=style.INK, lw=1.1, ls=":", label="third languages"),
    ]
    height = sheet.figure.get_size_inches()[1]
    sheet.figure.legend(
        handles=handles, loc="center", bbox_to_anchor=(0.5, 0.12 / height), ncols=2, borderpad=0
    )
