"""Real signals to every part of a running sweep: after the restart, if any, the results are the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos import play
from made_faults import ONE_CELL, Driver, Machines, check_results, environment, write_sweep
from made_slow_jobs import JOIN_SECONDS
from tiny import Tiny

pytestmark = [
    pytest.mark.slow,
    # Ray leaves pipes and sockets of its own to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def machines(notes: Path) -> Iterator[Machines]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(notes).items():
            patch.setenv(name, value)
        machines = Machines()
        try:
            yield machines
        finally:
            machines.cluster.shutdown()


@pytest.fixture
def start(machines: Machines, notes: Path, tmp_path: Path) -> Callable[..., Driver]:
    """Start the sweep; again, to go on."""
    file = write_sweep(tmp_path / "one.yaml", ONE_CELL, tmp_path / "store")
    return lambda *overrides: Driver(file, machines.address, notes, *overrides)


def have_encoder(tiny: Tiny, store: Path) -> None:
    """Let a store have the encoder already: it takes a while."""
    path = tiny.store.encoder_path(tiny.encoder().id)
    shutil.copytree(tiny.root / path, store / path)


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("process", "pretrain"),
        ("process", "finetune"),
        ("process", "server"),
        ("raylet", "server"),
        ("node", "finetune"),
    ],
)
def test_a_part_that_is_killed_is_made_up_for(
    machines: Machines, start: Callable[..., Driver], tiny: Tiny, tmp_path: Path, what: str, kind: str
) -> None:
    if kind != "pretrain":
        have_encoder(tiny, tmp_path / "store")
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
    if what != "node":
        # With a machine gone, it depends on when that was noticed: the cell may have been split over both.
        assert "started anew" not in output
    resumed = check_results(tiny, tmp_path / "store")
    if kind != "server":
        assert resumed, "it went on from a checkpoint"
        assert all(each["exact"] for each in resumed)


def test_all_machines_may_be_away_for_long(
    machines: Machines,
    start: Callable[..., Driver],
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have_encoder(tiny, tmp_path / "store")
    monkeypatch.setenv(JOIN_SECONDS, "5")
    driver = start()
    driver.wait_for("finetune", 3)
    machines.lose_all()
    # Longer than it takes to notice that nothing can run, and the seconds above.
    time.sleep(35)
    assert driver.process.poll() is None
    machines.join(2)
    code, output = driver.end()
    assert code == 0, output
    assert output.count("no machine for jobs; waiting; Ctrl-C ends") == 1
    assert "started anew" not in output, "jobs still ask the cluster for machines"
    check_results(tiny, tmp_path / "store")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("disk full", "pretrain"),
        ("disk full", "server"),
        ("store stalled", "server"),
        ("file flipped", "finetune"),
        ("file cut", "finetune"),
    ],
)
def test_a_store_that_fails_or_is_damaged(
    machines: Machines, notes: Path, tiny: Tiny, tmp_path: Path, fault: str, kind: str
) -> None:
    # The same moment each time; tests/chaos.py tries others. What is asserted stands there.
    play(fault, kind, random.Random(f"{fault} of a {kind}"), machines, tiny, tmp_path, notes)


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
    start: Callable[..., Driver], tiny: Tiny, tmp_path: Path, number: signal.Signals, kind: str
) -> None:
    have_encoder(tiny, tmp_path / "store")
    # One server: two would be through before a signal is heard.
    driver = start("runtime.servers_per_surface=1")
    driver.wait_for(kind, 3)
    driver.process.send_signal(number)
    code, output = driver.end()
    if number is signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 130, output
        assert "stopping after the steps under way" in output
        assert "To go on:" in output
    code, output = start().end()
    assert code == 0, output
    check_results(tiny, tmp_path / "store")
