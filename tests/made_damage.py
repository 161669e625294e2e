"""Files of a store damaged, and a job that reads them run as by a trial."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from tiny import Tiny

from xltray.cluster.metrics import WorkMetrics
from xltray.cluster.trial import JobTrial
from xltray.evaluator import LocalPool
from xltray.jobs import FinetuneJob, Job
from xltray.store import Store
from xltray.sweep import _cut_short


def flip(store: Store, path: str) -> None:
    data = bytearray(store.read_bytes(path))
    data[len(data) // 2] ^= 1
    store.write_bytes(path, bytes(data))


def cut(store: Store, path: str) -> None:
    store.write_bytes(path, store.read_bytes(path)[:-1])


def needed_now(tiny: Tiny) -> tuple[set[str], str]:
    """What a run would do, and what it says before."""
    out = StringIO()
    done = tiny.store.done_ids(tiny.plan.jobs.values())
    done -= _cut_short(tiny.plan, tiny.store, done, Console(file=out, width=500).print)
    return set(tiny.plan.needed(done)), out.getvalue()


def step(own: Tiny, job: Job) -> str:
    """Run a job as a trial does, without Ray; returns the error that it reports."""
    runtime = {
        "threads": 1,
        "checkpoint_seconds": 60.0,
        "device": "cpu",
        "servers": 1,
        "processes": 1,
        "points_per_chunk": 4,
    }
    trial = JobTrial.__new__(JobTrial)
    trial._pool = None if isinstance(job, FinetuneJob) else LocalPool(own.context)  # type: ignore[assignment]
    trial._metrics = WorkMetrics()
    trial._begin(
        {
            **runtime,
            "storage": own.store.uri,
            "data": own.sweep.data.model_dump_json(),
            "job": job.model_dump_json(),
            "id": job.id,
            "kind": job.kind,
            "runners": "xltray.cluster.jobrunners:real_runners",
        }
    )
    while not (result := trial.step())["done"]:
        pass
    return str(result["error"])
