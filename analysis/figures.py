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
    """The files of all figures, the same figures for the report, and why others were left out."""

    files: list[Path]
    pictures: list[Picture]
    skipped: list[str]


def write_all(results: Results, folder: Path) -> Written:
    """Draw and save every figure."""
    written = Written([], [], [])
    with matplotlib.rc_context(style.RC):
        for draw in FIGURES.values():
            for outcome in draw(results):
                if isinstance(outcome, Skipped):
                    written.skipped.append(outcome.reason)
                else:
                    written.files.extend(style.save(outcome, folder))
                    written.pictures.append(picture(outcome, len(written.pictures) + 1))
    return written
