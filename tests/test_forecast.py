"""The time left is right within a fifth once a tenth of a run is over, on simulated runs of mixed jobs."""

from __future__ import annotations

import heapq
import io
import random

import pytest
from made_runs import share_right
from rich.console import Console

from xltray.cluster.forecast import PRIOR_PACE, Forecast, Under, Work
from xltray.cluster.jobgraph import JobGraph
from xltray.cluster.progress import Board
from xltray.cluster.startups import Startups

TELL_SECONDS = 2.0
START_SECONDS = 5.0
PASSES = 465


def sweep(rng: random.Random) -> dict[str, Work]:
    """Jobs as a plan has them: two encoders of our own, four tasks, nine pairs, two seeds."""
    jobs: dict[str, Work] = {}
    for encoder, size in (("base", 1.0), ("large", 3.0)):
        jobs[encoder] = Work("pretrain", 40000 * size, (), "pretrain", encoder)
        for task in ("xnli", "ner", "pos", "parsing"):
            train = rng.uniform(300, 900)
            for seed in range(2):
                for source in "aeo":
                    for target in "xyz":
                        ends = [
                            f"{task}-{names}-{seed}-{encoder}" for names in (source, target, source + target)
                        ]
                        for id_, languages in zip(ends, (1, 1, 2), strict=True):
                            jobs.setdefault(
                                id_, Work("finetune", size * train * languages, (encoder,), task, encoder)
                            )
                        cost = size * rng.uniform(800, 1200)
                        jobs[f"{ends[2]}-surface"] = Work(
                            "surface", cost, (encoder, *ends), task, encoder, PASSES, ends[2]
                        )
    return jobs


def durations(jobs: dict[str, Work], rng: random.Random) -> dict[str, float]:
    """Seconds of each job: kinds, tasks, encoders and jobs are all off what the plan says."""
    off = {task: rng.lognormvariate(0, 0.3) for task in sorted({job.task for job in jobs.values()})}
    off |= {name: rng.lognormvariate(0, 0.15) for name in ("base", "large", *PRIOR_PACE)}
    return {
        id_: START_SECONDS
        + 0.1
        * job.cost
        * PRIOR_PACE[job.kind]
        * off[job.kind]
        * off[job.task]
        * off[job.encoder]
        * rng.lognormvariate(0, 0.15)
        for id_, job in jobs.items()
    }


class Run:
    """A run in simulated time, told to a board; jobs start and end as the searcher has it."""

    def __init__(self, jobs: dict[str, Work], seconds: dict[str, float], devices: int) -> None:
        self.now = 0.0
        self.board = Board(jobs, Console(file=io.StringIO(), width=200), lambda: self.now)
        self.board.devices = devices
        self.seconds, self.devices = seconds, devices
        self.graph = JobGraph(jobs)
        self.events: list[tuple[float, str]] = []
        self.started: dict[str, float] = {}

    def follow(self) -> list[tuple[float, float]]:
        """Return (time, seconds left as told then) for all times at which a job tells or ends."""
        told: list[tuple[float, float]] = []
        asked = 0.0
        self.fill()
        while self.events:
            self.now, id_ = heapq.heappop(self.events)
            age, whole = self.now - self.started[id_], self.seconds[id_]
            if age >= whole - 1e-9:
                self.graph.complete(id_)
                self.board.complete(id_)
                del self.started[id_]
                self.fill()
            else:
                done = (age - START_SECONDS) / (whole - START_SECONDS)
                self.board.advance(
                    id_, round(1000 * done), 1000, "steps", validation_seconds=self.validation(id_)
                )
                self.tell(id_, age + TELL_SECONDS)
            # Asking takes milliseconds; forty times is enough.
            if self.now >= asked + sum(self.seconds.values()) / self.devices / 40:
                asked = self.now
                if (left := self.board.seconds_left()) is not None:
                    told.append((self.now, left))
        return told

    def fill(self) -> None:
        while len(self.started) < self.devices and (id_ := self.graph.take()) is not None:
            self.started[id_] = self.now
            self.board.start(id_)
            self.tell(id_, START_SECONDS)

    def validation(self, id_: str) -> float | None:
        """A validation of a bilingual endpoint costs a point of its surface, but for the interpolation."""
        surface = f"{id_}-surface"
        return 0.9 * self.seconds[surface] / PASSES if surface in self.seconds else None

    def tell(self, id_: str, age: float) -> None:
        heapq.heappush(self.events, (self.started[id_] + min(age, self.seconds[id_]), id_))


def test_after_a_tenth_the_time_left_is_right_within_a_fifth() -> None:
    ratios = []
    for devices in (1, 8, 30):
        for seed in range(3):
            rng = random.Random(seed)
            jobs = sweep(rng)
            run = Run(jobs, durations(jobs, rng), devices)
            told, end = run.follow(), run.now
            for mark in range(2, 19):
                time, left = next((time, left) for time, left in told if time >= end * mark / 20)
                ratios.append(left / (end - time))
    assert len(ratios) == 3 * 3 * 17
    close = sum(0.8 <= ratio <= 1.2 for ratio in ratios)
    # A task or an encoder of which nothing has run yet is anybody's guess.
    assert close >= 0.95 * len(ratios), sorted(ratios)
    assert 0.6 < min(ratios) < max(ratios) < 1.5


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (3.0, 0.72),
        pytest.param(30.0, 0.85, marks=pytest.mark.slow),
        pytest.param(600.0, 0.87, marks=pytest.mark.slow),
    ],
)
def test_of_random_sweeps_on_uneven_machines_most_of_what_is_told_is_right(
    scale: float, expected: float
) -> None:
    """With start-up times, failures, and machines whose pace changes by up to a third (made_runs.py)."""
    assert share_right(range(12), scale) >= expected


def test_a_new_process_starts_slower_than_one_that_is_used_again() -> None:
    startups = Startups()
    assert startups.predict("finetune", 2, {"finetune": 4}) == 0.0
    startups.begin("f1", "finetune")
    startups.learn("f1", 10.0)
    # Of four that wait, one gets the second process, which is new.
    assert startups.predict("finetune", 2, {"finetune": 4}) == pytest.approx((10 + 3 * 1.5) / 4)
    assert startups.predict("finetune", 1, {"finetune": 4}) == pytest.approx(1.5)
    # Surfaces have processes of their own.
    assert startups.predict("surface", 1, {"finetune": 4, "surface": 2}) == pytest.approx((10 + 1.5) / 2)
    startups.leave("f1")
    startups.begin("f2", "pretrain")
    startups.learn("f2", 1.0)
    startups.learn("f2", 0.5)
    assert startups.predict("finetune", 1, {"finetune": 4}) == pytest.approx(0.5)


def learned(forecast: Forecast, id_: str = "f1", seconds: float = 20.0) -> Forecast:
    forecast.complete(id_, seconds)
    return forecast


def test_nothing_seen_and_nothing_left() -> None:
    forecast = Forecast({"f1": Work("finetune", 10)})
    assert forecast.seconds_left((), {}, 1) is None
    assert forecast.seconds_left((), {"f1": Under(5.0)}, 1) is None
    assert learned(forecast).seconds_left({"f1"}, {}, 1) is None


def test_devices_share_what_can_run_side_by_side() -> None:
    jobs = {f"f{number}": Work("finetune", 10) for number in range(1, 8)}
    forecast = learned(Forecast(jobs))
    assert forecast.seconds_left({"f1"}, {}, 1) == pytest.approx(6 * 20, rel=0.01)
    assert forecast.seconds_left({"f1"}, {}, 2) == pytest.approx(3 * 20, rel=0.01)
    assert forecast.seconds_left({"f1"}, {}, 100) == pytest.approx(20, rel=0.01)
    # More run than devices are known: a machine has just joined.
    busy = {f"f{number}": Under(0.0) for number in range(2, 5)}
    assert forecast.seconds_left({"f1"}, busy, 1) == pytest.approx(2 * 20, rel=0.01)


def test_what_waits_for_each_other_takes_its_turn_whatever_the_devices() -> None:
    jobs = {
        "p": Work("pretrain", 40),
        "f1": Work("finetune", 10),
        "f2": Work("finetune", 10, ("p",)),
        "s": Work("surface", 100 / 6, ("f2",)),
    }
    # By the priors a surface of 100/6 takes as long as a fine-tuning of 10, and so does the pretraining.
    left = learned(Forecast(jobs)).seconds_left({"f1"}, {}, 50)
    assert left == pytest.approx(60, rel=0.02)


def test_a_surface_takes_as_many_devices_as_it_has_servers() -> None:
    jobs = {"s1": Work("surface", 10), "s2": Work("surface", 10), "s3": Work("surface", 10)}
    assert learned(Forecast(jobs), "s1").seconds_left({"s1"}, {}, 4) == pytest.approx(20, rel=0.01)
    wide = learned(Forecast({id_: job._replace(devices=3) for id_, job in jobs.items()}), "s1")
    assert wide.seconds_left({"s1"}, {}, 4) == pytest.approx(40, rel=0.01)
    assert wide.seconds_left({"s1"}, {}, 2) == pytest.approx(40, rel=0.01), "too few, so one after the other"


def test_a_job_under_way_counts_at_its_own_pace_the_more_of_it_is_done() -> None:
    jobs = {"f1": Work("finetune", 10), "f2": Work("finetune", 10)}
    forecast = learned(Forecast(jobs))
    slow = Under(seconds=45.0, share=0.9, trust=0.9, whole=50.0, rest=5.0)
    left = forecast.seconds_left({"f1"}, {"f2": slow}, 1)
    assert left == pytest.approx(5.0, rel=0.1)
    assert forecast.seconds_left({"f1"}, {"f2": Under(5.0)}, 1) == pytest.approx(15, rel=0.01)
    assert forecast.seconds_left({"f1"}, {"f2": Under(50.0)}, 1) == pytest.approx(10, rel=0.01), "overdue"


def test_validations_tell_of_surfaces_before_any_has_run() -> None:
    jobs = {
        "f1": Work("finetune", 10, (), "pos", "small"),
        "s": Work("surface", 10, ("f1",), "pos", "small", passes=100, like="f1"),
    }
    unknowing = learned(Forecast(jobs)).seconds_left({"f1"}, {}, 1)
    assert unknowing == pytest.approx(12, rel=0.02)
    knowing = Forecast(jobs)
    knowing.probe("f1", 0.5)
    left = learned(knowing).seconds_left({"f1"}, {}, 1)
    assert left is not None
    assert 25 < left < 50


def test_what_costs_nothing_takes_seconds_and_teaches_nothing() -> None:
    jobs = {
        "random": Work("pretrain", 0.0),
        "f1": Work("finetune", 10),
        "f2": Work("finetune", 10, ("random",)),
    }
    forecast = learned(Forecast(jobs))
    assert forecast.seconds_left({"f1"}, {}, 1) == pytest.approx(23, rel=0.02)
    forecast.complete("random", 500.0)
    assert forecast.seconds_left({"f1", "random"}, {}, 1) == pytest.approx(20, rel=0.02)


def test_a_resumed_job_teaches_by_what_it_did_itself() -> None:
    jobs = {"f1": Work("finetune", 10), "f2": Work("finetune", 10)}
    forecast = Forecast(jobs)
    forecast.complete("f1", 5.0, 0.25)
    assert forecast.seconds_left({"f1"}, {}, 1) == pytest.approx(20, rel=0.02)
