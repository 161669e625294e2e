"""Faults that befall a slow sweep (made_slow_jobs.py) on a cluster of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml
from made_slow_jobs import NOTES
from ray.cluster_utils import Cluster
from tiny import SWEEP, Tiny

from xltray.store import Store

HERE = Path(__file__).parent
PATIENCE = 300.0


# One cell of the sweep that the fixture ``tiny`` has run undisturbed, so of the same id.
ONE_CELL = {**SWEEP, "tasks": ["pos"], "pairs": {"qaa": ["qab"]}}


def environment(notes: Path) -> dict[str, str]:
    """Return what must be in the environment before machines start; notes go to that folder."""
    path = f"{HERE}{os.pathsep}{HERE.parent}"
    return {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": path,
        NOTES: str(notes),
    }


class Machines:
    """A head that runs no jobs, and two machines of one CPU each."""

    def __init__(self) -> None:
        head = {"num_cpus": 0, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, connect=False, head_node_args=head)
        self.address = self.cluster.address
        self.join(2)

    def lose_all(self) -> None:
        """Kill all machines but the head."""
        for node in list(self.cluster.worker_nodes):
            kill_node(node, whole=True)
            self.cluster.worker_nodes.discard(node)

    def join(self, count: int) -> None:
        """Let so many machines join."""
        for _ in range(count):
            self.cluster.add_node(num_cpus=1)

    def lose(self, node_id: str, whole: bool) -> None:
        """Kill a machine, and let another one join."""
        (node,) = [node for node in self.cluster.worker_nodes if node.node_id == node_id]
        kill_node(node, whole)
        self.cluster.worker_nodes.discard(node)
        self.cluster.add_node(num_cpus=1)


class Noted:
    """A command in a process of its own that runs slow jobs, which leave their notes in a folder."""

    def __init__(self, command: list[str], notes: Path) -> None:
        """Start it."""
        self.notes = notes
        self._seen = set(notes.iterdir())
        self.process = subprocess.Popen(
            command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def wait_for(self, kind: str, number: int) -> dict[str, Any]:
        """Wait until a job of this kind has taken so many steps; returns its note."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            for path in sorted(set(self.notes.glob("*.json")) - self._seen):
                self._seen.add(path)
                note: dict[str, Any] = json.loads(path.read_text())
                if note["kind"] == kind and note["number"] >= number:
                    return note
            time.sleep(0.02)
        raise AssertionError(f"no {kind} took {number} steps:\n{self._kill()}")

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns the exit code and what it printed."""
        try:
            output, _ = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self._kill()}") from None
        return self.process.returncode, output

    def _kill(self) -> str:
        """End it with what it has started; returns what it printed."""
        end_tree(self.process)
        output: str = self.process.communicate()[0]
        return output


class Driver(Noted):
    """``python -m xltray.sweep`` in a process of its own."""

    def __init__(self, file: Path, address: str, notes: Path, *overrides: str) -> None:
        """Start it."""
        script = str(HERE / "made_slow_jobs.py")
        super().__init__([sys.executable, script, str(file), f"runtime.address={address}", *overrides], notes)


def write_sweep(path: Path, sweep: dict[str, Any], store: Path | str) -> Path:
    """Write a sweep file that checkpoints each validation and forgives lost processes."""
    runtime = {"checkpoint_seconds": 0, "retries": 3, "points_per_chunk": 4, "device": "cpu"}
    path.write_text(yaml.safe_dump({**sweep, "storage": str(store), "runtime": runtime}))
    return path


def end_tree(process: subprocess.Popen[Any]) -> None:
    """Kill a process and what it has started."""
    if process.poll() is None:
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def kill_node(node: Any, whole: bool) -> None:
    """Kill a node's raylet, or with it all that it has started."""
    pids = [info.process.pid for infos in node.all_processes.values() for info in infos]
    (raylet,) = [info.process.pid for info in node.all_processes["raylet"]]
    if whole:
        pids += [child.pid for child in psutil.Process(raylet).children(recursive=True)]
    for pid in pids if whole else [raylet]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def check_results(tiny: Tiny, root: Path) -> list[Any]:
    """Compare all results with the undisturbed run's; returns what was said of resumptions.

    These are of a pretraining too, unless its encoder was in the store from the start.
    """
    store, cell = Store(str(root)), tiny.cell()
    for path in (store.surface_path(cell), store.geometry_path(cell)):
        found, expected = store.read_table(path), tiny.store.read_table(path)
        assert found.equals(expected), path
        assert len(found) == len(found.group_by(found.column_names).aggregate([])), "no row is doubled"
    resumed = []
    for job in (tiny.encoder(), *cell.endpoints.values()):
        folder = store.folder(job)
        weights = f"{folder}/model.safetensors"
        assert store.read_bytes(weights) == tiny.store.read_bytes(weights), weights
        resumed += store.read_json(f"{folder}/DONE.json").get("resumed", [])
    assert not store.names("checkpoints")
    assert not store.exists(store.parts_path(cell))
    assert not list(root.rglob("*.tmp"))
    return resumed
