"""Real signals to every part of a running sweep: after the restart, if any, the results are the same."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_faults import HERE, NOTES, Driver, kill_node, write_sweep
from ray.cluster_utils import Cluster
from tiny import SWEEP, Tiny

from xltray.store import Store

pytestmark = [
    pytest.mark.slow,
    # Ray leaves pipes and sockets of its own to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]

# One cell of the sweep that the fixture ``tiny`` has run undisturbed, so of the same id.
ONE_CELL = {**SWEEP, "tasks": ["pos"], "pairs": {"qaa": ["qab"]}}


class Machines:
    """A head that runs no jobs, and two machines of one CPU each."""

    def __init__(self) -> None:
        head = {"num_cpus": 0, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, connect=False, head_node_args=head)
        self.address = self.cluster.address
        for _ in range(2):
            self.cluster.add_node(num_cpus=1)

    def lose(self, node_id: str, whole: bool) -> None:
        """Kill a machine, and let another one join."""
        (node,) = [node for node in self.cluster.worker_nodes if node.node_id == node_id]
        kill_node(node, whole)
        self.cluster.worker_nodes.discard(node)
        self.cluster.add_node(num_cpus=1)


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def machines(notes: Path) -> Iterator[Machines]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{HERE.parent}")
        patch.setenv(NOTES, str(notes))
        machines = Machines()
        try:
            yield machines
        finally:
            machines.cluster.shutdown()


@pytest.fixture
def start(machines: Machines, notes: Path, tiny: Tiny, tmp_path: Path) -> Callable[[], Driver]:
    """Start the sweep in a store that has the encoder; again, to go on."""
    path = tiny.store.encoder_path(tiny.encoder().id)
    shutil.copytree(tiny.root / path, tmp_path / "store" / path)
    file = write_sweep(tmp_path / "one.yaml", ONE_CELL, tmp_path / "store")
    return lambda: Driver(file, machines.address, notes)


def check_results(tiny: Tiny, root: Path) -> list[Any]:
    """Compare all results with the undisturbed run's; returns what was said of resumptions."""
    store, cell = Store(str(root)), tiny.cell()
    for path in (store.surface_path(cell), store.geometry_path(cell)):
        found, expected = store.read_table(path), tiny.store.read_table(path)
        assert found.equals(expected), path
        assert len(found) == len(found.group_by(found.column_names).aggregate([])), "no row is doubled"
    resumed = []
    for endpoint in cell.endpoints.values():
        path = f"{store.endpoint_path(endpoint.id)}/model.safetensors"
        assert store.read_bytes(path) == tiny.store.read_bytes(path)
        resumed += tiny_done(store, endpoint.id).get("resumed", [])
    assert not store.names("checkpoints")
    assert not store.exists(store.parts_path(cell))
    assert not list(root.rglob("*.tmp"))
    return resumed


def tiny_done(store: Store, endpoint_id: str) -> dict[str, Any]:
    done: dict[str, Any] = store.read_json(f"endpoints/{endpoint_id}/DONE.json")
    return done


@pytest.mark.parametrize(
    ("what", "kind"),
    [("process", "finetune"), ("process", "server"), ("raylet", "server"), ("node", "finetune")],
)
def test_a_part_that_is_killed_is_made_up_for(
    machines: Machines, start: Callable[[], Driver], tiny: Tiny, tmp_path: Path, what: str, kind: str
) -> None:
    driver = start()
    note = driver.wait_for(kind, 3)
    if what == "process":
        os.kill(note["pid"], signal.SIGKILL)
        # Meanwhile somebody starts the sweep once more.
        code, output = start().end()
        assert code == 2
        assert f"found process {driver.process.pid} on" in output
    else:
        machines.lose(note["node"], whole=what == "node")
    code, output = driver.end()
    assert code == 0, output
    resumed = check_results(tiny, tmp_path / "store")
    if kind == "finetune":
        assert resumed, "it went on from a validation"
        assert all(each["exact"] for each in resumed)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (signal.SIGKILL, "finetune"),
        (signal.SIGKILL, "server"),
        (signal.SIGINT, "server"),
        (signal.SIGTERM, "finetune"),
    ],
)
def test_a_driver_that_is_ended_goes_on_when_started_again(
    start: Callable[[], Driver], tiny: Tiny, tmp_path: Path, number: signal.Signals, kind: str
) -> None:
    driver = start()
    driver.wait_for(kind, 3)
    driver.process.send_signal(number)
    code, output = driver.end()
    if number is signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 130, output
        assert "stopping after the steps under way" in output
        assert "made_faults.py" in output or "xltray.sweep" in output, "it says how to go on"
    code, output = start().end()
    assert code == 0, output
    check_results(tiny, tmp_path / "store")
