"""How long the rest of a run will take.

First, how long each job takes: its cost by the plan times a pace (seconds a unit of cost), which is
learned from the jobs that have ended and from those under way. A pace is a product of factors for the
kind of job, the task, the encoder and the size of the job, each of which starts at its prior and moves
as far as what was seen demands (Bayesian linear regression on the logarithm). So what fine-tuning
shows of a task and an encoder also tells of surfaces, of which none may have run yet. Its validations
tell more: one of a bilingual endpoint is to a point of its cell as like as can be. Before it works, a job
starts a process, reads and loads; that is learned apart (``startups.py``).

Then, when the last job ends: the jobs left are placed on the devices there are as the searcher hands
them out, those with the longest critical path first, and none before what it needs.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xltray.cluster.jobgraph import JobGraph
from xltray.cluster.startups import Startups

PRIOR_PACE = {"pretrain": 0.25, "finetune": 1.0, "surface": 0.6}
"""Seconds a unit of cost, relative to each other: measured with small encoders on CPUs."""

# How far factors stray from their priors, as standard deviations of the logarithm; and jobs from their pace.
SCALE_DEVIATION = 10.0
KIND_DEVIATION = 0.5
FACTOR_DEVIATION = 0.5
MIXED_DEVIATION = 0.3
SIZE_DEVIATION = 0.2
PROBE_DEVIATION = 0.2
JOB_DEVIATION = 0.2

LEAST_SECONDS = 1e-3
PROBE_COLUMN = 0
FREE_SECONDS = 3.0
"""What a job takes that costs nothing by the plan: an encoder that is not trained, only written."""
PROBE_TRUST = 0.3
"""What a surface that is foretold from a validation teaches, against one that has run."""
LEAST_SHARE = 0.02
"""Of a job under way: below that its pace is mostly that of starting."""


class Work(NamedTuple):
    """What the forecast must know of a job; costs in any unit that all jobs share."""

    kind: str
    cost: float
    needs: tuple[str, ...] = ()
    task: str = ""
    encoder: str = ""
    passes: int = 0
    """Of a surface: how often its dev sets are scored."""
    like: str = ""
    """Of a surface: the fine-tuning whose validations score the same dev sets."""
    devices: int = 1
    """How many it is expected to take; a surface may be split over more when it starts."""


@dataclass(frozen=True)
class Under:
    """A job under way: seconds since it started, the share that is done, and what its own pace says.

    ``whole`` and ``rest`` are the seconds that all of its work and what is left of it take at the pace at
    which it did ``trust`` of it; none is known while ``trust`` is 0.
    """

    seconds: float
    share: float = 0.0
    trust: float = 0.0
    whole: float = 0.0
    rest: float = 0.0


class Paces:
    """What has been learned of how long jobs take."""

    def __init__(self, jobs: Mapping[str, Work]) -> None:
        """Learn about these jobs, by id."""
        names: dict[tuple[str, ...], float] = {("probe",): PROBE_DEVIATION}
        names |= {name: deviation for job in jobs.values() for name, deviation in _factors(job)}
        columns = {name: number for number, name in enumerate(names)}
        logs: defaultdict[str, list[float]] = defaultdict(list)
        for job in jobs.values():
            if job.cost:
                logs[job.kind].append(math.log(job.cost))
        self._number = {id_: number for number, id_ in enumerate(jobs)}
        # A row of zeros, for what costs nothing, teaches nothing and learns nothing.
        self._expected = np.full(len(jobs), math.log(FREE_SECONDS))
        self._rows = np.zeros((len(jobs), len(columns)))
        for number, job in enumerate(jobs.values()):
            if job.cost:
                self._expected[number] = math.log(job.cost * PRIOR_PACE[job.kind])
                row = self._rows[number]
                row[[columns[name] for name, _ in _factors(job)]] = 1.0
                row[columns["size", job.kind]] = math.log(job.cost) - sum(logs[job.kind]) / len(
                    logs[job.kind]
                )
        self._precision = np.diag([deviation**-2 for deviation in names.values()])
        self._moment = np.zeros(len(columns))

    def learn(self, id_: str, seconds: float, trust: float = 1.0, *, probed: bool = False) -> None:
        """Note that a job works so long, as told by this share of it, or by what is only like it."""
        number = self._number[id_]
        row = self._rows[number]
        if probed:
            row = row.copy()
            row[PROBE_COLUMN] = 1.0
        precision = trust / JOB_DEVIATION**2
        found = math.log(max(seconds, LEAST_SECONDS)) - self._expected[number]
        self._precision = self._precision + precision * np.outer(row, row)
        self._moment = self._moment + precision * found * row

    def predict(self) -> dict[str, float]:
        """Return how many seconds each job works."""
        factors = np.linalg.solve(self._precision, self._moment)
        seconds = np.exp(self._expected + self._rows @ factors)
        return dict(zip(self._number, seconds.tolist(), strict=True))


def _factors(job: Work) -> Iterable[tuple[tuple[str, ...], float]]:
    """Yield the names of the factors of a job's pace, and how far each may stray."""
    yield ("scale",), SCALE_DEVIATION
    yield ("kind", job.kind), KIND_DEVIATION
    yield ("size", job.kind), SIZE_DEVIATION
    for label in (job.task, job.encoder):
        yield ("label", label), FACTOR_DEVIATION
        yield ("mixed", job.kind, label), MIXED_DEVIATION


class Forecast:
    """Tells how long the jobs left of a run will take."""

    def __init__(self, jobs: Mapping[str, Work]) -> None:
        """Forecast ``jobs``, by id."""
        self._jobs = jobs
        self._devices = {id_: job.devices for id_, job in jobs.items()}
        self._paces = Paces(jobs)
        self._seen = False
        self._probes: dict[str, float] = {}
        self._startups = Startups()
        self._alike: defaultdict[str, list[str]] = defaultdict(list)
        for id_, job in jobs.items():
            if job.like:
                self._alike[job.like].append(id_)
        self._first = JobGraph(jobs).critical_path

    def begin(self, id_: str, devices: int | None = None) -> None:
        """Note that a job is given a process, and on how many devices if not on those expected."""
        self._devices[id_] = devices or self._jobs[id_].devices
        self._startups.begin(id_, self._jobs[id_].kind)

    def leave(self, id_: str) -> None:
        """Note that a job has ended, well or not, and leaves its process to others."""
        self._startups.leave(id_)

    def started(self, id_: str, seconds: float) -> None:
        """Note how long a job took to start; may be told again, when it is known better."""
        self._startups.learn(id_, seconds)

    def complete(self, id_: str, seconds: float, share: float = 1.0) -> None:
        """Learn from a job that has ended, a share of which was done in so many seconds."""
        if share >= LEAST_SHARE:
            worked = max(0.0, seconds - self._startups.seconds.get(id_, 0.0))
            self._paces.learn(id_, worked * self._split(id_) / share, share)
            self._seen = True
        self._learn_probe(self._paces, id_)

    def probe(self, id_: str, seconds: float) -> None:
        """Note how long a validation of a fine-tuning took."""
        self._probes[id_] = seconds

    def seconds_left(
        self, ended: Collection[str], running: Mapping[str, Under], devices: int
    ) -> float | None:
        """Return how long the rest takes; None if nothing is left, or nothing was seen to judge by."""
        left = [id_ for id_ in self._jobs if id_ not in ended]
        telling = {id_: job for id_, job in running.items() if job.trust >= LEAST_SHARE}
        if not left or not (self._seen or telling):
            return None
        paces = copy(self._paces)
        for id_, job in telling.items():
            paces.learn(id_, job.whole * self._split(id_), job.trust)
            self._learn_probe(paces, id_)
        worked = {id_: seconds / self._split(id_) for id_, seconds in paces.predict().items()}
        waiting = Counter(self._jobs[id_].kind for id_ in left if id_ not in running)
        starting = {kind: self._startups.predict(kind, devices, waiting) for kind in PRIOR_PACE}
        seconds = {}
        for id_ in left:
            start = starting[self._jobs[id_].kind] if self._jobs[id_].cost else 0.0
            under = running.get(id_)
            seconds[id_] = _rest(worked[id_], start, under) if under else start + worked[id_]
        return self._makespan(seconds, running, devices)

    def _learn_probe(self, paces: Paces, id_: str) -> None:
        if id_ in self._probes:
            for other in self._alike[id_]:
                whole = self._probes[id_] * self._jobs[other].passes
                paces.learn(other, whole, PROBE_TRUST, probed=True)

    def _makespan(self, seconds: Mapping[str, float], running: Collection[str], devices: int) -> float:
        """Place jobs on devices as the searcher does; returns when the last ends."""
        waits = {id_: {need for need in self._jobs[id_].needs if need in seconds} for id_ in seconds}
        behind: defaultdict[str, list[str]] = defaultdict(list)
        for id_, needs in waits.items():
            for need in needs:
                behind[need].append(id_)
        held = sum(self._devices[id_] for id_ in running)
        free = max(devices, held) - held
        ends = [(seconds[id_], id_) for id_ in running]
        heapq.heapify(ends)
        ready = [(-self._first[id_], id_) for id_, needs in waits.items() if not needs and id_ not in running]
        heapq.heapify(ready)
        now = 0.0
        while ends or ready:
            # A surface wider than the cluster waits for machines; here it takes all there are.
            while ready and (self._devices[ready[0][1]] <= free or not ends):
                _, id_ = heapq.heappop(ready)
                free -= self._devices[id_]
                heapq.heappush(ends, (now + seconds[id_], id_))
            now, id_ = heapq.heappop(ends)
            free += self._devices[id_]
            for other in behind[id_]:
                waits[other].discard(id_)
                if not waits[other]:
                    heapq.heappush(ready, (-self._first[other], other))
        return now

    def _split(self, id_: str) -> float:
        return self._devices[id_] / self._jobs[id_].devices


def _rest(whole: float, start: float, job: Under) -> float:
    """Return what is left of a job under way: the more of it is done, the more its own pace counts."""
    if not job.trust:
        # It has told nothing: it may be about to end, or its process has only just started.
        rest = start + whole * (1 - job.share)
        return max(rest - job.seconds, 0.5 * rest)
    return job.trust * job.rest + (1 - job.trust) * whole * (1 - job.share)
