"""``python -m benchmarks.schedule SWEEP.yaml [key=value ...] --gpus 64``: how well are devices kept busy?

The sweep runs in simulated time (``simulation.py``) with its real job graph and searcher; nothing is read or
trained. It prints the makespan beside its lower bound: the longest chain of jobs that wait for each other,
with surfaces split as far as they may be, or all work shared by all devices, whichever is more. The tail
begins when all devices are held for the last time: from then on there is less to do than devices.

The plan's costs are guesses, so what a job really takes differs from them: by a factor drawn for its task
and kind, and by one of its own (``--noise``, the standard deviation of both factors' logarithms). Sizes of
corpora that are not here are those of the paper's examples, with the bytes of an example below.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.simulation import Machines, Timeline, critical_path, lower_bound, simulate
from xltray.cluster.session import MOST_PENDING
from xltray.cluster.split import fixed_servers, most_servers
from xltray.corpora.base import ReleasedCorpus
from xltray.corpora.registry import open_corpus
from xltray.inputs import FileInputs
from xltray.jobs import Job, PretrainJob, SurfaceJob
from xltray.plan import DataId, Plan, make_plan
from xltray.spec import SweepSpec
from xltray.spec_types import Role
from xltray.sweepfile import load_sweep

BYTES_PER_EXAMPLE = {"ud": 1100, "xnli": 130, "wikiann": 80}
"""Of the released files: CoNLL-U has a line of ten columns for a word; the others are Parquet."""
SECONDS_PER_COST = 1e-6
"""A forward pass of mBERT over a million bytes a second: of the order of a data-centre GPU. It decides how
much the start of a process weighs beside a job, and nothing else."""
START_SECONDS = 10.0
"""A device is held so long before a job works: process, imports, weights; most jobs reuse a process."""


class Sizes(FileInputs):
    """Inputs of a sweep whose corpora may not be here; their sizes are then the paper's."""

    def __init__(self, sweep: SweepSpec) -> None:
        super().__init__(sweep.data, lenient=True)

    def _data(self, corpus: str, language: str, role: Role) -> DataId:
        found = super()._data(corpus, language, role)
        opened = open_corpus(corpus, self.spec)
        if found.size or not isinstance(opened, ReleasedCorpus):
            return found
        examples = opened.expected(language, role) or opened.expected("en", role) or 0
        return DataId(f"{corpus} {language} {role}", examples * BYTES_PER_EXAMPLE[corpus])


class Outcome(NamedTuple):
    """A simulated run and what it is judged by; times in seconds."""

    timeline: Timeline
    bound: float
    path: float
    work: float

    @property
    def to_bound(self) -> float:
        """The makespan as a multiple of its lower bound."""
        return self.timeline.makespan / self.bound

    @property
    def busy(self) -> float:
        """The share of the devices' time in which jobs worked, until the tail."""
        return self.timeline.busy_share(self.timeline.tail_begin)


def durations(jobs: Mapping[str, Job], noise: float, seed: int) -> dict[str, float]:
    """Return how many seconds each job really takes; the mean of every factor is 1."""
    chance = random.Random(seed)
    groups: dict[tuple[str, str], float] = {}

    def factor() -> float:
        return chance.lognormvariate(-noise * noise / 2, noise)

    seconds = {}
    for id_, job in jobs.items():
        group = (job.kind, "" if isinstance(job, PretrainJob) else job.task)
        groups.setdefault(group, factor())
        seconds[id_] = SECONDS_PER_COST * job.cost * groups[group] * factor()
    return seconds


def measure(plan: Plan, machines: Machines, noise: float, seed: int) -> Outcome:
    """Simulate a plan's run."""
    seconds = durations(plan.jobs, noise, seed)
    timeline = simulate(plan.jobs, seconds, machines, seed, plan.sweep.runtime)
    at_best = _at_best(plan, seconds)
    bound = lower_bound(plan.jobs, seconds, machines.devices, at_best)
    return Outcome(timeline, bound, critical_path(plan.jobs, at_best), sum(seconds.values()))


def _at_best(plan: Plan, seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of each job, a surface being split as far as it may be."""
    fixed, chunk = fixed_servers(plan.sweep.runtime), plan.sweep.runtime.points_per_chunk
    return {
        id_: seconds[id_] / (fixed or most_servers(job, chunk))
        if isinstance(job, SurfaceJob)
        else seconds[id_]
        for id_, job in plan.jobs.items()
    }


def report(plan: Plan, outcome: Outcome) -> str:
    """Return the lines to print."""
    timeline, jobs = outcome.timeline, len(plan.jobs)
    hours = 3600.0
    return "\n".join(
        [
            f"{plan.sweep.name}: {jobs} jobs, {outcome.work / hours:.1f} device-hours of work, "
            f"on {timeline.devices} devices",
            f"makespan      {timeline.makespan / hours:8.2f} h, {outcome.to_bound:.3f} x its lower bound",
            f"lower bound   {outcome.bound / hours:8.2f} h (longest chain {outcome.path / hours:.2f} h, "
            f"all work by all devices {outcome.work / timeline.devices / hours:.2f} h)",
            f"busy          {_busy(outcome)}",
            f"searcher      {1000 * timeline.driver_seconds / jobs:8.2f} ms a job",
        ]
    )


def _busy(outcome: Outcome) -> str:
    timeline = outcome.timeline
    in_all = f"{timeline.busy_share(timeline.makespan):.1%} in all"
    if not timeline.tail_begin:
        return f"{in_all}; never are there jobs for all devices at once"
    return f"{outcome.busy:.1%} until the tail, which begins at {timeline.tail_begin / 3600:.2f} h; {in_all}"


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate and report; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.schedule", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("sweep", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--gpus", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--noise", type=float, default=0.3, help="default: %(default)s")
    parser.add_argument("--overhead", type=float, default=START_SECONDS, help="seconds; default: %(default)s")
    parser.add_argument(
        "--pending", type=int, default=MOST_PENDING, help="default: %(default)s, as on a cluster"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_intermixed_args(argv)
    sweep = load_sweep(options.sweep, options.overrides)
    plan = make_plan(sweep, Sizes(sweep))
    machines = Machines(options.gpus, options.overhead, options.pending)
    print(report(plan, measure(plan, machines, options.noise, options.seed)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
