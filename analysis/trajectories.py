"""Scores on third languages against the score on the source, on the way to the bilingual model.

Drawn only where languages other than source and target were scored. A path leads along Eq. 1 from the
source-only model (open mark) to the bilingual one (filled mark): across, the normalised score on the
source language; up, that on the target (dashed) and on each third language (dotted). Means over tasks and
seeds. One figure a language pair, a panel an encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis import names, style
from analysis.counts import per_line
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


def paths(rows: pd.DataFrame, source: str) -> dict[str, pd.DataFrame]:
    """Return each language's path: mean normalised scores ``across`` and ``up``, a row an alpha in order.

    Only cells that were scored on a language count for its path, for the source's score as well: otherwise
    the two coordinates would be of different cells.
    """
    key = ["cell", "alpha"]
    across = rows.loc[rows["eval_language"] == source, [*key, "relative"]].rename(
        columns={"relative": "across"}
    )
    found = {}
    for (language,), chosen in split_by(rows[rows["eval_language"] != source], "eval_language"):
        both = across.merge(chosen[[*key, "relative"]].rename(columns={"relative": "up"}), on=key)
        found[language] = both.groupby("alpha")[["across", "up"]].mean().sort_index()
    return {language: path for language, path in found.items() if not path.empty}


def _sheet(rows: pd.DataFrame, source: str, target: str, results: Results) -> Sheet:
    colours = style.encoder_colours(results.known, results.controls)
    encoders = [encoder for encoder in colours if encoder in set(rows["encoder"])]
    cells = per_line([rows[rows["eval_language"] != source]], ["encoder", "eval_language"], ["cell"])
    text = (
        "Each path leads from the source-only model (open mark) in a straight line to the bilingual one "
        "(filled). "
        f"Across: score on {names.language(source)}; up: on {names.language(target)} and on languages that "
        "the models were not fine-tuned on; each divided by the bilingual model's. Each path: "
        f"{'mean over ' if cells.most > 1 else ''}{cells.of('cell')} (a task and seed each)."
    )
    title = f"Third languages on the way to the bilingual model, {names.pair(source, target)}"
    sheet = PAGE.axes(1, max(2, len(encoders)), title=title, text=text)
    for axes in sheet.axes[0][len(encoders) :]:
        axes.set_axis_off()
    for axes, encoder in zip(sheet.axes[0], encoders, strict=False):
        axes.set_title(names.encoder(encoder, results.controls), loc="left")
        _panel(axes, paths(rows[rows["encoder"] == encoder], source), source, target, colours[encoder])
    sheet.axes[0][0].set_ylabel("score (bilingual = 1)")
    _legend(sheet, target)
    return sheet


def _panel(axes: Axes, found: Mapping[str, pd.DataFrame], source: str, target: str, colour: str) -> None:
    for language, path in found.items():
        across, up = (path[column].to_numpy(dtype=np.float64) for column in ("across", "up"))
        line = style.LINE_STYLES["target"] if language == target else ":"
        axes.plot(across, up, color=colour, ls=line, lw=1.1, label=language)
        axes.plot(across[0], up[0], "o", ms=3.5, mfc="white", mec=colour, label="_")
        axes.plot(across[-1], up[-1], "o", ms=3.5, color=colour, label="_")
        axes.annotate(
            language,
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
    sheet.legend(handles, 0.12)
