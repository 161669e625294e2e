"""Normalised scores over the plane through the three models (the paper's Figures 3 and 10).

One figure per task and pair, with a panel for each encoder and language scored, all on one colour scale;
and one of the means over pairs, a row of panels a task. The scale follows the triangle between the three
models, where the question lies; darker than its lower end means "below", as far models often score
nothing. The axes' values may be unevenly spaced.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.lines import Line2D

from analysis import names, style
from analysis.counts import per_line
from analysis.grids import Plane, levels_of, plane_of
from analysis.read import CORNERS, Results, split_by
from analysis.statistics import Array
from analysis.style import Drawing, Sheet, Skipped

COLOURS = "viridis"
CONTOUR = 0.95
"""Of the bilingual model's score: where the white line is drawn."""
CORNER_MARKS = {"bilingual": "o", "source-only": "s", "target-only": "^"}
SIDES = ("source", "target")
BAR = 0.62
"""Inches that the colour bar and its words take at the right."""


class Place(NamedTuple):
    """A panel: its title, the label of its row, and its plane, if there is one."""

    title: str
    row: str
    plane: Plane | None


def draw(results: Results) -> Iterator[Drawing | Skipped]:
    """Draw one figure of means over pairs and one per task and pair, of models interpolated as a whole."""
    rows = results.surfaces
    rows = rows[rows["on_plane"].astype(bool) & (rows["scope"] == "all") & rows["relative"].notna()]
    if rows.empty:
        yield Skipped("Planes: the results hold no point of a plane (scope 'all') with a bilingual score.")
        return
    if len(rows[["source", "target"]].drop_duplicates()) > 1:
        yield from _overview(rows, results)
    for (task, source, target), chosen in split_by(rows, "task", "source", "target"):
        planes = _planes(chosen)
        if not planes:
            yield Skipped(f"Plane of {task}, {source} → {target}: fewer than 2 x 2 points.")
            continue
        encoders = _ordered({encoder for encoder, _ in planes}, results)
        title = f"{names.task(task)}: the plane through the three models, {names.pair(source, target)}"
        languages = dict(zip(SIDES, (names.language(source), names.language(target)), strict=True))
        grid = _by_side(planes, encoders, languages, results)
        seeds = per_line([chosen], ["encoder", "eval_role"], ["seed"])
        text = _text(f"each panel: mean over {seeds.of('seed')}", planes.values())
        yield _sheet(grid, title, text).named(f"plane-{task}-{source}-{target}")


def _overview(rows: pd.DataFrame, results: Results) -> Iterator[Drawing]:
    """Draw the means over language pairs and seeds: a row of panels a task."""
    by_task = {task: _planes(rows[rows["task"] == task]) for task in names.in_order(rows["task"].unique())}
    encoders = _ordered({encoder for planes in by_task.values() for encoder, _ in planes}, results)
    grid = [
        [
            Place(
                f"{names.encoder(encoder, results.controls)}, on {side}",
                names.task(task),
                planes.get((encoder, side)),
            )
            for encoder in encoders
            for side in SIDES
        ]
        for task, planes in by_task.items()
        if planes
    ]
    if grid:
        cells = per_line([rows], ["task", "encoder", "eval_role"], ["cell"])
        text = _text(
            f"each panel: mean over {cells.of('cell')} (a language pair and seed each); above it, the "
            "language scored",
            (plane for planes in by_task.values() for plane in planes.values()),
        )
        yield _sheet(grid, "The plane through the three models, mean over language pairs", text).named(
            "planes"
        )


def _by_side(
    planes: Mapping[tuple[str, str], Plane],
    encoders: Sequence[str],
    languages: Mapping[str, str],
    results: Results,
) -> list[list[Place]]:
    """Lay panels out: all in a row for two encoders, else a row a side."""
    rows = [
        [
            Place(
                f"{names.encoder(encoder, results.controls)}, on {languages[side]}",
                f"on {languages[side]} ({side})",
                planes.get((encoder, side)),
            )
            for encoder in encoders
        ]
        for side in SIDES
    ]
    return [rows[0] + rows[1]] if len(encoders) <= 2 else rows


def _planes(rows: pd.DataFrame) -> dict[tuple[str, str], Plane]:
    planes = {(e, role): plane_of(one) for (e, role), one in split_by(rows, "encoder", "eval_role")}
    return {key: plane for key, plane in planes.items() if plane.drawable}


def _ordered(encoders: set[str], results: Results) -> list[str]:
    return list(style.encoder_colours(encoders, results.controls))


def _text(mean: str, planes: Iterable[Plane]) -> str:
    sizes = sorted({plane.scores.shape[::-1] for plane in planes})
    scored = " or ".join(f"{columns} × {rows}" for columns, rows in sizes)
    return (
        "Every point is a model: the bilingual one moved towards (or past) the source-only and the "
        f"target-only model; {scored} of them are scored, the colours between are filled in. Colour: score "
        f"divided by the bilingual model's; {mean}. "
        f"White line: {CONTOUR:g}. Marks: the three models that were trained, all others are computed from "
        "them. Dashed: the straight lines between them."
    )


def _sheet(grid: Sequence[Sequence[Place]], title: str, text: str) -> Sheet:
    levels = levels_of([place.plane for places in grid for place in places if place.plane is not None])
    several = len({place.row for places in grid for place in places}) == len(grid) > 1
    left, right, gap = 0.66 if several else 0.42, 0.08 + BAR, 0.1
    side = min(1.85, (style.PAGE_WIDTH - left - right - gap * (len(grid[0]) - 1)) / len(grid[0]))
    spare = style.PAGE_WIDTH - left - right - gap * (len(grid[0]) - 1) - side * len(grid[0])
    # A title wider than its panel would run into the next one.
    letters = max(8, int(side * 18))
    lines = max(len(textwrap.wrap(place.title, letters)) for places in grid for place in places)
    more = (lines - 1) * style.LINE_HEIGHT
    page = style.Page(
        panel=side, gap=(gap, 0.26 + more), left=left, right=right + spare, top=0.2 + more, foot=0.62
    )
    sheet = page.axes(len(grid), len(grid[0]), title=title, text=text)
    for across, places in zip(sheet.axes, grid, strict=True):
        for axes, place in zip(across, places, strict=True):
            _panel(axes, place._replace(title=textwrap.fill(place.title, letters)), levels)
            axes.tick_params(labelleft=axes is across[0])
        # In two lines, as a small panel is lower than a long name is wide.
        name = textwrap.fill(places[0].row, 20) if side < 1.3 else places[0].row
        label = f"{name}\n" if several else ""
        across[0].set_ylabel(f"{label}towards target-only, α$_2$", linespacing=1.1)
    for axes in [axes for across in sheet.axes[:-1] for axes in across]:
        axes.tick_params(labelbottom=False)
    for axes in sheet.axes[-1]:
        axes.set_xlabel("towards source-only, α$_1$" if side > 1 else "α$_1$")
    _colour_bar(sheet, levels, 1 - (right + spare - 0.1) / style.PAGE_WIDTH)
    _legend(sheet)
    return sheet


def _steps(levels: Array) -> BoundaryNorm:
    """Return the steps of colour, the same for the panels and the bar."""
    return BoundaryNorm(levels.tolist(), ncolors=256, extend="both")


def _panel(axes: Axes, place: Place, levels: Array) -> None:
    axes.set_title(place.title, loc="left", fontsize=8, linespacing=0.95)
    for spine in axes.spines.values():
        spine.set_visible(False)
    plane = place.plane
    if plane is None:
        axes.text(0.5, 0.5, "no points", transform=axes.transAxes, ha="center", color=style.QUIET)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    masked = np.ma.masked_invalid(plane.scores)
    filled = axes.contourf(
        plane.a_src, plane.a_tgt, masked, levels=levels, cmap=COLOURS, norm=_steps(levels), extend="both"
    )
    filled.set_edgecolor("face")
    if masked.min() < CONTOUR < masked.max():
        axes.contour(plane.a_src, plane.a_tgt, masked, levels=[CONTOUR], colors="white", linewidths=1.0)
    _models(axes, (plane.a_src[0], plane.a_src[-1], plane.a_tgt[0], plane.a_tgt[-1]))


def _models(axes: Axes, limits: tuple[float, float, float, float]) -> None:
    """Mark the three models and the lines between them; set what the axes show."""
    for x, y in (place for place, name in CORNERS.items() if name != "bilingual"):
        axes.plot([0, x], [0, y], color="white", lw=0.8, ls=(0, (3, 2)), label="_")
    for (x, y), name in CORNERS.items():
        if limits[0] <= x <= limits[1] and limits[2] <= y <= limits[3]:
            axes.plot(
                x, y, CORNER_MARKS[name], ms=4.2, mfc="white", mec="black", mew=0.8, label=name, ls="none"
            )
    axes.set_xlim(limits[0], limits[1])
    axes.set_ylim(limits[2], limits[3])
    for low, high, axis in ((limits[0], limits[1], axes.xaxis), (limits[2], limits[3], axes.yaxis)):
        ticks = [tick for tick in (-1.0, 0.0, 1.0, 2.0) if low <= tick <= high]
        axis.set_ticks(ticks, [style.number(tick) for tick in ticks])


def _colour_bar(sheet: Sheet, levels: Array, left: float) -> None:
    height = sheet.figure.get_size_inches()[1]
    boxes = [axes.get_position() for across in sheet.axes for axes in across]
    bottom, top = min(box.y0 for box in boxes), max(box.y1 for box in boxes)
    length = min(top - bottom, 3.0 / height)
    bar = sheet.figure.add_axes(
        (left, (top + bottom - length) / 2, 0.1 / style.PAGE_WIDTH, length), label="colour bar"
    )
    sheet.figure.colorbar(ScalarMappable(_steps(levels), COLOURS), cax=bar, label="score (bilingual = 1)")
    # Counted from 1, so that the bilingual model's own score is on the bar; fewer on a short bar.
    stride = 2 if length * height > 1.6 else 3
    bar.set_yticks(levels[int(np.abs(levels - 1).argmin()) % stride :: stride])
    bar.tick_params(length=2)


def _legend(sheet: Sheet) -> None:
    handles = [
        Line2D(
            [], [], marker=marker, ls="none", ms=4.2, mfc="white", mec="black", mew=0.8, label=f"{name} model"
        )
        for name, marker in CORNER_MARKS.items()
    ]
    sheet.legend(handles, 0.12, handletextpad=0.1)
