"""What one constant answer scores, which a raw score has to be seen against.

Endpoints record it for each language of their dev sets (``baselines`` in DONE.json): the score of the
best constant answer, in the primary metric. Results without those folders have none.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import provenance

Baselines = dict[tuple[str, str], float]
"""Scores in [0, 1] by task and language."""


def read(folder: Path, surfaces: pd.DataFrame) -> Baselines:
    """Return the baselines of the tasks and languages that were scored.

    Where endpoints of one task and language disagree (a store of several dev sets), there is none: a
    line in a figure could only be right for one of them.

    Args:
        folder: of the results.
        surfaces: their rows, with cell, task, eval_language and metric.
    """
    scored = set(surfaces[["task", "eval_language", "metric"]].drop_duplicates().itertuples(index=False))
    made_of = provenance.endpoints(folder, set(surfaces["cell"]))
    found: dict[tuple[str, str], set[float]] = defaultdict(set)
    for path in sorted(folder.glob("endpoints/*/DONE.json")):
        if made_of and path.parent.name not in made_of:
            continue
        task, said = _recorded(path)
        for language, one in said.items():
            if (task, language, one["metric"]) in scored:
                found[task, language].add(float(one["value"]))
    return {key: values.pop() for key, values in found.items() if len(values) == 1}


def _recorded(path: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return an endpoint's task and its baselines by language; none of what says none."""
    try:
        task = str(json.loads(path.with_name("spec.json").read_text(encoding="utf-8"))["task"])
        said = json.loads(path.read_text(encoding="utf-8")).get("baselines", {})
        return task, {code: one for code, one in said.items() if {"metric", "value"} <= set(one)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # An endpoint that is half there is no reason not to draw the others.
        return "", {}
