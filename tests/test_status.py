"""How far a sweep is, told from its store alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from made_status import fail, own, told, unfinish
from tiny import Tiny

from xltray.jobs import FinetuneJob, parse_job
from xltray.status import STATES, main
from xltray.store import Store

# Fixtures: pytest looks for them in this module.
__all__ = ["own"]

ROOT = Path(__file__).parent.parent


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


def test_stored_jobs_are_the_plans(own: Tiny) -> None:
    jobs = [parse_job(job) for job in own.store.read_json("sweeps/tiny/plan.json")["jobs"]]
    assert {job.id: job for job in jobs} == dict(own.plan.jobs)


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
