"""A run of a sweep in simulated time: the searcher and the job graph are the real ones, Tune is imitated.

What is imitated of Tune and Ray: trials are asked of the searcher ahead of time, up to a number that may be
pending; which of those that fit gets the devices that are free is chance (Ray's choice); a job holds its
devices for a while before it works (its process starts); an end is told to the searcher before anything
new is asked.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from xltray.cluster.jobgraph import JobGraph
from xltray.cluster.searcher import JobSearcher
from xltray.cluster.split import Split
from xltray.jobs import Job
from xltray.spec_runtime import RuntimeSpec


@dataclass(frozen=True)
class Machines:
    """What the jobs run on, and how Tune hands them out.

    ``overhead`` is in seconds: a device is held so long before a job works. ``pending`` is how many trials
    wait for a device beyond those that have one.
    """

    devices: int
    overhead: float
    pending: int


@dataclass(frozen=True)
class Span:
    """When a job held its devices, and when it worked, in seconds since the start."""

    begin: float
    works: float
    end: float
    devices: int = 1


@dataclass(frozen=True)
class Timeline:
    """What a simulated run came to. ``driver_seconds`` is real time: what the searcher itself took."""

    spans: Mapping[str, Span]
    devices: int
    driver_seconds: float

    @property
    def makespan(self) -> float:
        """When the last job ended, in seconds."""
        return max((span.end for span in self.spans.values()), default=0.0)

    @property
    def tail_begin(self) -> float:
        """When all devices were held for the last time, in seconds; 0 if they never were."""
        # Of what happens at one moment, ends come first.
        changes = sorted(
            [(span.end, -span.devices) for span in self.spans.values()]
            + [(span.begin, span.devices) for span in self.spans.values()]
        )
        held, last = 0, 0.0
        for when, change in changes:
            if held >= self.devices:
                last = when
            held += change
        return last

    def busy_share(self, until: float) -> float:
        """Return the share of all devices' time up to a moment in which jobs worked."""
        worked = sum(
            span.devices * max(0.0, min(span.end, until) - span.works) for span in self.spans.values()
        )
        return worked / (self.devices * until) if until else 1.0


class _Timed(NamedTuple):
    """A job as the graph sees it, if its cost were known to the second."""

    cost: float
    needs: tuple[str, ...]


class _Trial(NamedTuple):
    """A job that was handed out, and how many devices it takes."""

    id: str
    job: str
    devices: int


@dataclass
class _Done:
    """Stands for the store: the jobs whose results exist."""

    ids: set[str] = field(default_factory=set)

    def is_done(self, job: Job) -> bool:
        return job.id in self.ids

    def damage(self, job: Job) -> str:
        return ""


def lower_bound(
    jobs: Mapping[str, Job],
    seconds: Mapping[str, float],
    devices: int,
    at_best: Mapping[str, float] | None = None,
) -> float:
    """Return the seconds below which no order of the jobs gets: critical path, or work by devices.

    Args:
        jobs: by id.
        seconds: of each on one device.
        devices: that all share.
        at_best: seconds of each on as many devices as it can use, if that is more than one.
    """
    return max(sum(seconds.values()) / devices, critical_path(jobs, at_best or seconds))


def critical_path(jobs: Mapping[str, Job], seconds: Mapping[str, float]) -> float:
    """Return the seconds of the longest chain of jobs that wait for each other."""
    timed = {id_: _Timed(seconds[id_], job.needs) for id_, job in jobs.items()}
    return max(JobGraph(timed).critical_path.values(), default=0.0)


def simulate(
    jobs: Mapping[str, Job],
    seconds: Mapping[str, float],
    machines: Machines,
    seed: int = 0,
    runtime: RuntimeSpec | None = None,
) -> Timeline:
    """Run jobs to the end of all.

    Args:
        jobs: by id, with the costs that the searcher goes by.
        seconds: how long each really works on one device.
        machines: what they run on.
        seed: of Ray's choices among the trials that are pending.
        runtime: says on how many devices a surface is split; by default, that is decided for each.
    """
    return _Run(jobs, seconds, machines, seed, runtime or RuntimeSpec()).to_the_end()


class _Run:
    def __init__(
        self,
        jobs: Mapping[str, Job],
        seconds: Mapping[str, float],
        machines: Machines,
        seed: int,
        runtime: RuntimeSpec,
    ) -> None:
        self._jobs, self._seconds, self._machines = jobs, seconds, machines
        self._chance = random.Random(seed)
        self._store = _Done()
        started = time.perf_counter()
        split = Split(runtime, lambda: machines.devices)
        self._searcher = JobSearcher(JobGraph(jobs), jobs, self._store, {}, split)
        self._driver_seconds = time.perf_counter() - started
        self._free = machines.devices
        self._pending: list[_Trial] = []
        self._running: list[tuple[float, _Trial]] = []
        self._trials = (f"trial-{number}" for number in range(10 * len(jobs) + 1))
        self._over = False

    def to_the_end(self) -> Timeline:
        spans = dict(self._spans())
        if len(self._store.ids) < len(self._jobs):
            missed = len(self._jobs) - len(self._store.ids)
            raise RuntimeError(f"the searcher handed out all it would, and {missed} jobs were not among them")
        return Timeline(spans, self._machines.devices, self._driver_seconds)

    def _spans(self) -> Iterator[tuple[str, Span]]:
        now = 0.0
        while True:
            self._ask()
            while fitting := [trial for trial in self._pending if trial.devices <= self._free]:
                trial = self._chance.choice(fitting)
                self._pending.remove(trial)
                self._free -= trial.devices
                works = now + self._machines.overhead
                end = works + self._seconds[trial.job] / trial.devices
                heapq.heappush(self._running, (end, trial))
                yield trial.job, Span(now, works, end, trial.devices)
                self._ask()
            if not self._running:
                return
            now, trial = heapq.heappop(self._running)
            self._free += trial.devices
            self._store.ids.add(trial.job)
            started = time.perf_counter()
            self._searcher.on_trial_complete(trial.id, {"done": True})
            self._driver_seconds += time.perf_counter() - started

    def _ask(self) -> None:
        started = time.perf_counter()
        while not self._over and len(self._pending) < self._machines.pending:
            trial = next(self._trials)
            suggested = self._searcher.suggest(trial)
            if not isinstance(suggested, dict):
                self._over = suggested == JobSearcher.FINISHED
                break
            self._pending.append(_Trial(trial, suggested["id"], suggested["servers"]))
        self._driver_seconds += time.perf_counter() - started
