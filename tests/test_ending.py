"""How a run ends when something is gone: its machines, Ray, the store, or the user's patience."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_fake_jobs import finetune_job, run

from xltray import files
from xltray.cluster import run as module
from xltray.cluster.capacity import CapacityError
from xltray.cluster.jobgraph import JobGraph
from xltray.cluster.run import RunOutcome
from xltray.cluster.session import Session
from xltray.cluster.watch import Gone
from xltray.files import PATIENCE_SECONDS
from xltray.store import Store

JOBS = {job.id: job for job in (finetune_job("pos", f"l{number}") for number in range(8))}

Ending = Callable[[JobGraph], None]
"""What happens once jobs run."""


class Down:
    """A file system that does not answer."""

    type_name = "local"

    def __init__(self) -> None:
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any, **__: Any) -> Any:
            self.calls += 1
            raise OSError(5, "Input/output error")

        return call


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the store made; none takes any time."""
    pauses: list[float] = []
    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() + sum(pauses), sleep=lambda seconds: pauses.append(seconds)
    )
    monkeypatch.setattr(files, "time", clock)
    return pauses


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    store.patience = PATIENCE_SECONDS
    return store


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch, store: Store) -> Callable[[Ending], RunOutcome]:
    """Run eight jobs without any Ray; they are all running when it ends like this."""

    @contextmanager
    def session(*_: Any) -> Iterator[Session]:
        yield Session("here", "cpu", can_grow=True, pending=8)

    def ended(ending: Ending) -> RunOutcome:
        def fit(searcher: Any, callbacks: list[Any], *_: Any) -> None:
            graph = searcher._graph
            while graph.take():
                pass
            callbacks[-1].asked = True
            ending(graph)

        monkeypatch.setattr(module, "_fit", fit)
        return run(store, dict(JOBS))[0]

    monkeypatch.setattr(module, "open_session", session)
    monkeypatch.setattr(module, "Watch", lambda: SimpleNamespace(nodes=[]))
    monkeypatch.setattr(module, "await_room", lambda *_: None)
    monkeypatch.setattr(module, "check_sharing", lambda *_: None)
    return ended


def interrupt(_: JobGraph) -> None:
    raise KeyboardInterrupt


def lose_ray(_: JobGraph) -> None:
    raise Gone("no answer")


@pytest.mark.parametrize("ending", [interrupt, lose_ray])
def test_a_store_that_is_down_as_well_keeps_nobody_waiting(
    end: Callable[[Ending], RunOutcome], store: Store, slept: list[float], ending: Ending
) -> None:
    down = Down()

    def end_without_store(graph: JobGraph) -> None:
        store._fs = down
        ending(graph)

    outcome = end(end_without_store)
    assert outcome.interrupted == (ending is interrupt)
    assert bool(outcome.lost) == (ending is lose_ray)
    assert not outcome.done
    assert down.calls == 1, "one that does not answer is asked no more"
    with pytest.raises(files.StoreError):
        store.write_bytes("failures.json", b"what the report does next")
    assert not slept


def test_a_store_that_is_down_is_not_waited_for_once_the_run_is_to_stop(
    end: Callable[[Ending], RunOutcome], store: Store, slept: list[float]
) -> None:
    def stop(_: JobGraph) -> None:
        assert store.patience == PATIENCE_SECONDS
        os.kill(os.getpid(), signal.SIGINT)
        store._fs = Down()
        with pytest.raises(files.StoreError):
            store.is_done(next(iter(JOBS.values())))

    assert end(stop).interrupted
    assert not slept


def test_a_ray_that_is_lost_before_any_job_is_an_outcome(
    end: Callable[[Ending], RunOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def session(*_: Any) -> Iterator[Session]:
        raise Gone("no answer")
        yield

    monkeypatch.setattr(module, "open_session", session)
    assert end(lose_ray) == RunOutcome(lost="Ray was lost: no answer")


@pytest.mark.parametrize("ending", [interrupt, lose_ray])
def test_results_that_were_just_committed_count(
    end: Callable[[Ending], RunOutcome], store: Store, ending: Ending
) -> None:
    first, *_, last = JOBS.values()

    def commit_first(graph: JobGraph) -> None:
        for job in (last, first):
            store.write_json(f"{store.folder(job)}/DONE.json", {"files": {}})
        ending(graph)

    assert end(commit_first).done == (first.id, last.id)


def strand(_: JobGraph) -> None:
    """Nothing that was handed out has started, and what is left is too small for it."""


@pytest.fixture
def too_small(monkeypatch: pytest.MonkeyPatch, end: Callable[[Ending], RunOutcome]) -> list[set[str]]:
    """Let there be room at the start alone; returns the kinds of jobs that room was asked for."""
    asked: list[set[str]] = []

    def await_room(kinds: set[str], *_: Any) -> None:
        asked.append(kinds)
        if len(asked) > 1:
            raise CapacityError("a finetune job needs 2 CPU")

    monkeypatch.setattr(module, "await_room", await_room)
    return asked


def test_machines_that_are_left_and_too_small_end_a_run_in_good_order(
    end: Callable[[Ending], RunOutcome], store: Store, too_small: list[set[str]]
) -> None:
    first, *_ = JOBS.values()
    store.write_json(f"{store.folder(first)}/DONE.json", {"files": {}})
    expected = "machines were lost, and what is left is too small: a finetune job needs 2 CPU"
    assert end(strand) == RunOutcome(done=(first.id,), stopped=expected)
    assert too_small == [{"finetune"}, {"finetune"}]
    assert store.patience == PATIENCE_SECONDS, "nobody waits for the end"


def test_a_run_whose_last_jobs_were_committed_meanwhile_needs_no_room(
    end: Callable[[Ending], RunOutcome], store: Store, too_small: list[set[str]]
) -> None:
    def commit_all(_: JobGraph) -> None:
        for job in JOBS.values():
            store.write_json(f"{store.folder(job)}/DONE.json", {"files": {}})

    assert end(commit_all) == RunOutcome(done=tuple(JOBS))
    assert len(too_small) == 1


def test_a_store_that_is_down_meanwhile_ends_no_run(
    end: Callable[[Ending], RunOutcome], store: Store, slept: list[float], too_small: list[set[str]]
) -> None:
    def lose_store(_: JobGraph) -> None:
        store._fs = Down()

    assert end(lose_store).stopped
    assert too_small == [{"finetune"}, {"finetune"}]
    assert sum(slept) <= PATIENCE_SECONDS


def test_machines_that_are_too_small_from_the_start_are_an_error(
    end: Callable[[Ending], RunOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise CapacityError("a finetune job needs 2 CPU")

    monkeypatch.setattr(module, "await_room", refuse)
    with pytest.raises(CapacityError):
        end(strand)
