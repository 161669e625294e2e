"""How many examples each language has, by task and split, as the sweep read them (the paper's Table 1).

Dev counts stand in the surfaces (what was scored) and, like training counts, in the endpoints' DONE.json,
where those folders are beside the results. Endpoints made before counts were recorded have none.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import names, provenance
from analysis.read import Results
from analysis.texts import Table

SPLITS = ("train", "dev")
TITLE = "Examples by language, task and split, as read"

Counts = dict[tuple[str, str, str], set[int]]
"""By language, task and split; several numbers where sweeps of one store read different ones."""


def counts(folder: Path, results: Results) -> Counts:
    """Return the counts of the results' tasks and languages.

    Of endpoints, those that the results' cells were made of; all of the store where the cells do not say.
    """
    found: Counts = defaultdict(set)
    columns = ["eval_language", "task", "examples"]
    rows = pd.concat([results.surfaces, results.others])[columns].drop_duplicates()
    for language, task, number in rows.itertuples(index=False):
        found[language, task, "dev"].add(int(number))
    known = trained_on(results)
    made_of = provenance.endpoints(folder, set(results.surfaces["cell"]))
    for path in sorted(folder.glob("endpoints/*/DONE.json")):
        # A store may hold other sweeps' endpoints, of other numbers of examples.
        if made_of and path.parent.name not in made_of:
            continue
        task, said = _recorded(path)
        for language, splits in said.items():
            if (task, language) in known:
                for split, number in splits.items():
                    found[language, task, split].add(int(number))
    return dict(found)


def trained_on(results: Results) -> set[tuple[str, str]]:
    """Return the tasks and languages that models were fine-tuned on, third languages not among them."""
    cells = results.surfaces[["task", "source", "target"]].drop_duplicates()
    return {(task, language) for task, *pair in cells.itertuples(index=False) for language in pair}


def _recorded(path: Path) -> tuple[str, dict[str, Any]]:
    """Return an endpoint's task and its counts by language and split; no counts from what says none."""
    try:
        spec = json.loads(path.with_name("spec.json").read_text(encoding="utf-8"))
        said = json.loads(path.read_text(encoding="utf-8"))
        return str(spec["task"]), dict(said.get("examples", {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # An endpoint that is half there is no reason not to count the others.
        return "", {}


def frame(found: Counts) -> pd.DataFrame:
    """Return one row a language and split, one column a task; a dash where nothing is recorded."""
    tasks = names.in_order({task for _, task, _ in found})
    rows = [
        {"language": language, "split": split}
        | {task: _text(found.get((language, task, split))) for task in tasks}
        for language in sorted({language for language, _, _ in found})
        for split in SPLITS
    ]
    return pd.DataFrame(rows, columns=["language", "split", *tasks])


def table(found: Counts) -> Table:
    """Return the frame for people."""
    content = frame(found)
    header = ["language", "split", *(names.task(task) for task in content.columns[2:])]
    rows = [[names.language(row[0]), row[1], *row[2:]] for row in content.itertuples(index=False)]
    return Table(TITLE, header, rows)


def missing(found: Counts, results: Results) -> list[str]:
    """Say which counts of training examples are not recorded."""
    known = trained_on(results)
    lack = sorted((task, language) for task, language in known if (language, task, "train") not in found)
    if not lack:
        return []
    listed = ", ".join(f"{task} {language}" for task, language in lack)
    return [
        f"Examples: no count of training examples for {listed} (their endpoints lie elsewhere, or are of a "
        "version that recorded none; `python -m xltray.data check` counts them)."
    ]


def _text(numbers: set[int] | None) -> str:
    return " / ".join(str(number) for number in sorted(numbers or ())) or "–"
