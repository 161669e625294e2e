"""The order of a run's jobs: which comes next, and which can no longer run.

A job is ready when everything it needs is done; what it needs that is not in the graph is in the
store already. Among the ready jobs the one with the longest critical path goes first: its own
cost plus the costliest chain of jobs that wait for it. What needs a failed job, directly or not,
is skipped; the rest goes on. A job that is tried again waits like any other that is ready.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from enum import StrEnum
from graphlib import TopologicalSorter
from typing import Protocol


class Node(Protocol):
    """What the graph must know of a job."""

    @property
    def cost(self) -> float:
        """How long it takes, in any unit that all jobs share."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the jobs whose results it reads."""
        ...


class State(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class JobGraph:
    """Jobs by id, with their states.

    ``failed`` says why each failed job failed, ``skipped`` which failed job each skipped one
    would have needed.
    """

    def __init__(self, jobs: Mapping[str, Node]) -> None:
        """Build from jobs in any order; CycleError if they wait for each other."""
        self.states = dict.fromkeys(jobs, State.WAITING)
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self._missing = {id_: {need for need in job.needs if need in jobs} for id_, job in jobs.items()}
        self._dependents: dict[str, list[str]] = {id_: [] for id_ in jobs}
        for id_, needs in self._missing.items():
            for need in sorted(needs):
                self._dependents[need].append(id_)
        self.critical_path = self._critical_paths(jobs)
        self._ready: list[tuple[float, str]] = []
        for id_, needs in self._missing.items():
            if not needs:
                self._push(id_)

    def _critical_paths(self, jobs: Mapping[str, Node]) -> dict[str, float]:
        paths: dict[str, float] = {}
        # Handing the sorter each job's dependents as predecessors gives the last jobs first.
        for id_ in TopologicalSorter(self._dependents).static_order():
            behind = (paths[waiting] for waiting in self._dependents[id_])
            paths[id_] = jobs[id_].cost + max(behind, default=0.0)
        return paths

    def _push(self, id_: str) -> None:
        # Equal paths go by id, so that the order is the same in every run.
        heapq.heappush(self._ready, (-self.critical_path[id_], id_))

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing can become ready."""
        return not any(state in (State.WAITING, State.RUNNING) for state in self.states.values())

    def of(self, state: State) -> list[str]:
        """Return the jobs that stand there now."""
        return [id_ for id_, other in self.states.items() if other is state]

    def take(self) -> str | None:
        """Hand out the ready job with the longest critical path; None if no job is ready now."""
        if not self._ready:
            return None
        _, id_ = heapq.heappop(self._ready)
        self.states[id_] = State.RUNNING
        return id_

    def complete(self, id_: str) -> None:
        """Note that a running job's result exists."""
        self._leave(id_, State.DONE)
        for dependent in self._dependents[id_]:
            missing = self._missing[dependent]
            missing.discard(id_)
            if not missing and self.states[dependent] is State.WAITING:
                self._push(dependent)

    def retry(self, id_: str) -> None:
        """Note that a running job ended without a result and is to run again, in its turn."""
        self._leave(id_, State.WAITING)
        self._push(id_)

    def fail(self, id_: str, message: str) -> None:
        """Note that a running job ended without a result, and skip what needs it."""
        self._leave(id_, State.FAILED)
        self.failed[id_] = message
        doomed = list(self._dependents[id_])
        while doomed:
            dependent = doomed.pop()
            if self.states[dependent] is State.WAITING:
                self.states[dependent] = State.SKIPPED
                self.skipped[dependent] = id_
                doomed += self._dependents[dependent]

    def _leave(self, id_: str, state: State) -> None:
        if self.states[id_] is not State.RUNNING:
            raise ValueError(f"job {id_} is {self.states[id_]}, so it cannot become {state}")
        self.states[id_] = state
