"""The tasks by name. A new task is one file and one line here.

Modules are named, not imported: the sweep's driver and the dry run look names up without loading
torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from xltray.errors import XltrayError, did_you_mean
from xltray.spec import DataSpec

if TYPE_CHECKING:
    from xltray.tasks.base import Task

# name: (module, class, corpus unless the sweep file says otherwise)
_TASKS = {
    "xnli": (None, None, "xnli"),
    "ner": (None, None, "wikiann"),
    "pos": ("xltray.tasks.pos", "PosTask", "ud"),
    "parsing": ("xltray.tasks.parsing", "ParsingTask", "ud"),
}
TASKS = tuple(_TASKS)
RUNNABLE = tuple(name for name, (module, _, _) in _TASKS.items() if module)


def corpus_name(task: str, data: DataSpec) -> str:
    """Return the corpus that a task reads."""
    _check(task)
    return data.corpora.get(task, _TASKS[task][2])


def get_task(name: str) -> Task:
    """Return a task.

    Raises:
        XltrayError: for an unknown name, or a task that can only be planned so far.
    """
    _check(name)
    module, class_name, _ = _TASKS[name]
    if module is None or class_name is None:
        raise XltrayError(
            f"Task {name!r} can be planned (--dry-run) but not run by this version. "
            f"Tasks that run: {', '.join(RUNNABLE)}."
        )
    task: Task = getattr(importlib.import_module(module), class_name)()
    return task


def _check(name: str) -> None:
    if name not in _TASKS:
        raise XltrayError(f"Unknown task {name!r}. {did_you_mean(name, _TASKS)}")
