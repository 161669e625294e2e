"""Where results come from: what the Parquet files and the sweep's own file say.

Every file of a cell carries key-value metadata whose names start with "xltray." (versions, device,
revision, ids of endpoints, fingerprints of data). Here equal values are counted, so that a store
made by two versions or on two devices shows it. Results that carry none say so.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import yaml

from analysis import names
from analysis.tables import AnalysisError
from analysis.texts import Table

PREFIX = "xltray."
PER_CELL = ("cell", "endpoint.", "not_learned")
"""Different in every cell, so of no use in a list."""
LICENCES = {"toy": "made by the software itself from a seed; no licence is needed"}
UNRECORDED = (
    "not recorded in these results; `python -m xltray.data check` prints it, and the corpus's files say it"
)


class Sweep(NamedTuple):
    """A sweep that left its file in the store: its name, the file's text and what it says."""

    name: str
    text: str
    content: dict[str, Any]
    licences: tuple[dict[str, Any], ...] = ()
    """Of the corpora that it read: corpus, language, tasks, licence and the file that states it."""


class Origin(NamedTuple):
    """The folder that results are in and the sweeps that they are of."""

    folder: Path
    sweeps: list[Sweep]


def recorded(folder: Path, cells: Collection[str]) -> Table:
    """Return what the files of some cells say about their making, and how many of them say it."""
    counts: Counter[tuple[str, str]] = Counter()
    files = 0
    for said in _metadata(folder):
        if said.get("cell") in cells:
            files += 1
            counts.update((key, value) for key, value in said.items() if not key.startswith(PER_CELL))
    rows = [
        [key, value or "–", names.count(number, "file")] for (key, value), number in sorted(counts.items())
    ]
    return Table(
        f"What {names.count(files, 'result file')} say of how they were made", ["what", "value", "in"], rows
    )


def endpoints(folder: Path, cells: Collection[str]) -> frozenset[str]:
    """Return the ids of the endpoints that some cells were made of; none if their files do not say."""
    return frozenset(
        value
        for said in _metadata(folder)
        if said.get("cell") in cells
        for key, value in said.items()
        if key.startswith("endpoint.")
    )


def _metadata(folder: Path) -> Iterator[dict[str, str]]:
    for part in ("surfaces", "geometry"):
        for path in sorted((folder / part).rglob("*.parquet")):
            if any(name.startswith(("_", ".")) for name in path.relative_to(folder).parts):
                continue
            found = pq.read_schema(path).metadata or {}
            said = {key.decode(): value.decode() for key, value in found.items()}
            yield {key.removeprefix(PREFIX): said[key] for key in sorted(said) if key.startswith(PREFIX)}


def origin(folder: Path, sweep: str | None) -> Origin:
    """Read the files of the sweeps under ``folder``, or of the named one.

    Raises:
        AnalysisError: if such a file is no YAML.
    """
    found = []
    for path in sorted(folder.glob(f"sweeps/{sweep or '*'}/sweep.yaml")):
        text = path.read_text(encoding="utf-8")
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise AnalysisError(f"{path}: not YAML ({error}). Run the sweep's command again.") from error
        stated = _recorded_licences(path.with_name("plan.json"))
        found.append(Sweep(path.parent.name, text, content if isinstance(content, dict) else {}, stated))
    return Origin(folder, found)


def samples(found: Collection[Sweep]) -> list[str]:
    """Say of which sweeps "dev" is another sample: synthetic languages may have their test sample there."""
    return [
        f"Sweep {sweep.name!r}: what is called dev is the test sample of the synthetic languages "
        "(data.toy.evaluate_on: test)."
        for sweep in found
        if _mapping(_mapping(sweep.content, "data"), "toy").get("evaluate_on") == "test"
        and "toy" in _mapping(_mapping(sweep.content, "data"), "corpora").values()
    ]


def licences(found: Collection[Sweep]) -> Table:
    """Return the corpora that the sweeps name, by language where their licences were recorded."""
    used: dict[str, set[str]] = {}
    for sweep in found:
        for task, corpus in _mapping(_mapping(sweep.content, "data"), "corpora").items():
            used.setdefault(str(corpus), set()).add(names.task(str(task)))
        for encoder, settings in _mapping(sweep.content, "encoders").items():
            corpus = _mapping(settings, "pretrain").get("corpus")
            if corpus is not None:
                used.setdefault(str(corpus), set()).add(f"pretraining of {encoder}")
    said = {(one["corpus"], one["language"]): one for sweep in found for one in sweep.licences}
    for (corpus, _), one in said.items():
        used.setdefault(corpus, set()).update(names.task(task) for task in one["tasks"])
    rows = []
    for corpus, users in sorted(used.items()):
        start = [corpus, ", ".join(sorted(users)) or "–"]
        by_language = [(language, one) for (of, language), one in sorted(said.items()) if of == corpus]
        rows += [[*start, names.language(language), _stated(one)] for language, one in by_language]
        if not by_language:
            rows.append([*start, "all", LICENCES.get(corpus, UNRECORDED)])
    return Table("Corpora", ["corpus", "used for", "language", "licence"], rows)


def _stated(licence: Mapping[str, Any]) -> str:
    """Return a licence with the file that states it."""
    file = licence.get("file")
    return f"{licence['licence']} ({file})" if file else str(licence["licence"])


def _recorded_licences(plan: Path) -> tuple[dict[str, Any], ...]:
    """Return the licences in a plan; none from plans of older versions, or from what is no plan."""
    try:
        said = json.loads(plan.read_text(encoding="utf-8")).get("licences", [])
        return tuple(one for one in said if {"corpus", "language", "tasks", "licence"} <= set(one))
    except (OSError, ValueError, AttributeError, TypeError):
        return ()


def _mapping(value: object, key: str) -> dict[str, Any]:
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}
