"""Fine-tunings that are cut short, what they leave, and damage to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from made_finetune import into
from tiny import Tiny

from xltray.context import JobContext
from xltray.finetune import finetune
from xltray.jobs import FinetuneJob

VALIDATIONS = 6


def context_for(tiny: Tiny, root: Path, seconds: float = 0.0) -> JobContext:
    return replace(into(tiny, root), checkpoint_seconds=seconds)


def begin(job: FinetuneJob, context: JobContext, validations: int) -> None:
    """Fine-tune until so many validations are done, and then no more: what a killed process leaves."""
    steps = finetune(job, context)
    for _ in range(1 + validations):
        next(steps)
    steps.close()


def content(context: JobContext, job: FinetuneJob, root: Path | None = None) -> dict[str, bytes]:
    folder = Path(root or context.store.uri) / "endpoints" / job.id
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "history.parquet")}


def done_of(context: JobContext, job: FinetuneJob) -> Any:
    return context.store.read_json(f"endpoints/{job.id}/DONE.json")


def checkpoints(context: JobContext, job: FinetuneJob) -> list[str]:
    return context.store.names(context.store.checkpoints_path(job.id))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])
