"""Norms and angles by parts of the model: embeddings, each layer of the encoder, task layer.

Above, how much a parameter of the part changed, as the root of the mean square (norm over the root of the
number of parameters), so that parts of different sizes compare; below, the angle between the two
directions within the part. Lines are means over cells, bands the 95% bootstrap interval over cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from analysis import names, style
from analysis.counts import per_line
from analysis.read import Results, split_by
from analysis.statistics import bootstrap_band, mean_over_cells
from analysis.style import Drawing, Sheet, Skipped, encoder_colours

PAGE = style.Page(panel=1.5, left=0.55, top=0.1, foot=0.66, gap=(0.55, 0.3))
LAYER = "layer."
COLUMNS = {"norm_src": "rms_src", "norm_tgt": "rms_tgt"}


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure of all encoders, nothing if no layer was measured."""
    rows = with_places(results.geometry)
    if not rows["part"].str.startswith(LAYER).any():
        return
    cells = per_line([rows], ["encoder"], ["cell"])
    text = (
        "By part of the model. Left: root mean square of what changed from the bilingual to the source-only "
        "(solid) and to the target-only model (dashed), a parameter. Right: angle between the two. Each "
        f"line: {'mean over ' if cells.most > 1 else ''}{cells.of('cell')} (a task, language pair "
        f"and seed each).{cells.band('cells')}"
    )
    sheet = PAGE.axes(
        1, 2, title="Where in the model the monolingual models differ from the bilingual one", text=text
    )
    left, right = sheet.axes[0]
    colours = encoder_colours(results.known, results.controls)
    depth = int(rows["place"].max())
    for (encoder,), chosen in split_by(rows, "encoder"):
        for column, line in (
            ("rms_src", style.LINE_STYLES["source"]),
            ("rms_tgt", style.LINE_STYLES["target"]),
        ):
            _line(left, chosen, column, colours[encoder], line, f"{encoder}, {column}", depth)
        _line(right, chosen, "angle", colours[encoder], "-", f"{encoder}, angle", depth)
    for axes in (left, right):
        style.grid_lines(axes)
        _ticks(axes, depth)
    left.set_ylim(bottom=0)
    left.set_ylabel("root mean square change")
    right.set_ylabel("angle (degrees)")
    _legend(
        sheet,
        [(names.encoder(e, results.controls), c) for e, c in colours.items() if e in set(rows["encoder"])],
    )
    yield sheet.named("layers")


def with_places(geometry: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of embeddings, layers and task layer with their place on the x axis and changes.

    Place 0 is the embeddings, 1 the first layer; the task layer lies behind the deepest of all encoders.
    """
    layers = geometry["part"].str.startswith(LAYER)
    numbers = geometry["part"].where(layers).str.removeprefix(LAYER).astype(float) + 1
    last = numbers.max() + 1
    place = numbers.where(layers, geometry["part"].map({"embeddings": 0.0, "head": last}))
    rows = geometry.assign(place=place)[place.notna()]
    root = np.sqrt(rows["parameters"].astype(float))
    return rows.assign(**{new: rows[old].astype(float) / root for old, new in COLUMNS.items()})


def _line(
    axes: Axes, rows: pd.DataFrame, column: str, colour: str, line: LineStyleType, label: str, last: int
) -> None:
    table = rows.pivot(index="cell", columns="place", values=column).sort_index(axis=1)
    values = table.to_numpy(dtype=np.float64)
    band = bootstrap_band(values)
    places = table.columns.to_numpy(dtype=np.float64)
    middle = mean_over_cells(values)
    # Only layers follow one another: embeddings and task layer stand by themselves.
    inner = (places > 0) & (places < last)
    axes.fill_between(places[inner], band.low[inner], band.high[inner], color=colour, alpha=0.16, lw=0)
    axes.plot(places[inner], middle[inner], color=colour, ls=line, lw=1.1, label="_")
    axes.vlines(places[~inner], band.low[~inner], band.high[~inner], color=colour, alpha=0.4, lw=2)
    axes.plot(places, middle, color=colour, ls="none", marker="o", ms=2, label=label)


def _ticks(axes: Axes, last: int) -> None:
    step = max(1, round((last - 1) / 6))
    layers = list(range(step, last, step))
    axes.set_xticks([0, *layers, last], ["emb.", *(str(layer) for layer in layers), "task"])
    axes.set_xlabel("embeddings, layers of the encoder, task layer")


def _legend(sheet: Sheet, encoders: Sequence[tuple[str, str]]) -> None:
    handles = [Line2D([], [], color=colour, lw=2, label=label) for label, colour in encoders]
    handles += [
        Line2D([], [], color=style.INK, lw=1.1, ls=style.LINE_STYLES[role], label=f"to the {role}-only model")
        for role in ("source", "target")
    ]
    sheet.legend(handles, 0.14)
