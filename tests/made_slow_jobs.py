"""A sweep at a slow pace: ``python tests/made_slow_jobs.py SWEEP.yaml ...`` is xltray.sweep, with pauses.

Jobs are the real ones; after each step they leave a note in a folder, so that a test knows which process to
kill, and when. While there is a file ``full`` or ``stalled`` in that folder, the store refuses what a full
disk would refuse, or does not answer at all: the driver and the workers.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from xltray.cluster.jobrunners import JobRunners, real_runners
from xltray.context import JobContext, Progress
from xltray.files import Files

NOTES = "XLTRAY_FAULT_NOTES"
JOIN_SECONDS = "XLTRAY_FAULT_JOIN_SECONDS"
"""How long the driver waits for larger machines than are there."""
PAUSE = 0.25


def slow_runners() -> JobRunners:
    """The real jobs, with notes and pauses; on CPUs, as the GPUs that they reserve may be logical ones."""
    real = real_runners()
    _let_stores_fail()

    def noted(kind: str, run: Callable[[Any, JobContext], Iterator[Progress]]) -> Any:
        def steps(job: Any, context: JobContext) -> Iterator[Progress]:
            for number, progress in enumerate(run(job, replace(context, device="cpu")), 1):
                _note(kind, number)
                yield progress

        return steps

    def evaluator(context: JobContext) -> Any:
        inner = real.evaluator(replace(context, device="cpu"))
        score = inner.score
        done = [0]

        def slowly(chunk: Any) -> Any:
            done[0] += 1
            _note("server", done[0])
            return score(chunk)

        inner.score = slowly  # type: ignore[method-assign]
        return inner

    pretrain, finetune = noted("pretrain", real.pretrain), noted("finetune", real.finetune)
    return JobRunners(pretrain, finetune, real.surface, evaluator)


def _let_stores_fail() -> None:
    """Make this process's stores fail while a file asks for it."""
    notes, patiently = Path(os.environ[NOTES]), Files._patiently
    if getattr(patiently, "faulty", False):
        return

    def faulty(self: Files, verb: str, path: str, action: Callable[[], Any]) -> Any:
        def attempt() -> Any:
            if (notes / "stalled").exists():
                raise OSError(errno.EIO, "no answer")
            if verb == "write" and (notes / "full").exists():
                raise OSError(errno.ENOSPC, "no space left on device")
            return action()

        return patiently(self, verb, path, attempt)

    faulty.faulty = True  # type: ignore[attr-defined]
    Files._patiently = faulty  # type: ignore[method-assign]


def _note(kind: str, number: int) -> None:
    import ray

    here = ray.get_runtime_context()
    gpus = here.get_accelerator_ids()["GPU"]
    note = {"kind": kind, "pid": os.getpid(), "node": here.get_node_id(), "number": number, "gpus": gpus}
    path = Path(os.environ[NOTES]) / f"{time.monotonic_ns()}-{uuid.uuid4().hex}"
    path.with_suffix(".tmp").write_text(json.dumps(note))
    path.with_suffix(".tmp").rename(path.with_suffix(".json"))
    time.sleep(PAUSE)


def main(arguments: list[str]) -> int:
    """Run a sweep with slow jobs."""
    import xltray.cluster.room as room
    import xltray.cluster.run as run
    from xltray.sweep import main as sweep

    _let_stores_fail()
    room.JOIN_SECONDS = float(os.environ.get(JOIN_SECONDS, room.JOIN_SECONDS))

    slow: Callable[..., Any] = partial(run.run_plan, runners="made_slow_jobs:slow_runners")
    run.run_plan = slow
    return sweep(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
