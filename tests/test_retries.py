"""What a job failed of, and how often it may be tried again."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray.cloudpickle
from made_fake_jobs import cell, jobs_of
from made_stores import TABLE
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)
from rich.console import Console

from xltray.cluster.callback import ProgressCallback, judge
from xltray.cluster.jobgraph import JobGraph, State
from xltray.cluster.progress import Board
from xltray.cluster.retries import Cause, Retries
from xltray.cluster.run import _work
from xltray.cluster.searcher import JobSearcher
from xltray.cluster.server import LostServersError
from xltray.cluster.split import Split
from xltray.errors import StoreError
from xltray.jobs import Job
from xltray.spec_runtime import RuntimeSpec
from xltray.store import Store


def test_each_kind_of_failure_has_a_budget_of_its_own_for_each_job() -> None:
    retries = Retries(errors=1, losses=2)
    assert retries.allow("a", Cause.LOSS)
    assert retries.allow("a", Cause.ERROR)
    assert retries.told("a", Cause.ERROR) == "error 1 of 1"
    assert retries.allow("a", Cause.LOSS)
    assert retries.told("a", Cause.LOSS) == "loss 2 of 2"
    assert retries.allow("b", Cause.ERROR), "another job's failures do not count"
    assert not retries.allow("a", Cause.ERROR)
    assert not retries.allow("a", Cause.LOSS)
    assert (retries.tries("a"), retries.tries("b"), retries.tries("c")) == (5, 1, 0)


def test_a_budget_of_none() -> None:
    retries = Retries(errors=0, losses=0)
    assert not retries.allow("a", Cause.ERROR)
    assert not retries.allow("a", Cause.LOSS)


def raised(cause: Exception) -> RayTaskError:
    """What Ray makes of an error that a worker raised, once it has come over."""
    trace = f"Traceback:\n  in step\n{type(cause).__name__}: {cause}"
    error = RayTaskError("step", trace, cause)
    reread: RayTaskError = ray.cloudpickle.loads(ray.cloudpickle.dumps(error))
    return reread


@pytest.mark.parametrize(
    "error",
    [
        ActorDiedError(),
        ActorUnavailableError("no answer", None),
        LocalRayletDiedError(),
        NodeDiedError("gone"),
        OutOfMemoryError("no room"),
        WorkerCrashedError(),
        raised(ActorDiedError()),
        raised(LostServersError("2 EndpointServers did not start")),
    ],
)
def test_a_lost_process_or_machine_is_a_loss(error: Exception) -> None:
    assert judge(error).cause is Cause.LOSS


class UnpicklableError(Exception):
    def __reduce__(self) -> str:
        raise TypeError("no")


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (raised(ValueError("not finite")), "ValueError: not finite"),
        (raised(MemoryError("no room")), "MemoryError: no room"),
        (
            raised(UnpicklableError("odd")),
            "RayError: Exception test_retries.UnpicklableError isn't serializable",
        ),
        (
            ActorDiedError(raised(ValueError("in the constructor"))),
            "ActorDiedError: The actor died because of",
        ),
        (RayError("odd"), "RayError: odd"),
        (RuntimeError("Tune's own"), "RuntimeError: Tune's own"),
    ],
)
def test_an_error_of_the_job_is_none(error: Exception, first: str) -> None:
    failure = judge(error)
    assert failure.cause is Cause.ERROR
    assert failure.message.startswith(first)


def test_the_message_is_the_error_and_the_end_of_its_traceback() -> None:
    assert judge(raised(ValueError("a"))).message.splitlines()[:2] == ["ValueError: a", "Traceback:"]
    lost = judge(ActorDiedError()).message.splitlines()
    assert lost[0] == "the job's process died (out of memory, killed, or its machine was lost)"
    assert lost[1] == "The actor died unexpectedly before finishing this task."


class Absent:
    """A store that has no result."""

    def is_done(self, job: Job) -> bool:
        return False

    def damage(self, job: Job) -> str:
        return ""


class Run:
    """Searcher and callback of a run, told what Tune would tell them."""

    def __init__(self, folder: Path, jobs: dict[str, Job], errors: int, losses: int) -> None:
        self.folder, self.out = folder, io.StringIO()
        self.graph, runtime = JobGraph(jobs), RuntimeSpec()
        self.searcher = JobSearcher(self.graph, jobs, Absent(), {"processes": 1}, Split(runtime, lambda: 1))
        work = {id_: _work(job, runtime) for id_, job in jobs.items()}
        board = Board(work, Console(file=self.out, width=200))
        retries = Retries(errors, losses)
        self.callback = ProgressCallback(self.graph, jobs, retries, board, lambda: None, lambda: 1)

    def fail(self, error: Exception) -> str:
        """Start the next job and let it end in an error; returns its id."""
        trial_id = f"trial-{len(list(self.folder.iterdir()))}"
        file = self.folder / trial_id
        file.write_bytes(ray.cloudpickle.dumps(error))
        suggested = self.searcher.suggest(trial_id)
        kept = SimpleNamespace(metric_analysis={"a": 1}, metric_n_steps={"a": 1})
        trial = SimpleNamespace(config=suggested, pickled_error_file=str(file), run_metadata=kept)
        self.searcher.on_trial_complete(trial_id, error=True)
        self.callback.on_trial_error(0, [], trial)
        assert not kept.metric_analysis
        assert not kept.metric_n_steps
        return str(suggested["id"])


def test_a_store_that_cannot_be_asked_fails_the_job_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Absent, job: Job) -> bool:
        raise StoreError("access denied")

    monkeypatch.setattr(Absent, "is_done", refuse)
    jobs = jobs_of(cell("pos", "aa", "bb"))
    run = Run(tmp_path, jobs, errors=0, losses=0)
    id_ = run.searcher.suggest("trial")["id"]
    run.searcher.on_trial_complete("trial", {})
    assert run.graph.failed == {id_: "StoreError: access denied"}
    assert run.fail(raised(ValueError("its own"))) != id_
    assert any(message.startswith("ValueError: its own") for message in run.graph.failed.values())


@pytest.mark.parametrize("damaged", ["surface", "geometry"])
def test_a_result_that_is_there_and_damaged_is_said_to_be(tmp_path: Path, damaged: str) -> None:
    store, surface = Store(str(tmp_path)), cell("pos", "aa", "bb")
    jobs: dict[str, Job] = {surface.id: surface}
    paths = {"surface": store.surface_path(surface), "geometry": store.geometry_path(surface)}
    for path in paths.values():
        store.write_table(path, TABLE)
    store.write_bytes(paths[damaged], store.read_bytes(paths[damaged])[:100])
    graph = JobGraph(jobs)
    searcher = JobSearcher(graph, jobs, store, {}, Split(RuntimeSpec(), lambda: 1))
    searcher.suggest("trial")
    searcher.on_trial_complete("trial", {})
    message = graph.failed[surface.id]
    assert f"its result does not count: {paths[damaged]} in the store {store.uri} is damaged: " in message
    assert "not in the store" not in message


def test_a_failed_job_comes_again_until_a_budget_is_used_up(tmp_path: Path) -> None:
    surface = cell("pos", "aa", "bb")
    jobs = jobs_of(surface)
    run = Run(tmp_path, jobs, errors=1, losses=2)
    first = run.fail(raised(ValueError("once")))
    assert run.graph.states[first] is State.WAITING
    for _ in range(2):
        assert run.fail(ActorDiedError()) == first, "it is first in line again"
    assert not run.graph.failed
    assert run.fail(raised(ValueError("twice"))) == first
    assert run.graph.states[first] is State.FAILED
    assert run.graph.failed[first].startswith("ValueError: twice\n")
    assert run.graph.failed[first].endswith("(tried 4 times)")
    assert run.graph.skipped == {surface.id: first}
    shown = run.out.getvalue()
    assert f"{first} failed and is tried again: ValueError: once (error 1 of 1)\n" in shown
    assert "its machine was lost) (loss 2 of 2)\n" in shown
    assert f"{first} failed after 0 s: ValueError: twice (skipped for want of it: 1)" in shown
    assert run.searcher.suggest("next")["id"] != first, "the rest goes on"
