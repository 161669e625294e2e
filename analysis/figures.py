"""The registry of figures: a new one is a module with ``draw`` and a line here."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib

from analysis import geometry, layers, lines, pairs, planes, scopes, style, trajectories, variances
from analysis.pictures import Picture, picture
from analysis.read import Results
from analysis.style import Drawing, Skipped

LIST = "files.json"
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


def tidy(folder: Path, written: Collection[str]) -> list[str]:
    """Delete what an earlier run wrote into a folder and this one did not; note this one's files.

    Only names in the earlier run's list (``files.json``) are deleted, and only plain names of files in
    this very folder: whatever else lies there stays.

    Args:
        folder: where everything went.
        written: names of the files that this run wrote.

    Returns:
        The names of the files that are gone.
    """
    stale = sorted(_listed(folder / LIST) - set(written))
    gone = [name for name in stale if Path(name).name == name and (folder / name).is_file()]
    for name in gone:
        (folder / name).unlink()
    text = json.dumps(sorted({*written, LIST}), indent=1)
    (folder / LIST).write_text(f"{text}\n", encoding="utf-8", newline="\n")
    return gone


def _listed(path: Path) -> set[str]:
    """Return the names in a list; none if it is absent or is no such list, so that nothing is deleted."""
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    # The list itself is written anew, not deleted.
    return {name for name in names if isinstance(name, str)} - {LIST} if isinstance(names, list) else set()
