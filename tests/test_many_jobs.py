"""Many jobs on a real Ray: what one costs the driver, and who runs beside whom on which devices."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pytest
import ray
from made_fake_jobs import FakeEvaluator, cell, fake_pretrain, finetune_job, jobs_of, run
from made_rays import LEFT_OVER

from xltray.cluster.callback import ProgressCallback
from xltray.cluster.jobrunners import JobRunners
from xltray.cluster.session import worker_environment
from xltray.context import JobContext, Progress
from xltray.jobs import FinetuneJob, SurfaceJob
from xltray.store import Store

if TYPE_CHECKING:
    from xltray.surface import PointPool

JOBS, EVERY = 1000, 100
"""Every hundred jobs the process is looked at."""

pytestmark = pytest.mark.filterwarnings(*LEFT_OVER)


class Mark(NamedTuple):
    """The driver's processor time in seconds, and its memory in KiB."""

    cpu: float
    memory: int


def look() -> Mark:
    [kib] = re.findall(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return Mark(time.process_time(), int(kib))


@pytest.fixture
def local_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Ray of this test's own, with two devices that are none."""
    ray.shutdown()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    environment = {"env_vars": {**worker_environment(1), "PYTHONPATH": paths}}
    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=2,
        include_dashboard=False,
        runtime_env=environment,
        log_to_driver=False,
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
    # Were each job to cost as much as there are jobs before it, it would be several times as much.
    assert sum(costs[-3:]) < 2.5 * sum(costs[:3]), told
    assert kib < 30, told
    print(told)


def sleep(store: Store, id_: str, seconds: float) -> Iterator[Progress]:
    """Pass the time as a job, and leave a record of when."""
    begin = time.time()
    while time.time() < begin + seconds:
        time.sleep(0.05)
        yield Progress(0, 1, "naps")
    store.write_json(f"spans/{id_}.json", {"begin": begin, "end": time.time()})


def sleep_finetuning(job: FinetuneJob, context: JobContext) -> Iterator[Progress]:
    yield from sleep(context.store, job.id, job.cost)
    context.store.write_json(f"{context.store.endpoint_path(job.id)}/DONE.json", {})


def sleep_scoring(
    job: SurfaceJob, context: JobContext, pool: PointPool, *, points_per_chunk: int
) -> Iterator[Progress]:
    pool.load(job)
    yield from sleep(context.store, job.id, job.cost)
    for path in (context.store.surface_path(job), context.store.geometry_path(job)):
        context.store.write_table(path, pa.table({"made": ["up"]}))


def sleeping_runners() -> JobRunners:
    return JobRunners(fake_pretrain, sleep_finetuning, sleep_scoring, FakeEvaluator)


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_jobs_of_different_resources_share_the_devices_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    surface = cell("pos", "aa", "bb").model_copy(update={"cost": 12.0})
    for endpoint in surface.endpoints.values():
        store.write_json(f"{store.endpoint_path(endpoint.id)}/DONE.json", {})
    others = [finetune_job("pos", f"x{n}").model_copy(update={"cost": 3.0}) for n in range(4)]
    jobs = {job.id: job for job in (surface, *others)}
    monkeypatch.setattr("made_fake_jobs.FAKES", "test_many_jobs:sleeping_runners")
    outcome, shown = run(store, jobs, device="cuda")
    assert set(outcome.done) == set(jobs), shown
    spans = {id_: store.read_json(f"spans/{id_}.json") for id_ in jobs}
    beside = [
        id_
        for id_, span in spans.items()
        if id_ != surface.id
        and span["begin"] < spans[surface.id]["end"]
        and spans[surface.id]["begin"] < span["end"]
    ]
    assert beside, "a fine-tuning ran while the surface did"
    for moment in (span["begin"] for span in spans.values()):
        held = sum(span["begin"] <= moment < span["end"] for span in spans.values())
        assert held <= 2, "a job holds a device, and there are two"
