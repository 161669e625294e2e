"""How far a sweep is, told from its store alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import Tiny

import xltray.cluster.run
import xltray.sweep
from xltray.cluster.run import RunOutcome
from xltray.finetune import finetune
from xltray.jobs import KINDS, FinetuneJob, Job, PretrainJob, SurfaceJob, parse_job
from xltray.lease import hold_lease, lease_path
from xltray.pretrain import pretrain
from xltray.started import write_plan
from xltray.status import STATES, main
from xltray.store import Store
from xltray.sweepfile import dump_sweep
from xltray.underway import weights_id

ROOT = Path(__file__).parent.parent


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


def table(*rows: str) -> dict[str, list[int]]:
    """The numbers of all kinds of jobs, in the order of STATES."""
    return {kind: [int(number) for number in row.split()] for kind, row in zip(KINDS, rows, strict=True)}


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


def test_all_is_done(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    numbers, printed = told(capsys)
    assert numbers == {
        "pretrain": [1, 0, 0, 0, 0, 0],
        "finetune": [10, 0, 0, 0, 0, 0],
        "surface": [4, 0, 0, 0, 0, 0],
    }
    assert "Sweep tiny" in printed
    header = printed.splitlines()[2]
    assert re.findall("|".join(STATES), header) == list(STATES)


def test_every_state_is_counted(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    failed = own.endpoint("pos", "qad")
    for job in (failed, own.endpoint("pos", "qaa", "qad")):
        own.store.delete(f"endpoints/{job.id}")
    fail(own, failed)
    unfinish(own, own.cell("pos", "qab"))
    own.store.delete(own.store.geometry_path(own.cell("pos", "qad")))
    numbers, printed = told(capsys)
    assert numbers == {
        "pretrain": [1, 0, 0, 0, 0, 0],
        "finetune": [8, 0, 0, 1, 1, 0],
        "surface": [2, 0, 1, 0, 1, 0],
    }
    assert f"interrupted  {own.cell('pos', 'qab').id}, 33% saved\n" in printed, "11 of 33 points"
    assert f"failed  {failed.id}: EndpointError: diverged [bold]\n" in printed
    assert "the end" not in printed


def test_all_of_it_as_json(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    failed, running = own.endpoint("pos", "qad"), own.cell("pos", "qab")
    own.store.delete(f"endpoints/{failed.id}")
    own.store.delete(own.store.surface_path(own.cell("pos", "qad")))
    fail(own, failed, own.endpoint("pos", "qab"))
    unfinish(own, running)
    assert main(["tiny.yaml", "seeds=[0,1]", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["sweep"], told["storage"], told["changed"]) == ("tiny", own.sweep.storage, ["seeds"])
    none = dict.fromkeys(STATES, 0)
    assert told["counts"] == {
        "pretrain": {**none, "done": 1},
        "finetune": {**none, "done": 9, "failed": 1},
        "surface": {**none, "done": 2, "interrupted": 1, "missing": 1},
    }
    assert list(told["jobs"]) == list(own.plan.jobs)
    assert (told["jobs"][failed.id], told["jobs"][running.id]) == ("failed", "interrupted")
    assert told["failed"] == {failed.id: "EndpointError: diverged [bold]\nTraceback ...\nthe end"}
    assert all(own.plan.jobs[id_].task == "parsing" for id_ in told["unlearned"])
    assert told["unlearned"]


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


def test_what_failed_earlier_and_is_there_now_is_done(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    fail(own, own.endpoint(), own.cell())
    numbers, printed = told(capsys)
    assert numbers["finetune"] == [10, 0, 0, 0, 0, 0]
    assert "failed  " not in printed.split("└")[-1]


def test_a_failed_surface_is_failed_though_parts_are_left(
    own: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    failed, running = own.cell("pos", "qab"), own.cell("pos", "qad")
    unfinish(own, failed)
    unfinish(own, running)
    fail(own, failed)
    numbers, printed = told(capsys)
    assert numbers["surface"] == [2, 0, 1, 1, 0, 0]
    assert f"failed  {failed.id}: EndpointError: diverged [bold]\n" in printed


def test_what_only_finished_surfaces_read_is_not_needed(
    own: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    own.store.delete(f"encoders/{own.encoder().id}")
    for endpoint in own.cell("pos", "qad").endpoints.values():
        own.store.delete(f"endpoints/{endpoint.id}")
    # It failed once; nobody needs it any more.
    fail(own, own.endpoint("pos", "qad"))
    numbers, printed = told(capsys)
    assert numbers == {
        "pretrain": [0, 0, 0, 0, 0, 1],
        "finetune": [7, 0, 0, 0, 0, 3],
        "surface": [4, 0, 0, 0, 0, 0],
    }
    assert "failed  " not in printed.split("└")[-1]
    own.store.delete(own.store.surface_path(own.cell("pos", "qad")))
    numbers, printed = told(capsys)
    assert numbers == {
        "pretrain": [0, 0, 0, 0, 1, 0],
        "finetune": [7, 0, 0, 1, 2, 0],
        "surface": [3, 0, 0, 0, 1, 0],
    }
    assert f"failed  {own.endpoint('pos', 'qad').id}: EndpointError" in printed


def test_the_data_need_not_be_there(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    # The stored plan counts, not what the sweep file would now mean.
    numbers, _ = told(capsys, "data.root=nowhere", "seeds=[0,1,2]")
    assert numbers["finetune"] == [10, 0, 0, 0, 0, 0]


def test_endpoints_that_did_not_learn_are_named(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    _, printed = told(capsys)
    named = re.findall(r"^did not learn  (\S+): las 0\.\d+ on qa", printed, flags=re.MULTILINE)
    assert named == [
        job.id for job in own.plan.jobs.values() if isinstance(job, FinetuneJob) and job.task == "parsing"
    ]


def test_what_differs_from_the_sweep_last_started_is_said(
    own: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    _, printed = told(capsys)
    assert "differs" not in printed
    _, printed = told(capsys, "data.root=nowhere", "runtime.retries=7")
    assert "differs" not in printed, "that changes no result"
    _, printed = told(capsys, "seeds=[0,1,2]", "finetune.epochs=9")
    assert "as it was last started. It now differs in finetune, seeds; " in printed
    assert f"{sys.orig_argv[0]} -m xltray.sweep tiny.yaml 'seeds=[0,1,2]' finetune.epochs=9\n" in printed
    own.store.delete("sweeps/tiny/sweep.yaml")
    _, printed = told(capsys, "seeds=[0,1,2]")
    assert "differs" not in printed


@pytest.mark.parametrize("content", [b"a: [", b"name: 3", b"\xff", b""])
def test_a_stored_sweep_that_cannot_be_read_is_passed_over(
    own: Tiny, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    own.store.write_bytes("sweeps/tiny/sweep.yaml", content)
    _, printed = told(capsys, "seeds=[0,1,2]")
    assert "differs" not in printed


def test_stored_jobs_are_the_plans(own: Tiny) -> None:
    jobs = [parse_job(job) for job in own.store.read_json("sweeps/tiny/plan.json")["jobs"]]
    assert {job.id: job for job in jobs} == dict(own.plan.jobs)


def test_a_sweep_that_was_never_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    content: dict[str, Any] = {
        "tasks": ["pos"],
        "pairs": {"qaa": ["qab"]},
        "encoders": {"a": {"checkpoint": "x"}},
    }
    Path("new.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main(["new.yaml", "storage=else where"]) == 2
    shown = capsys.readouterr().err
    assert "sweep 'new' is not in else where: found no sweeps/new/plan.json; expected the plan" in shown
    assert f"Start it ({sys.orig_argv[0]} -m xltray.sweep new.yaml 'storage=else where'), or check" in shown
    assert not Path("results").exists()


def test_a_wrong_sweep_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text("tsaks: [pos]\n", encoding="utf-8")
    assert main(["bad.yaml"]) == 2
    assert "Did you mean 'tasks'" in capsys.readouterr().err


def test_a_damaged_endpoint_is_named_beside_the_table(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = own.endpoint("pos", "qad").id
    own.store.write_bytes(f"endpoints/{damaged}/DONE.json", b"{")
    assert main(["tiny.yaml"]) == 0
    printed = capsys.readouterr()
    assert "Sweep tiny" in printed.out
    assert f"endpoints/{damaged}/DONE.json in the store {own.store.uri} has changed" in printed.err
    assert main(["tiny.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["finetune"]["done"] == 10


def test_a_broken_plan_is_an_error_that_says_where(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    own.store.write_bytes("sweeps/tiny/plan.json", b"{")
    assert main(["tiny.yaml"]) == 2
    assert "sweeps/tiny/plan.json" in capsys.readouterr().err


@pytest.mark.parametrize("content", [{}, [], {"jobs": [{"kind": "finetune"}]}, {"jobs": 1}])
def test_a_plan_of_another_version_is_an_error_that_says_what_to_do(
    own: Tiny, capsys: pytest.CaptureFixture[str], content: Any
) -> None:
    own.store.write_json("sweeps/tiny/plan.json", content)
    assert main(["tiny.yaml"]) == 2
    shown = capsys.readouterr().err
    assert f"sweeps/tiny/plan.json in {own.sweep.storage}: found what is no plan" in shown
    assert f"{sys.orig_argv[0]} -m xltray.sweep tiny.yaml" in shown


@pytest.mark.parametrize("content", [[], {}, {"failed": 1}])
def test_broken_failures_are_an_error_that_says_where(
    own: Tiny, capsys: pytest.CaptureFixture[str], content: Any
) -> None:
    own.store.write_json("sweeps/tiny/failures.json", content)
    assert main(["tiny.yaml"]) == 2
    assert "sweeps/tiny/failures.json in" in capsys.readouterr().err


def test_it_needs_neither_ray_nor_torch(own: Tiny) -> None:
    program = (
        "import sys; from xltray.status import main; code = main(['tiny.yaml']);"
        "heavy = [name for name in ('ray', 'torch', 'transformers') if name in sys.modules];"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Sweep tiny" in done.stdout
    assert Store(own.store.uri).names("sweeps/tiny") == ["plan.json", "sweep.yaml"]


def test_only_some_jobs_are_shown(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    lost, other = own.endpoint("pos", "qab"), own.endpoint("parsing", "qab")
    for job in (lost, other):
        own.store.delete(f"endpoints/{job.id}")
    fail(own, lost, other)
    for task in ("pos", "parsing"):
        own.store.delete(own.store.surface_path(own.cell(task, "qab")))
    numbers, printed = told(capsys, "--only", "pos-qaa-qab-*")
    assert numbers == {
        "pretrain": [1, 0, 0, 0, 0, 0],
        "finetune": [2, 0, 0, 1, 0, 0],
        "surface": [0, 0, 0, 0, 1, 0],
    }
    assert f"failed  {lost.id}" in printed
    assert other.id not in printed
    assert "did not learn" not in printed, "the parsers that did not are not shown"
    assert main(["tiny.yaml", "--only", "poss-*"]) == 2
    assert "--only: found 'poss-*'; expected a pattern of job ids. Did you mean" in capsys.readouterr().err
