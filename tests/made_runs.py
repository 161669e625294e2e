"""Simulated runs of random sweeps: how long jobs take, and what the time left was told to be meanwhile."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.console import Console

from xltray.cluster.forecast import PRIOR_PACE, Work
from xltray.cluster.jobgraph import JobGraph
from xltray.cluster.progress import Board

TELL_SECONDS = 2.0
STEPS = 2500
"""Of simulated time, about."""


class Setting(NamedTuple):
    """What a run is like. Spreads are standard deviations of a logarithm."""

    encoders: int
    tasks: int
    targets: int
    seeds: int
    devices: int
    scale: float
    """Seconds that a usual fine-tuning takes."""
    cold: float
    """Seconds until a new process has read its data; one that is used again takes a tenth."""
    load: float
    """Spread of the machines' pace from minute to minute, or from tenth to tenth of a short run."""
    failing: float
    """Share of jobs that fail once."""


def draw_setting(rng: random.Random, scale: float) -> Setting:
    """Draw a sweep, and machines to run it on."""
    return Setting(
        encoders=rng.randint(1, 2),
        tasks=rng.randint(1, 4),
        targets=rng.randint(2, 6),
        seeds=rng.randint(1, 3),
        devices=rng.choice([1, 2, 4, 8, 16]),
        scale=scale,
        cold=rng.uniform(4, 12),
        load=rng.choice([0.0, 0.1, 0.3]),
        failing=rng.choice([0.0, 0.05]),
    )


def draw_sweep(setting: Setting, rng: random.Random) -> dict[str, Work]:
    """Return jobs as a plan has them: a source and its targets, each with one's own and both languages."""
    jobs: dict[str, Work] = {}
    points = rng.choice([11, 60, 465])
    surface = rng.uniform(0.3, 3.0)
    for number in range(setting.encoders):
        encoder, size = f"e{number}", 3.0**number
        jobs[encoder] = Work("pretrain", 40 * size * rng.uniform(0.5, 2), (), "pretrain", encoder)
        for task in ("xnli", "ner", "pos", "parsing")[: setting.tasks]:
            train = rng.uniform(3, 9)
            for seed in range(setting.seeds):
                for target in range(setting.targets):
                    ends = [f"{task}-{names}-{seed}-{encoder}" for names in ("s", str(target), f"s+{target}")]
                    for id_, languages in zip(ends, (1, 1, 2), strict=True):
                        work = Work("finetune", size * train * languages, (encoder,), task, encoder)
                        jobs.setdefault(id_, work)
                    cost = size * surface * rng.uniform(8, 12)
                    needs = (encoder, *ends)
                    jobs[f"{ends[2]}-surface"] = Work("surface", cost, needs, task, encoder, points, ends[2])
    return jobs


def draw_seconds(jobs: dict[str, Work], setting: Setting, rng: random.Random) -> dict[str, float]:
    """Return the seconds of work of each job: kinds, tasks, encoders and jobs are off what the plan says."""
    off = {task: rng.lognormvariate(0, 0.3) for task in sorted({job.task for job in jobs.values()})}
    off |= {name: rng.lognormvariate(0, 0.15) for name in ("e0", "e1")}
    off |= {kind: rng.lognormvariate(0, 0.15) for kind in PRIOR_PACE}
    unit = setting.scale / 6
    return {
        id_: unit
        * job.cost
        * PRIOR_PACE[job.kind]
        * off[job.kind]
        * off[job.task]
        * off[job.encoder]
        * rng.lognormvariate(0, 0.15)
        for id_, job in jobs.items()
    }


@dataclass
class _Attempt:
    device: int
    starting: float
    done: float = 0.0
    told: float = float("-inf")
    begun: float = 0.0
    fails_at: float = float("inf")


@dataclass
class SimulatedRun:
    """A run in simulated time, told to a board."""

    jobs: dict[str, Work]
    seconds: dict[str, float]
    setting: Setting
    rng: random.Random
    now: float = 0.0
    told: list[tuple[float, float]] = field(default_factory=list)
    running: dict[str, _Attempt] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.board = Board(self.jobs, Console(file=io.StringIO(), width=200), lambda: self.now)
        self.board.devices = self.setting.devices
        self.graph = JobGraph(self.jobs)
        self.free = list(range(self.setting.devices))
        self.warm: set[tuple[int, bool]] = set()
        self.kept: dict[str, float] = {}
        self.failing = {id_ for id_ in self.jobs if self.rng.random() < self.setting.failing}
        whole = sum(self.seconds.values()) / self.setting.devices
        self.step = max(0.1, whole / STEPS)
        self.gust = max(self.step, min(60.0, whole / 10))

    def follow(self) -> list[tuple[float, float]]:
        """Run to the end; returns (share of the run that is over, told seconds left / true ones)."""
        pace, until = 1.0, 0.0
        self._fill()
        while self.running:
            if self.now >= until:
                pace, until = self.rng.lognormvariate(0, self.setting.load), self.now + self.gust
            self.now += self.step
            for id_ in list(self.running):
                self._advance(id_, self.step * pace)
            self._fill()
            if (left := self.board.seconds_left()) is not None:
                self.told.append((self.now, left))
        end = self.now
        return [(time / end, left / (end - time)) for time, left in self.told if time < end - self.step]

    def _fill(self) -> None:
        while self.free and (id_ := self.graph.take()) is not None:
            device = self.free.pop()
            # Processes are kept for jobs that reserve the same.
            process = device, self.jobs[id_].kind == "surface"
            starting = self.setting.cold * self.rng.uniform(0.7, 1.3) * (0.1 if process in self.warm else 1.0)
            self.warm.add(process)
            attempt = _Attempt(device, starting, self.kept.get(id_, 0.0) * self.seconds[id_])
            if id_ in self.failing:
                self.failing.discard(id_)
                attempt.fails_at = self.rng.uniform(0.1, 0.9) * self.seconds[id_]
            self.running[id_] = attempt
            self.board.start(id_)

    def _advance(self, id_: str, work: float) -> None:
        attempt, whole = self.running[id_], self.seconds[id_]
        used = min(work, attempt.starting)
        attempt.starting -= used
        attempt.done += work - used
        if used > 0:
            attempt.begun = self.now
        if attempt.done >= attempt.fails_at:
            # A training goes on from its last tenth.
            if self.jobs[id_].kind != "surface":
                self.kept[id_] = int(10 * attempt.done / whole) / 10
            self._leave(id_)
            self.graph.retry(id_)
            self.board.retry(id_, "lost")
        elif attempt.done >= whole:
            self._tell(id_, attempt)
            self._leave(id_)
            self.graph.complete(id_)
            self.board.complete(id_)
        elif attempt.starting <= 0 and self.now - attempt.told >= TELL_SECONDS:
            attempt.told = self.now
            self._tell(id_, attempt)

    def _tell(self, id_: str, attempt: _Attempt) -> None:
        first = round(1000 * self.kept.get(id_, 0.0))
        done = min(1000, round(1000 * attempt.done / self.seconds[id_]))
        validation = self._validation(id_) if done >= 100 else None
        early = first, self.now - attempt.begun
        self.board.advance(id_, done, 1000, "steps", first=first, early=early, validation_seconds=validation)

    def _leave(self, id_: str) -> None:
        self.free.append(self.running.pop(id_).device)

    def _validation(self, id_: str) -> float | None:
        """A validation of a bilingual endpoint costs a point of its surface, but for the interpolation."""
        surface = f"{id_}-surface"
        return 0.9 * self.seconds[surface] / self.jobs[surface].passes if surface in self.seconds else None


def simulate(seed: int, scale: float) -> list[tuple[float, float]]:
    """Follow a random run whose usual fine-tuning takes ``scale`` seconds; see ``SimulatedRun.follow``."""
    rng = random.Random(seed)
    setting = draw_setting(rng, scale)
    jobs = draw_sweep(setting, rng)
    return SimulatedRun(jobs, draw_seconds(jobs, setting, rng), setting, rng).follow()


def share_right(seeds: range, scale: float) -> float:
    """Return the share of what is told after the first tenth that is within a fifth, each run alike."""
    shares = []
    for seed in seeds:
        late = [ratio for over, ratio in simulate(seed, scale) if 0.1 <= over <= 0.95]
        shares.append(sum(0.8 <= ratio <= 1.2 for ratio in late) / len(late))
    return sum(shares) / len(shares)
