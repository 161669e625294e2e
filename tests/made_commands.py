"""A small sweep for tests of the command, and a stand-in for the cluster that runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

import xltray.cluster.run
from xltray.cluster.run import RunOutcome
from xltray.inputs import FileInputs
from xltray.jobs import FinetuneJob, Job, PretrainJob, SurfaceJob
from xltray.plan import Plan, make_plan
from xltray.store import Store
from xltray.sweep import main
from xltray.sweepfile import load_sweep

ROOT = Path(__file__).parent.parent
PRETRAIN = {"corpus": "toy", "languages": ["qaa"], "hidden_size": 16, "heads": 2, "layers": 1}
SWEEP: dict[str, Any] = {
    "tasks": ["pos"],
    "pairs": {"qaa": ["qab", "qad"]},
    "seeds": [0],
    "data": {"corpora": {"pos": "toy", "parsing": "toy"}, "toy": {"train": 4, "dev": 3}},
    "encoders": {"small": {"pretrain": PRETRAIN}},
    "grid": {"plane": [0, 1], "lines": [0, 1]},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(changes: Mapping[str, Any] | None = None, name: str = "s.yaml") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(yaml.safe_dump(SWEEP | dict(changes or {})), encoding="utf-8")
    return name


def store() -> Store:
    return Store("results/s")


def plan() -> Plan:
    sweep = load_sweep(Path("s.yaml"))
    return make_plan(sweep, FileInputs(sweep.data))


def cell(target: str) -> SurfaceJob:
    (job,) = (job for job in plan().jobs.values() if isinstance(job, SurfaceJob) and job.target == target)
    return job


# The cluster's stand-in: it commits what the store takes for results, and says what it was given.


def commit(job: Job, at: Store) -> None:
    if isinstance(job, PretrainJob):
        at.write_json(f"{at.encoder_path(job.id)}/DONE.json", {"files": {}})
    elif isinstance(job, FinetuneJob):
        at.write_json(f"{at.endpoint_path(job.id)}/DONE.json", {"files": {}})
    else:
        at.write_table(at.surface_path(job), pa.table({"a": [1]}))
        at.write_table(at.geometry_path(job), pa.table({"a": [1]}))


class FakeCluster:
    def __init__(self) -> None:
        self.needed: dict[str, Job] = {}
        self.outcome: Callable[[Mapping[str, Job]], RunOutcome] = lambda needed: RunOutcome(tuple(needed))

    def run_plan(
        self, _: Plan, needed: Mapping[str, Job], at: Store, *, console: Any, emit: Any
    ) -> RunOutcome:
        self.needed = dict(needed)
        console.print("for people")
        emit("note", message="for machines")
        outcome = self.outcome(needed)
        for id_ in outcome.done:
            commit(needed[id_], at)
        return outcome

    def kinds(self) -> dict[str, int]:
        return dict(Counter(job.kind for job in self.needed.values()))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()
    monkeypatch.setattr(xltray.cluster.run, "run_plan", fake.run_plan)
    return fake


ALONE = """
import socket, sys
def refuse(*_): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
from xltray.sweep import main
code = main(sys.argv[1:])
heavy = [name for name in ("ray", "torch", "transformers", "accelerate", "numba") if name in sys.modules]
sys.exit(f"imported {heavy}" if heavy else code)
"""


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process where a connection, or the import of what takes long, is an error."""
    paths = os.pathsep.join([str(ROOT), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", ALONE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": paths},
    )


def refused(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> str:
    assert main(arguments) == code
    assert not cluster.needed, "nothing was run"
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.err


def failing(needed: Mapping[str, Job]) -> RunOutcome:
    (bad,) = (id_ for id_ in needed if id_.startswith("pos-qad-"))
    skipped = {job.id: bad for job in needed.values() if bad in job.needs}
    message = "EndpointError: it diverged [/at once]\nTraceback (most recent call last):\n  the last line"
    done = tuple(id_ for id_ in needed if id_ != bad and id_ not in skipped)
    return RunOutcome(done, {bad: message}, skipped)
