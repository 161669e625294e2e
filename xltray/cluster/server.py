"""EndpointServers: actors that hold a cell's endpoints and score points of it.

``EndpointServer`` wraps a plain evaluator; ``RayPool`` hands chunks of points to several of them,
one chunk each at a time, and yields the scores as they come. When a server dies (out of memory, a
lost machine), another one takes its place in the same bundle, loads the cell and the chunk is
scored again; a chunk that kills one server after another ends the job. Errors of the evaluator
itself are raised as they are: they would only happen again.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from xltray.cluster.bundle import in_bundle
from xltray.cluster.jobrunners import find_runners, make_context
from xltray.cluster.metrics import WorkMetrics, tags_of
from xltray.jobs import SurfaceJob, load_job
from xltray.precision import FULL, Scoring, together

if TYPE_CHECKING:
    from xltray.grid import Chunk
    from xltray.results import Geometry, Score

ATTEMPTS = 3
"""So many servers may die of one chunk before the job gives up."""
START_SECONDS = 180.0
"""A server that has not started by then never will; its process imports torch first."""


class LostServersError(RuntimeError):
    """Servers do not start: their machine is gone and none has taken its place, or it is overloaded."""


class EndpointServer:
    """Holds one cell at a time; the dashboard shows the first cell that it served."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Start with a trial's configuration."""
        self._first = str(config["id"])
        self._evaluator = find_runners(config["runners"]).evaluator(make_context(config))
        self._metrics = WorkMetrics()
        self._tags: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"EndpointServer({self._first})"

    def pid(self) -> int:
        """Return the process id; answering shows that the server is up."""
        return os.getpid()

    def load(self, job: str) -> Scoring:
        """Hold the cell of a job, given as JSON; returns what it is scored on and in."""
        cell = load_job(job)
        assert isinstance(cell, SurfaceJob)
        self._tags = tags_of(cell)
        with self._metrics.busy(self._tags):
            return self._evaluator.load(cell)

    def score_in_full(self) -> None:
        """Score the cell in full precision from now on: another of its servers may not do otherwise."""
        self._evaluator.score_in_full()

    def geometry(self) -> list[Geometry]:
        """Measure norms and angle of the cell."""
        with self._metrics.busy(self._tags):
            return self._evaluator.geometry()

    def score(self, chunk: Chunk) -> list[Score]:
        """Score some points of the cell."""
        begin = time.monotonic()
        with self._metrics.busy(self._tags):
            scores = self._evaluator.score(chunk)
        self._metrics.scored(scores, time.monotonic() - begin, self._tags)
        return scores


StartServer = Callable[[int], Any]
"""Starts the n-th server of a pool and returns its handle."""


def server_starter(config: Mapping[str, Any]) -> StartServer:
    """Return a function that starts a trial's n-th server in the trial's own placement group."""
    actor = ray.remote(EndpointServer)

    def start(number: int) -> Any:
        return actor.options(**in_bundle(config, f"server {number}", number + 1)).remote(dict(config))

    return start


class RayPool:
    """A PointPool (``xltray.surface``) over EndpointServers, which it starts when first needed."""

    def __init__(self, start: StartServer, servers: int, start_seconds: float = START_SECONDS) -> None:
        """Use so many servers, each of which ``start`` brings up."""
        self._start = start
        self._size = servers
        self._start_seconds = start_seconds
        self._servers: list[Any] = []
        self._cell: SurfaceJob | None = None
        self._dtype = FULL

    def load(self, job: SurfaceJob) -> Scoring:
        """Have all servers hold a cell; servers of an earlier cell serve on.

        Returns:
            What the servers score on and in, for the records.
        """
        self._cell = job
        # An idle server may have died since the last cell; asking shows it.
        for number, server in enumerate(self._servers):
            try:
                _get(server.pid.remote(), self._start_seconds)
            except (RayActorError, GetTimeoutError):
                self._servers[number] = self._restart(number)
        while len(self._servers) < self._size:
            self._servers.append(self._start(len(self._servers)))
        self._await_start(self._servers)
        scorings = _get([self._load(server) for server in self._servers])
        agreed = together(scorings)
        self._dtype = agreed.dtype
        for server, scoring in zip(self._servers, scorings, strict=True):
            self._hold_to_type(server, scoring)
        return agreed

    def geometry(self) -> list[Geometry]:
        """Measure norms and angle of the cell taken up, on the first server."""
        if self._cell is None:
            raise RuntimeError("RayPool.geometry before load")
        for _ in range(ATTEMPTS):
            try:
                name = f"measure {self._cell.id}"
                measured: list[Geometry] = _get(self._servers[0].geometry.options(name=name).remote())
                return measured
            except RayActorError:
                self._replace(0)
        raise RuntimeError(f"{ATTEMPTS} servers died measuring {self._cell.id}. Out of memory?")

    def score(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, list[Score]]]:
        """Yield each chunk once with its scores, in the order in which they are ready."""
        if self._cell is None:
            raise RuntimeError("RayPool.score before load")
        waiting = deque(chunks)
        idle = list(range(len(self._servers)))
        running: dict[Any, tuple[int, Chunk]] = {}
        deaths: Counter[Chunk] = Counter()
        while waiting or running:
            while waiting and idle:
                number, chunk = idle.pop(), waiting.popleft()
                name = f"score {self._cell.id} {chunk.scope} {len(chunk.points)} points"
                running[self._servers[number].score.options(name=name).remote(chunk)] = number, chunk
            ready, _ = ray.wait(list(running), num_returns=1)
            number, chunk = running.pop(ready[0])
            try:
                scores = _get(ready[0])
            except RayActorError as death:
                deaths[chunk] += 1
                if deaths[chunk] >= ATTEMPTS:
                    raise RuntimeError(
                        f"{ATTEMPTS} servers died scoring {len(chunk.points)} points of {self._cell.id} "
                        f"(scope {chunk.scope}, points {chunk.points[0]} to {chunk.points[-1]}). "
                        "Out of memory? Lower runtime.points_per_chunk or run fewer servers a machine."
                    ) from death
                self._replace(number)
                waiting.appendleft(chunk)
            else:
                yield chunk, scores
            idle.append(number)

    def close(self) -> None:
        """End all servers."""
        for server in self._servers:
            ray.kill(server)
        self._servers = []

    def _load(self, server: Any) -> Any:
        assert self._cell is not None
        return server.load.options(name=f"load {self._cell.id}").remote(self._cell.model_dump_json())

    def _restart(self, number: int) -> Any:
        # An actor that is only out of reach would hold on to its bundle.
        ray.kill(self._servers[number])
        return self._start(number)

    def _replace(self, number: int) -> None:
        self._servers[number] = self._restart(number)
        self._await_start([self._servers[number]])
        self._hold_to_type(self._servers[number], _get(self._load(self._servers[number])))

    def _hold_to_type(self, server: Any, scoring: Scoring) -> None:
        """Have a server score in the cell's type: on another kind of device it may have chosen otherwise."""
        if scoring.dtype == self._dtype:
            return
        if self._dtype != FULL:
            assert self._cell is not None
            raise RuntimeError(
                f"a new server of {self._cell.id}, on {scoring.device}, may not score it in {self._dtype} as "
                f"those before did: {scoring.why}. Tried again, all servers choose anew."
            )
        _get(server.score_in_full.remote())

    def _await_start(self, servers: Sequence[Any]) -> None:
        try:
            _get([server.pid.remote() for server in servers], self._start_seconds)
        except GetTimeoutError as error:
            raise LostServersError(
                f"{len(servers)} EndpointServers did not start within {self._start_seconds:g} s: the job's "
                "placement group has no room for them, or their machine is overloaded"
            ) from error


def _get(refs: Any, timeout: float | None = None) -> Any:
    """``ray.get``, except that an error of the called method is raised as it was there."""
    try:
        return ray.get(refs, timeout=timeout)
    except RayTaskError as error:
        raise error.cause from error
