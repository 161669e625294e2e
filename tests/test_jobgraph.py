"""The order of jobs: everything once, prerequisites first, the longest critical path first."""

from __future__ import annotations

from graphlib import CycleError
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xltray.cluster.jobgraph import JobGraph, State


class Task(NamedTuple):
    cost: float = 1.0
    needs: tuple[str, ...] = ()


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Task]:
    size = draw(st.integers(1, 12))
    names = [f"j{index}" for index in range(size)]
    jobs = {}
    for index, name in enumerate(names):
        earlier = st.sampled_from(names[:index]) if index else st.nothing()
        needs = draw(st.lists(earlier, max_size=3, unique=True)) if index else []
        # Some prerequisites are no jobs of this run: their results are in the store.
        stored = draw(st.lists(st.sampled_from(["s0", "s1"]), max_size=1))
        jobs[name] = Task(draw(st.sampled_from([0.0, 1.0, 2.0, 5.0])), (*needs, *stored))
    order = draw(st.permutations(names))
    return {name: jobs[name] for name in order}


def dependents(jobs: dict[str, Task], name: str) -> set[str]:
    direct = {other for other, job in jobs.items() if name in job.needs}
    return direct.union(*(dependents(jobs, other) for other in direct))


def longest_path(jobs: dict[str, Task], name: str) -> float:
    behind = [longest_path(jobs, other) for other, job in jobs.items() if name in job.needs]
    return jobs[name].cost + max(behind, default=0.0)


@given(graphs(), st.data())
def test_each_job_once_after_its_prerequisites_longest_path_first(
    jobs: dict[str, Task], data: st.DataObject
) -> None:
    graph = JobGraph(jobs)
    handed: list[str] = []
    running: list[str] = []
    doomed: set[str] = set()
    while not graph.finished:
        name = graph.take()
        if name is None:
            assert running, "nothing runs, nothing is ready, yet the graph is not finished"
            ended = data.draw(st.sampled_from(running))
            running.remove(ended)
            if data.draw(st.integers(0, 4)) == 0:
                graph.fail(ended, f"{ended} broke")
                doomed |= dependents(jobs, ended)
            else:
                graph.complete(ended)
            continue
        done = {other for other, state in graph.states.items() if state is State.DONE}
        ready = {
            other
            for other, job in jobs.items()
            if other not in handed and all(need in done or need not in jobs for need in job.needs)
        }
        assert name in ready
        assert longest_path(jobs, name) == max(longest_path(jobs, other) for other in ready)
        handed.append(name)
        running.append(name)
    assert not running
    assert graph.take() is None
    assert len(handed) == len(set(handed))
    assert set(graph.skipped) == doomed
    assert set(handed) == set(jobs) - doomed
    assert set(graph.failed) <= set(handed)
    for name, cause in graph.skipped.items():
        assert cause in graph.failed
        assert name in dependents(jobs, cause)


def test_take_waits_for_what_runs_and_finished_says_when_all_is_over() -> None:
    graph = JobGraph({"a": Task(), "b": Task(needs=("a",))})
    assert graph.take() == "a"
    assert graph.take() is None
    assert not graph.finished
    graph.complete("a")
    assert not graph.finished
    assert graph.take() == "b"
    assert not graph.finished
    graph.complete("b")
    assert graph.finished


def test_a_failure_skips_descendants_and_nothing_else() -> None:
    graph = JobGraph(
        {
            "a": Task(),
            "b": Task(needs=("a",)),
            "c": Task(needs=("b",)),
            "d": Task(),
            "e": Task(needs=("d", "b")),
        }
    )
    assert {graph.take(), graph.take()} == {"a", "d"}
    graph.complete("d")
    graph.fail("a", "no memory")
    assert graph.failed == {"a": "no memory"}
    assert graph.skipped == {"b": "a", "c": "a", "e": "a"}
    assert graph.states["d"] is State.DONE
    assert graph.finished


def test_the_longest_path_beats_the_costliest_job() -> None:
    graph = JobGraph({"big": Task(5.0), "small": Task(1.0), "next": Task(4.5, needs=("small",))})
    assert graph.critical_path == {"big": 5.0, "small": 5.5, "next": 4.5}
    assert [graph.take(), graph.take()] == ["small", "big"]


def test_equal_paths_go_by_id() -> None:
    graph = JobGraph({"b": Task(), "c": Task(), "a": Task()})
    assert [graph.take(), graph.take(), graph.take()] == ["a", "b", "c"]


def test_a_cycle_is_an_error() -> None:
    with pytest.raises(CycleError):
        JobGraph({"a": Task(needs=("b",)), "b": Task(needs=("a",))})


def test_only_a_running_job_can_end() -> None:
    graph = JobGraph({"a": Task()})
    with pytest.raises(ValueError, match="job a is waiting, so it cannot become done"):
        graph.complete("a")
    graph.take()
    graph.complete("a")
    with pytest.raises(ValueError, match="job a is done, so it cannot become failed"):
        graph.fail("a", "late")


def test_a_job_tried_again_waits_in_its_turn() -> None:
    graph = JobGraph({"a": Task(2.0), "b": Task(3.0), "c": Task(needs=("a",))})
    assert [graph.take(), graph.take()] == ["a", "b"]
    graph.retry("a")
    assert graph.states["a"] is State.WAITING
    assert not graph.finished
    graph.retry("b")
    # With what waits for it, "a" is as long as "b".
    assert [graph.take(), graph.take(), graph.take()] == ["a", "b", None]
    graph.complete("a")
    assert graph.take() == "c"
    with pytest.raises(ValueError, match="job a is done, so it cannot become waiting"):
        graph.retry("a")
