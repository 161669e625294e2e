"""What is told of jobs that run, and of trainings that were cut short."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from made_status import fail, own, told
from tiny import Tiny

import xltray.cluster.run
import xltray.sweep
from xltray.cluster.run import RunOutcome
from xltray.finetune import finetune
from xltray.jobs import FinetuneJob, PretrainJob, SurfaceJob
from xltray.lease import hold_lease, lease_path
from xltray.pretrain import pretrain
from xltray.status import main

# Fixtures: pytest looks for them in this module.
__all__ = ["own"]


def stop(own: Tiny, job: FinetuneJob | PretrainJob, steps: int) -> None:
    """Leave a checkpoint of a training after so many steps, and no result."""
    own.store.delete(own.store.folder(job))
    context = replace(own.context, checkpoint_seconds=0.0)
    train = finetune(job, context) if isinstance(job, FinetuneJob) else pretrain(job, context)
    next(progress for progress in train if progress.done >= steps)
    train.close()


def lease(own: Tiny, *running: str, **changes: Any) -> None:
    """What a driver leaves that runs these jobs of another sweep in the store; it is this process."""
    own.store.delete(lease_path(own.store, "other"))
    with hold_lease(own.store, "other", print, beat=60.0, running=lambda: running):
        content = own.store.read_json(lease_path(own.store, "other"))
    own.store.write_json(lease_path(own.store, "other"), content | changes)


def test_trainings_that_were_cut_short_and_those_that_run(
    own: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    cut, runs, new = own.endpoint("pos", "qab"), own.endpoint("pos", "qad"), own.endpoint("pos", "qaa", "qad")
    for job, steps in ((cut, 4), (runs, 2), (new, 0)):
        stop(own, job, steps)
    stop(own, own.encoder(), 6)
    own.store.delete(own.store.checkpoints_path(new.id))
    for target in ("qab", "qad"):
        own.store.delete(own.store.surface_path(own.cell("pos", target)))
    numbers, printed = told(capsys)
    assert numbers["pretrain"] == [0, 0, 1, 0, 0, 0]
    assert numbers["finetune"] == [7, 0, 2, 0, 1, 0]
    assert f"interrupted  {own.encoder().id}, 75% saved\n" in printed
    assert f"interrupted  {cut.id}, 33% saved\n" in printed
    # Also what failed before, and is tried again.
    fail(own, new)
    lease(own, runs.id, new.id)
    numbers, printed = told(capsys)
    assert numbers["finetune"] == [7, 2, 1, 0, 0, 0]
    assert f"running  {runs.id}, 17% saved\n" in printed
    assert f"running  {new.id}\n" in printed
    assert f"interrupted  {cut.id}, 33% saved\n" in printed
    assert main(["tiny.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["saved"] == pytest.approx({own.encoder().id: 0.75, cut.id: 1 / 3, runs.id: 1 / 6})
    # That process has ended; another one has its number.
    lease(own, runs.id, new.id, born="1")
    numbers, _ = told(capsys)
    assert numbers["finetune"] == [7, 0, 2, 1, 0, 0]


def test_a_sweep_that_runs_tells_which_jobs_do(
    own: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running, ended = own.endpoint("pos", "qab"), own.endpoint("pos", "qad")
    for job in (running, ended, own.cell("pos", "qab"), own.cell("pos", "qad")):
        cell = isinstance(job, SurfaceJob)
        own.store.delete(own.store.surface_path(job) if cell else own.store.folder(job))
    rows: list[list[int]] = []

    def run_plan(*_: object, emit: Any, **__: object) -> RunOutcome:
        for job, state in ((running, "running"), (ended, "running"), (ended, "failed")):
            emit("job", id=job.id, kind="finetune", state=state)
        deadline = time.monotonic() + 20
        while not rows or (rows[-1][1] != 1 and time.monotonic() < deadline):
            rows.append(told(capsys)[0]["finetune"])
        return RunOutcome()

    monkeypatch.setattr(xltray.cluster.run, "run_plan", run_plan)
    monkeypatch.setattr(xltray.sweep, "hold_lease", partial(hold_lease, beat=0.05))
    xltray.sweep.main(["tiny.yaml"])
    assert rows[-1] == [8, 1, 0, 0, 1, 0]
    assert told(capsys)[0]["finetune"] == [8, 0, 0, 0, 2, 0], "the driver has ended"


def test_a_checkpoint_that_is_being_written_tells_nothing(
    own: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    job = own.endpoint("pos", "qab")
    stop(own, job, 2)
    own.store.delete(own.store.surface_path(own.cell("pos", "qab")))
    folder = own.store.checkpoints_path(job.id)
    own.store.write_bytes(f"{folder}/00000009-x/weights.safetensors", b"half")
    assert f"interrupted  {job.id}, 17% saved\n" in told(capsys)[1]
    own.store.delete(f"{folder}/{own.store.names(folder)[0]}")
    assert f"interrupted  {job.id}\n" in told(capsys)[1]
