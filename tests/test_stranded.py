"""When a run begins again because what waits fits no longer."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from xltray.cluster import stranded
from xltray.cluster.stranded import Stranded

Look = Callable[..., bool]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """Look at trials, given as (status, fits), so many seconds after the last time; whether to stop."""
    now = [100.0]
    monkeypatch.setattr(stranded.time, "monotonic", lambda: now[0])
    watcher = Stranded(lambda config: bool(config["fits"]))

    def after(seconds: float, *trials: tuple[str, bool]) -> bool:
        now[0] += seconds
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


def test_not_between_jobs(look: Look) -> None:
    for _ in range(4):
        assert not look(20, DONE, DONE)


def test_it_stops_no_single_trial_and_goes_where_tune_goes() -> None:
    watcher = Stranded(lambda _: True)
    assert not watcher("id", {})
    assert not pickle.loads(pickle.dumps(watcher)).__dict__
