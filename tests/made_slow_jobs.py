"""A sweep at a slow pace: ``python tests/made_slow_jobs.py SWEEP.yaml ...`` is xltray.sweep, with pauses.

Jobs are the real ones; after each step they leave a note in a folder, so that a test knows which process to
kill, and when.
"""

from __future__ import annotations

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

NOTES = "XLTRAY_FAULT_NOTES"
PAUSE = 0.25


def slow_runners() -> JobRunners:
    """The real jobs, with notes and pauses; on CPUs, as the GPUs that they reserve may be logical ones."""
    real = real_runners()

    def finetune(job: Any, context: JobContext) -> Iterator[Progress]:
        for number, progress in enumerate(real.finetune(job, replace(context, device="cpu")), 1):
            _note("finetune", number)
            yield progress

    def evaluator(context: JobContext) -> Any:
        inner = real.evaluator(replace(context, device="cpu"))
        score = inner.score
        done = [0]

        def noted(chunk: Any) -> Any:
            done[0] += 1
            _note("server", done[0])
            return score(chunk)

        inner.score = noted  # type: ignore[method-assign]
        return inner

    return JobRunners(real.pretrain, finetune, real.surface, evaluator)


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
    import xltray.cluster.run as run
    from xltray.sweep import main as sweep

    slow: Callable[..., Any] = partial(run.run_plan, runners="made_slow_jobs:slow_runners")
    run.run_plan = slow
    return sweep(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
