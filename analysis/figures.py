"""The registry of figures: a new one is a module with ``draw`` and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib

from analysis import geometry, layers, lines, pairs, planes, scopes, style, trajectories, variances
from analysis.pictures import Picture, picture
from analysis.read import Results
from analysis.style import Drawing, Skipped

SHOWN = {"plane": 12, "pair": 6}
"""How many figures of one language pair the report shows, by kind; with more, they are files only."""

FIGURES: dict[str, Callable[[Results], Iterator[Drawing | Skipped]]] = {
    "lines": lines.draw,
    "variance": variances.draw,
    "scopes": scopes.draw,
    "trajectories": trajectories.draw,
    "planes": planes.draw,
    "geometry": geometry.draw,
    "layers": layers.draw,
    "pairs": pairs.draw,
}


class Written(NamedTuple):
    """The files of all figures, the figures for report and captions, and why others were left out."""

    files: list[Path]
    pictures: list[Picture]
    skipped: list[str]


def write_all(results: Results, folder: Path) -> Written:
    """Draw and save every figure."""
    written = Written([], [], [])
    hidden = files_only(results)
    with matplotlib.rc_context(style.RC):
        for draw in FIGURES.values():
            for outcome in draw(results):
                if isinstance(outcome, Skipped):
                    written.skipped.append(outcome.reason)
                else:
                    written.files.extend(style.save(outcome, folder))
                    shown = outcome.name.split("-")[0] not in hidden
                    written.pictures.append(picture(outcome, len(written.pictures) + 1, shown=shown))
    return written


def files_only(results: Results) -> frozenset[str]:
    """Return the kinds of figures that there are too many of to read in a page."""
    rows = results.surfaces
    numbers = {
        "plane": len(rows[["task", "source", "target"]].drop_duplicates()),
        "pair": len(rows[["source", "target"]].drop_duplicates()),
    }
    return frozenset(kind for kind, number in numbers.items() if number > SHOWN[kind])
