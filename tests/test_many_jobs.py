"""What a job costs the driver, and that the thousandth costs no more than the first."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import ray
from test_cluster import finetune_job, jobs_of, run

from xltray.cluster.callback import ProgressCallback
from xltray.cluster.session import worker_environment
from xltray.store import Store

JOBS, EVERY = 400, 100
"""Every hundred jobs the process is looked at."""

pytestmark = pytest.mark.filterwarnings(
    # Ray leaves pipes and sockets of its own to the garbage collector.
    "ignore:unclosed:ResourceWarning",
    "ignore:subprocess .* is still running:ResourceWarning",
)


class Mark(NamedTuple):
    """The driver's processor time in seconds, and its memory in KiB."""

    cpu: float
    memory: int


def look() -> Mark:
    [kib] = re.findall(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return Mark(time.process_time(), int(kib))


@pytest.fixture
def local_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ray.shutdown()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    environment = {"env_vars": {**worker_environment(1), "PYTHONPATH": paths}}
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, runtime_env=environment, log_to_driver=False
    )
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.usefixtures("local_ray")
def test_cost_and_memory_of_a_job_stay_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks: list[Mark] = []
    settle = ProgressCallback._settle
    ended: list[str] = []

    def observed(callback: ProgressCallback, id_: str) -> None:
        settle(callback, id_)
        ended.append(id_)
        if len(ended) % EVERY == 0:
            marks.append(look())

    monkeypatch.setattr(ProgressCallback, "_settle", observed)
    jobs = jobs_of(*(finetune_job("pos", f"x{number}") for number in range(JOBS)))
    outcome, _ = run(Store(str(tmp_path)), jobs)
    assert len(outcome.done) == JOBS == len(ended)
    assert len(marks) == JOBS // EVERY
    costs = [1000 * (after.cpu - before.cpu) / EVERY for before, after in itertools.pairwise(marks)]
    kib = (marks[-1].memory - marks[0].memory) / (JOBS - EVERY)
    told = f"ms of the processor a job: {[round(cost, 1) for cost in costs]}; KiB a job: {kib:.1f}"
    assert max(costs) < 50, told
    assert costs[-1] < 2 * costs[0], told
    assert kib < 30, told
    print(told)
