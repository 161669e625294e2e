"""The tasks by name. A new task is one file and one line here.

Modules are named, not imported: the sweep's driver and the dry run look names up without loading
torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from xltray.corpora.base import Entities, Kind, Pair, Sentence
from xltray.errors import XltrayError, did_you_mean
from xltray.spec import DataSpec

if TYPE_CHECKING:
    from xltray.tasks.base import Task

# name: (module, class, corpus unless the sweep file says otherwise, kind of examples)
_TASKS: dict[str, tuple[str, str, str, Kind]] = {
    "xnli": ("xltray.tasks.nli", "NliTask", "xnli", Pair),
    "ner": ("xltray.tasks.ner", "NerTask", "wikiann", Entities),
    "pos": ("xltray.tasks.pos", "PosTask", "ud", Sentence),
    "parsing": ("xltray.tasks.parsing", "ParsingTask", "ud", Sentence),
}
TASKS = tuple(_TASKS)


def corpus_name(task: str, data: DataSpec) -> str:
    """Return the corpus that a task reads."""
    _check(task)
    return data.corpora.get(task, _TASKS[task][2])


def example_kind(task: str) -> Kind:
    """Return the kind of examples that a task reads."""
    _check(task)
    return _TASKS[task][3]


def get_task(name: str) -> Task:
    """Return a task.

    Raises:
        XltrayError: for an unknown name.
    """
    _check(name)
    module, class_name, *_ = _TASKS[name]
    task: Task = getattr(importlib.import_module(module), class_name)()
    return task


def _check(name: str) -> None:
    if name not in _TASKS:
        raise XltrayError(f"Unknown task {name!r}. {did_you_mean(name, _TASKS)}")
