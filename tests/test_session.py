"""Which Ray a run connects to, and what it makes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_rays
import pytest
import ray
from made_fake_jobs import finetune_job, run

from xltray.cluster import session
from xltray.cluster.capacity import CapacityError
from xltray.cluster.session import ClusterError
from xltray.spec_runtime import RuntimeSpec
from xltray.store import Store

pytestmark = [pytest.mark.filterwarnings(*made_rays.LEFT_OVER), pytest.mark.usefixtures("module_ray")]

# Fixtures: pytest looks for them in this module.
module_ray, local_ray = made_rays.module_ray, made_rays.local_ray


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def test_a_ray_that_is_not_there(store: Store) -> None:
    job = finetune_job("pos", "aa")
    ray.shutdown()
    with pytest.raises(ClusterError, match=r"cannot connect to Ray at nowhere"):
        run(store, {job.id: job}, address="nowhere")


def test_a_new_ray_is_too_small_and_goes_with_the_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    ray.shutdown()
    before, handler = dict(os.environ), signal.getsignal(signal.SIGINT)
    job = finetune_job("pos", "aa")
    with pytest.raises(CapacityError, match="a finetune job needs 1000 CPU on one machine"):
        run(store, {job.id: job}, address="local", threads=1000)
    assert not ray.is_initialized()
    assert dict(os.environ) == before
    assert signal.getsignal(signal.SIGINT) is handler


def test_only_named_and_recorded_rays_are_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[str | None] = [None]
    monkeypatch.setattr(session, "read_ray_address", lambda: recorded[0])
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert session._address(RuntimeSpec()) == (None, False)
    with pytest.raises(ClusterError, match=r"found no Ray that `ray start` began .* Start it"):
        session._address(RuntimeSpec(address="auto"))
    recorded[0] = "10.0.0.1:6379"
    assert session._address(RuntimeSpec()) == ("10.0.0.1:6379", False)
    assert session._address(RuntimeSpec(address="auto")) == ("10.0.0.1:6379", True)
    assert session._address(RuntimeSpec(address="local")) == (None, True)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert session._address(RuntimeSpec()) == ("10.0.0.2:6379", True)
    assert session._address(RuntimeSpec(address="ray:1")) == ("ray:1", True)


def test_the_record_of_a_dead_ray_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    started: list[str] = []

    def init(address: str, **_: Any) -> Any:
        started.append(address)
        return SimpleNamespace(dashboard_url="")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(session, "read_ray_address", lambda: "127.0.0.1:1")
    monkeypatch.setattr(ray, "init", init)
    with ExitStack() as stack:
        assert session._connect(RuntimeSpec(), stack, said.append) == ("a new local Ray", True)
    assert started == ["local"]
    assert said == [
        "the Ray that `ray start` recorded here (127.0.0.1:1) does not answer; starting a new local one"
    ]


@pytest.mark.parametrize(
    ("gpus", "growing", "device", "lines"), [(0, True, "cpu", 1), (0, False, "cpu", 0), (2, True, "cuda", 0)]
)
def test_a_cluster_without_gpus_is_said_to_be_one(
    monkeypatch: pytest.MonkeyPatch, gpus: float, growing: bool, device: str, lines: int
) -> None:
    said: list[str] = []
    monkeypatch.setattr(session, "_resources", lambda: {"CPU": 4.0, "GPU": gpus})
    assert session._device(RuntimeSpec(), growing=growing, say=said.append) == device
    assert len(said) == lines
    assert all(
        "no GPU in the cluster (yet): running on CPU; set runtime.device=cuda" in line for line in said
    )


ALONE = """
import os, sys, made_fake_jobs as t
from xltray.store import Store
os.environ.pop("RAY_ADDRESS", None)
job = t.finetune_job("pos", "aa")
print(*t.run(Store(sys.argv[1]), {job.id: job}))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_the_private_ray_of_another_run_is_left_alone(store: Store) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as empty:
        # No record of `ray start` there; running Rays are found wherever they keep their files.
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "RAY_TMPDIR": empty}
        command = [sys.executable, "-c", ALONE, store.uri]
        shown = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "1 jobs to run (1 finetune) on a new local Ray" in shown
    assert "lost=''" in shown
