"""A finished sweep with its sweep file, what is undone of it, and what the status command says then."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tiny import Tiny

from xltray.jobs import Job, SurfaceJob
from xltray.started import write_plan
from xltray.status import main
from xltray.sweepfile import dump_sweep
from xltray.underway import weights_id


@pytest.fixture
def own(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A finished sweep of this test's own, with its sweep file in the current folder."""
    own = tiny.copied(tmp_path / "store")
    write_plan(own.plan, own.store)
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(dump_sweep(own.sweep), encoding="utf-8")
    return own


def told(capsys: pytest.CaptureFixture[str], *overrides: str) -> tuple[dict[str, list[int]], str]:
    """Return the numbers of the table by kind of job (see STATES), and all of it."""
    assert main(["tiny.yaml", *overrides]) == 0
    printed = capsys.readouterr().out
    rows = re.findall(r"(pretrain|finetune|surface)\s+│((?:\s+\d+ [│ ]?){6})", printed)
    return {kind: [int(n) for n in re.findall(r"\d+", numbers)] for kind, numbers in rows}, printed


def fail(own: Tiny, *jobs: Job) -> None:
    failed = {job.id: "EndpointError: diverged [bold]\nTraceback ...\nthe end" for job in jobs}
    own.store.write_json("sweeps/tiny/failures.json", {"failed": failed, "skipped": {}})


def unfinish(own: Tiny, job: SurfaceJob) -> None:
    part = own.store.read_table(own.store.surface_path(job))
    weights = weights_id(job, own.store)
    for name in (
        f"{weights}-all-00000-4.parquet",
        f"{weights}-head-00004-7.parquet",
        "other-all-00000-9.parquet",
    ):
        own.store.write_table(f"{own.store.parts_path(job)}/{name}", part)
    own.store.delete(own.store.surface_path(job))
