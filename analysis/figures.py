"""The registry of figures: a new one is a module with ``draw`` and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib

from analysis import geometry, lines, pairs, planes, style
from analysis.read import Results
from analysis.style import Drawing, Skipped

FIGURES: dict[str, Callable[[Results], Iterator[Drawing | Skipped]]] = {
    "lines": lines.draw,
    "pairs": pairs.draw,
    "planes": planes.draw,
    "geometry": geometry.draw,
}


def write_all(results: Results, folder: Path) -> tuple[list[Path], list[str]]:
    """Draw and save every figure; return the files and why figures were left out."""
    files: list[Path] = []
    skipped: list[str] = []
    with matplotlib.rc_context(style.RC):
        for draw in FIGURES.values():
            for outcome in draw(results):
                if isinstance(outcome, Skipped):
                    skipped.append(outcome.reason)
                else:
                    files += style.save(outcome, folder)
    return files, skipped
