"""When a run begins again because what waits fits no longer."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from xltray.cluster import stranded, waiting
from xltray.cluster.stranded import Stranded

Look = Callable[..., bool]


class Scene:
    """A clock, machines, and what was said."""

    def __init__(self) -> None:
        self.now, self.has = 100.0, {"CPU": 4.0}
        self.said: list[str] = []

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """A head that runs no jobs, and a machine that may."""
        return [{"Alive": True, "Resources": has} for has in ({"memory": 1.0}, self.has)]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene()
    for module in (stranded, waiting):
        monkeypatch.setattr(module.time, "monotonic", lambda: scene.now)
    return scene


@pytest.fixture
def look(scene: Scene) -> Look:
    """Look at trials, given as (status, fits), so many seconds after the last time; whether to stop."""
    watcher = Stranded(
        lambda config: bool(config["fits"]),
        lambda: scene.nodes,
        "cpu",
        lambda text: scene.said.append(text),
    )

    def after(seconds: float, *trials: tuple[str, bool]) -> bool:
        scene.now += seconds
        found: list[Any] = [SimpleNamespace(status=status, config={"fits": fits}) for status, fits in trials]
        watcher.on_step_end(0, found)
        return watcher.stop_all()

    return after


GONE, DONE = ("PENDING", False), ("TERMINATED", False)


def test_what_waits_for_lost_machines_is_given_up_after_a_while(look: Look) -> None:
    assert not look(0, DONE, GONE)
    assert not look(6, DONE, GONE)
    assert look(6, DONE, GONE)


@pytest.mark.parametrize("other", [("RUNNING", False), ("PENDING", True)])
def test_not_while_anything_runs_or_fits(look: Look, other: tuple[str, bool]) -> None:
    for _ in range(9):
        assert not look(6, GONE, other)


def test_not_if_a_machine_comes_meanwhile(look: Look) -> None:
    assert not look(0, GONE)
    assert not look(6, ("PENDING", True))
    assert not look(6, GONE)
    assert not look(6, GONE)
    assert look(6, GONE)


def test_without_any_machine_jobs_wait_as_long_as_it_takes(
    scene: Scene, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "NOTE_SECONDS", 300.0)
    scene.has = {}
    assert not any(look(6, DONE, GONE) for _ in range(600))
    assert scene.said[:2] == [
        "no machine for jobs; waiting; Ctrl-C ends",
        "no machine for jobs; waiting, 5 min so far; Ctrl-C ends",
    ]
    assert len(scene.said) == 12
    # One comes that is too small; it may not be the last.
    scene.has = {"CPU": 4.0}
    assert not look(6, DONE, GONE)
    assert not look(6, DONE, GONE)
    assert look(6, DONE, GONE)
    assert len(scene.said) == 12


def test_a_machine_with_fewer_cpus_than_one_process_takes_is_one(scene: Scene, look: Look) -> None:
    scene.has = {"CPU": 1.0}
    assert not look(0, GONE)
    assert not look(6, GONE)
    assert look(6, GONE)
    assert not scene.said


def test_another_wait_is_told_anew(scene: Scene, look: Look) -> None:
    scene.has = {}
    for _ in range(2):
        for _ in range(9):
            look(6, GONE)
        look(6, ("RUNNING", True))
    assert scene.said == ["no machine for jobs; waiting; Ctrl-C ends"] * 2


def test_not_between_jobs(look: Look) -> None:
    for _ in range(4):
        assert not look(20, DONE, DONE)


def test_it_stops_no_single_trial_and_goes_where_tune_goes() -> None:
    watcher = Stranded(lambda _: True, lambda: [], "cpu", print)
    assert not watcher("id", {})
    assert not pickle.loads(pickle.dumps(watcher)).__dict__
