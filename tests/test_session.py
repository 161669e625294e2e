"""Which Ray a run connects to, and what it makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_rays
import pytest
import ray
from made_fake_jobs import finetune_job, run
from ray._private import worker

from xltray.cluster import quiet, session
from xltray.cluster.capacity import CapacityError
from xltray.cluster.run import RunOutcome
from xltray.cluster.session import ClusterError
from xltray.errors import INTERRUPTED
from xltray.spec_runtime import RuntimeSpec
from xltray.store import Store
from xltray.termination import terminable

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


def test_a_ray_that_does_not_start(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        raise RuntimeError("Timed out waiting for file gcs_server_port")

    ray.shutdown()
    monkeypatch.setenv("RAY_TMPDIR", "/full")
    monkeypatch.setattr(ray, "init", init)
    job = finetune_job("pos", "aa")
    expected = r"cannot start a Ray on this machine: Timed out .* below /full/ray: see whether there is room"
    with pytest.raises(ClusterError, match=expected):
        run(store, {job.id: job}, address="local")


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


def test_ray_prints_nothing_while_it_is_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(text: str) -> str:
        line = {"lines": [text], "pid": "raylet", "is_err": False}
        worker.print_to_stdstream(line, ignore_prefix=False)
        return capsys.readouterr().out

    ray.shutdown()
    monkeypatch.setattr(ray, "init", lambda **_: SimpleNamespace(dashboard_url=""))
    monkeypatch.setattr(session, "_resources", lambda: {"CPU": 1.0})
    with session.open_session(RuntimeSpec(address="local"), print):
        assert "died" not in printed("One worker died")
    # Another text: the same one is not told twice.
    assert "died" in printed("Two workers died")


@pytest.mark.parametrize("gone", ["module", "name"])
def test_a_ray_that_has_no_such_switch_is_not_switched(monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    if gone == "module":
        monkeypatch.setattr(quiet, "_DRIVER", "ray._private.nowhere")
    else:
        monkeypatch.delattr(worker, "_worker_logs_enabled")
    with pytest.raises(ZeroDivisionError), quiet.quiet_driver():
        raise ZeroDivisionError
    assert hasattr(worker, "_worker_logs_enabled") == (gone == "module")


def test_sigterm_while_ray_starts_is_an_interrupt(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        # As Ray does it.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))
        os.kill(os.getpid(), signal.SIGTERM)

    ray.shutdown()
    monkeypatch.setattr(ray, "init", init)
    job = finetune_job("pos", "aa")
    for address in ("local", "127.0.0.1:6379"):
        with terminable():
            outcome, _ = run(store, {job.id: job}, address=address)
        assert outcome == RunOutcome(interrupted=True)


@pytest.mark.parametrize(
    ("gpus", "growing", "device", "lines"), [(0, True, "cpu", 1), (0, False, "cpu", 0), (2, True, "cuda", 0)]
)
def test_a_cluster_without_gpus_is_said_to_be_one(
    monkeypatch: pytest.MonkeyPatch, gpus: float, growing: bool, device: str, lines: int
) -> None:
    said: list[str] = []
    monkeypatch.setattr(session, "_resources", lambda: {"CPU": 4.0, "GPU": gpus})
    monkeypatch.setattr(session, "_await_machine", lambda *_: None)
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


STARTING = """
import os, pathlib, sys, ray
from xltray.output import spoken
from xltray.sweep import main
init = ray.init
def told(**options):
    pathlib.Path(os.environ["STARTED"]).touch()
    return init(**options)
ray.init = told
sys.exit(spoken(main))
"""


@pytest.mark.slow
def test_a_command_that_is_terminated_while_ray_starts_says_so(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    started = tmp_path / "started"
    command = [
        sys.executable,
        "-c",
        STARTING,
        "sweeps/quickstart.yaml",
        f"storage={tmp_path}/store",
        "--json",
    ]
    environment = {**os.environ, "PYTHONPATH": str(root), "STARTED": str(started)}
    with subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        deadline = time.monotonic() + 60
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        process.terminate()
        events, said = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, said
    ended = json.loads(events.splitlines()[-1])
    assert (ended["event"], ended["exit_code"], ended["interrupted"]) == ("end", INTERRUPTED, True)
    assert "Interrupted: 0 of" in said
    assert "connected" not in events, "the signal came while Ray started"
