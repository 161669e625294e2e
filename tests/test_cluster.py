"""The whole machinery on a local Ray, with functions of this module in the place of real jobs.

The fakes note each run of a job as a file in the store (id, process id, attempt) and commit what
the store takes for a result. A fake's task says how it behaves.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import ray
from ray.exceptions import LocalRayletDiedError
from rich.console import Console

from xltray.cluster import session
from xltray.cluster.capacity import CapacityError, bundles, check_room, count_devices
from xltray.cluster.jobrunners import JobRunners
from xltray.cluster.run import RunOutcome, run_plan
from xltray.cluster.searcher import JobSearcher
from xltray.cluster.server import EndpointServer, RayPool
from xltray.cluster.session import ClusterError, worker_environment
from xltray.cluster.trial import JobTrial
from xltray.context import JobContext, Progress
from xltray.errors import CornerMismatchError
from xltray.grid import Chunk
from xltray.jobs import EncoderRef, FinetuneJob, Job, LanguageData, PretrainJob, SurfaceJob
from xltray.plan import Plan
from xltray.results import Geometry, Score
from xltray.spec import DataSpec, EncoderSpec, FinetuneSpec, PretrainSpec, RuntimeSpec, SweepSpec
from xltray.store import Store

if TYPE_CHECKING:
    from xltray.surface import PointPool

pytestmark = pytest.mark.filterwarnings(
    # Ray leaves pipes and sockets of its own to the garbage collector.
    "ignore:unclosed:ResourceWarning",
    "ignore:subprocess .* is still running:ResourceWarning",
)

FAKES = "test_cluster:fake_runners"


# What workers run.


def note(store: Store, id_: str, **more: Any) -> int:
    """Leave a file that says that a job ran here; return how often it ran before."""
    before = len(notes(store, id_))
    store.write_json(f"notes/{id_}/{uuid.uuid4().hex}.json", {"id": id_, "pid": os.getpid(), **more})
    return before


def notes(store: Store, id_: str) -> list[Any]:
    folder = f"notes/{id_}"
    return [store.read_json(f"{folder}/{name}") for name in store.names(folder)]


def fake_pretrain(job: PretrainJob, context: JobContext) -> Iterator[Progress]:
    note(context.store, job.id)
    yield Progress(1, 1, "steps")
    context.store.write_json(f"{context.store.encoder_path(job.id)}/DONE.json", {})


def fake_finetune(job: FinetuneJob, context: JobContext) -> Iterator[Progress]:
    assert all(context.store.exists(f"{context.store.encoder_path(need)}/DONE.json") for need in job.needs)
    before = note(
        context.store,
        job.id,
        directory=str(Path.cwd()),
        threads=os.environ.get("OMP_NUM_THREADS"),
        torch="torch" in sys.modules,
        title=Path("/proc/self/cmdline").read_text().strip("\0 "),
    )
    for step in range(200 if job.task == "slow" else 3):
        yield Progress(step, 200, "steps")
        time.sleep(0.3 if job.task == "slow" else 0)
    if job.task == "broken" or (job.task == "flaky" and not before):
        raise ValueError(f"loss of {job.languages} is not finite")
    if job.task == "unlucky" and before == 1:
        raise ValueError("it diverged")
    if job.task == "doomed" or (before < {"killed": 1, "unlucky": 3}.get(job.task, 0)):
        os.kill(os.getpid(), signal.SIGKILL)
    if job.task == "committed":
        context.store.write_json(f"{context.store.endpoint_path(job.id)}/DONE.json", {})
        os.kill(os.getpid(), signal.SIGKILL)
    if job.task == "refused":
        raise CornerMismatchError("counts differ")
    if job.task != "forgetful":
        context.store.write_json(f"{context.store.endpoint_path(job.id)}/DONE.json", {})


def fake_surface(
    job: SurfaceJob, context: JobContext, pool: PointPool, *, points_per_chunk: int
) -> Iterator[Progress]:
    before = note(context.store, job.id)
    assert all(context.store.is_done(endpoint) for endpoint in job.endpoints.values())
    assert pool.load(job) == "abacus"
    assert pool.geometry() == [Geometry("all", 1, 1.0, 1.0, 0.0)]
    if job.task == "orphaned" and not before:
        os.kill(os.getpid(), signal.SIGKILL)
    points = tuple(range(len(job.grid)))
    chunks = [Chunk("all", points[i : i + points_per_chunk]) for i in range(0, len(points), points_per_chunk)]
    scores: list[Score] = []
    for _, new in pool.score(chunks):
        scores += new
        yield Progress(len(scores), len(points), "points")
    assert sorted(score.point for score in scores) == list(points)
    note(
        context.store,
        f"servers-{job.id}",
        servers=sorted({score.correct for score in scores}),
        names=ray.util.list_named_actors(),
    )
    for path in (context.store.surface_path(job), context.store.geometry_path(job)):
        context.store.write_bytes(path, b"made up")


class FakeEvaluator:
    """Scores a point as its server's process id; the cell's task says how it fails."""

    def __init__(self, context: JobContext) -> None:
        self.store = context.store
        self.job: SurfaceJob

    def load(self, job: SurfaceJob) -> str:
        self.job = job
        note(self.store, f"load-{job.id}")
        return "abacus"

    def geometry(self) -> list[Geometry]:
        if not note(self.store, f"measure-{self.job.id}") and self.job.task == "fragile":
            os.kill(os.getpid(), signal.SIGKILL)
        return [Geometry("all", 1, 1.0, 1.0, 0.0)]

    def score(self, chunk: Chunk) -> list[Score]:
        before = note(self.store, f"chunk-{chunk.points[0]}-{self.job.id}")
        time.sleep(0.02)
        if chunk.points[0] == 4 and (
            self.job.task == "poison" or (self.job.task == "fragile" and not before)
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.job.task == "invalid" and chunk.points[0] == 4:
            raise CornerMismatchError(f"point 4 of {self.job.source} differs")
        return [
            Score("all", point, self.job.source, "f1", os.getpid(), 1, 1, None, 1) for point in chunk.points
        ]


def fake_runners() -> JobRunners:
    return JobRunners(fake_pretrain, fake_finetune, fake_surface, FakeEvaluator)


# What the tests make of it.


@pytest.fixture(scope="module")
def module_ray() -> Iterator[None]:
    """What a Ray that the tests of this module share needs around it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield
        ray.shutdown()


@pytest.fixture
def local_ray(module_ray: None) -> None:
    """A Ray with two CPUs, started unless a test before has left it running."""
    if not ray.is_initialized():
        # Workers import this module for its fakes.
        environment = {"env_vars": {**worker_environment(1), "PYTHONPATH": str(Path(__file__).parent)}}
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, runtime_env=environment, log_to_driver=False
        )


def pretrain_job(name: str = "toy") -> PretrainJob:
    return PretrainJob(name=name, encoder=PretrainSpec(languages=("xx",)), text={"xx": "hash"}, cost=5.0)


def finetune_job(task: str, *languages: str, encoder: PretrainJob | None = None) -> FinetuneJob:
    content = encoder.id if encoder else "weights"
    return FinetuneJob(
        task=task,
        corpus="toy",
        languages=tuple(sorted(languages)),
        seed=0,
        encoder=EncoderRef(name="toy", content=content, pretrained=encoder.id if encoder else None),
        data={language: LanguageData(train="a", dev="b") for language in languages},
        recipe=FinetuneSpec(),
        cost=1.0,
    )


def cell(task: str, source: str, target: str, encoder: PretrainJob | None = None) -> SurfaceJob:
    return SurfaceJob(
        source=source,
        target=target,
        source_endpoint=finetune_job(task, source, encoder=encoder),
        target_endpoint=finetune_job(task, target, encoder=encoder),
        bilingual_endpoint=finetune_job(task, source, target, encoder=encoder),
        plane=(0, 1),
        alphas=(0, 0.25, 0.5, 0.75, 1),
        scopes=("all",),
        cost=2.0,
    )


def jobs_of(*jobs: Job) -> dict[str, Job]:
    """The jobs and, before them, the endpoints of cells."""
    endpoints = [
        endpoint for job in jobs if isinstance(job, SurfaceJob) for endpoint in job.endpoints.values()
    ]
    return {job.id: job for job in (*endpoints, *jobs)}


def run(store: Store, jobs: dict[str, Job], **runtime: Any) -> tuple[RunOutcome, str]:
    usual = {
        "dashboard": False,
        "points_per_chunk": 2,
        "retries": 0,
        "retries_after_loss": 0,
        "device": "cpu",
    }
    options = {**usual, **runtime}
    sweep = SweepSpec(
        name="test",
        tasks=("pos",),
        pairs={"aa": ("bb",)},
        encoders={"toy": EncoderSpec(checkpoint="none")},
        runtime=RuntimeSpec(**options),
    )
    out = io.StringIO()
    outcome = run_plan(Plan(sweep, jobs), jobs, store, console=Console(file=out, width=200), runners=FAKES)
    return outcome, out.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.mark.usefixtures("local_ray")
def test_a_small_sweep_runs_in_order_and_reuses_processes(store: Store) -> None:
    encoder = pretrain_job()
    cells = [cell("pos", "aa", target, encoder) for target in ("bb", "cc", "dd")]
    jobs = {encoder.id: encoder, **jobs_of(*cells)}
    outcome, shown = run(store, jobs)
    assert not outcome.failed
    assert outcome == RunOutcome(done=tuple(jobs))
    assert all(store.is_done(job) for job in jobs.values())
    assert all(len(notes(store, id_)) == 1 for id_ in jobs), "each job ran once"

    endpoints = [notes(store, id_)[0] for id_, job in jobs.items() if job.kind == "finetune"]
    assert len(endpoints) == 7
    assert len({run["pid"] for run in endpoints}) <= 3, "fine-tunings share processes"
    assert {run["directory"] for run in endpoints} == {str(Path.cwd())}, "relative paths keep their meaning"
    assert {run["threads"] for run in endpoints} == {"1"}

    assert len({notes(store, job.id)[0]["pid"] for job in cells}) <= 2, "surfaces share processes"
    servers = [notes(store, f"servers-{job.id}")[0]["servers"] for job in cells]
    assert all(len(used) == 1 for used in servers)
    assert len({used[0] for used in servers}) <= 2, "a server lives on and loads the next cell"
    names = {
        name.partition(" server 0 ")[0]
        for job in cells
        for name in notes(store, f"servers-{job.id}")[0]["names"]
    }
    assert names
    assert names <= {job.id for job in cells}
    lines = shown.splitlines()
    assert lines[0].startswith("11 jobs to run (1 pretrain, 7 finetune, 3 surface) on the Ray in use (2 CPUs")
    assert sum(" done in " in line for line in lines) == 11
    assert lines[-1].startswith("11 of 11 jobs done, 0 running")


@pytest.mark.usefixtures("local_ray")
def test_names_for_people_and_trackers(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = finetune_job("named", "aa")
    outcome, _ = run(store, {job.id: job}, callbacks=("tensorboard",))
    assert not outcome.failed
    [ran] = notes(store, job.id)
    assert ran["title"].startswith(f"ray::finetune {job.id}"), "as ps and the dashboard show the process"
    assert list((tmp_path / "runs" / "test" / job.id).glob("events.out.tfevents.*"))


@pytest.mark.usefixtures("local_ray")
def test_a_failed_job_skips_what_needs_it_and_the_rest_goes_on(store: Store) -> None:
    bad, good = cell("broken", "aa", "bb"), finetune_job("pos", "cc")
    refused, forgetful = finetune_job("refused", "cc"), finetune_job("forgetful", "cc")
    jobs = jobs_of(bad, good, refused, forgetful)
    outcome, shown = run(store, jobs)
    assert outcome.done == (good.id,)
    assert set(outcome.failed) == {refused.id, forgetful.id, *bad.needs}
    assert set(outcome.skipped) == {bad.id}
    assert outcome.skipped[bad.id] in bad.needs
    assert not outcome.interrupted
    first, *trace = outcome.failed[bad.source_endpoint.id].splitlines()
    assert first == "ValueError: loss of ('aa',) is not finite"
    assert any("in fake_finetune" in line for line in trace)
    assert outcome.failed[refused.id] == "CornerMismatchError: counts differ"
    assert (
        f"its result is not in the store: found no complete result in Store('{store.uri}')"
        in (outcome.failed[forgetful.id])
    )
    assert "a path that all of them share, or an object store" in outcome.failed[forgetful.id]
    assert f"finetune {refused.id} failed after" in shown


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_failed_jobs_are_tried_again_but_refusals_are_not(store: Store) -> None:
    flaky, unlucky = finetune_job("flaky", "aa"), finetune_job("unlucky", "aa")
    broken, doomed, refused = (finetune_job(task, "aa") for task in ("broken", "doomed", "refused"))
    jobs = (flaky, unlucky, broken, doomed, refused)
    outcome, shown = run(store, jobs_of(*jobs), retries=1, retries_after_loss=2)
    assert set(outcome.done) == {flaky.id, unlucky.id}
    assert set(outcome.failed) == {broken.id, doomed.id, refused.id}
    runs = {job.task: len(notes(store, job.id)) for job in jobs}
    # Lost, an error, lost again: neither kind of failure uses up the other's budget.
    assert runs == {"flaky": 2, "unlucky": 4, "broken": 2, "doomed": 3, "refused": 1}
    assert f"finetune {flaky.id} failed and is tried again: ValueError: loss of ('aa',) is not" in shown
    assert f"finetune {unlucky.id} failed and is tried again: ValueError: it diverged (error 1 of 1)" in shown
    lost = "the job's process died (out of memory, killed, or its machine was lost)"
    assert f"finetune {doomed.id} failed and is tried again: {lost} (loss 2 of 2)" in shown
    assert outcome.failed[doomed.id].startswith(lost)
    assert outcome.failed[doomed.id].endswith("(tried 3 times)")


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_servers_share_a_surface_and_die_with_their_trial(store: Store) -> None:
    job = cell("orphaned", "aa", "bb")
    outcome, shown = run(store, jobs_of(job), retries_after_loss=1, servers_per_surface=2)
    assert not outcome.failed
    assert f"surface {job.id} failed and is tried again" in shown
    [served] = notes(store, f"servers-{job.id}")
    assert len(served["servers"]) == 2
    loaded = {load["pid"] for load in notes(store, f"load-{job.id}")}
    assert len(loaded) == 4
    orphans = loaded - set(served["servers"])
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in orphans) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [pid for pid in orphans if Path(f"/proc/{pid}").exists()]


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("retries", [0, 1])
def test_a_result_that_was_committed_before_the_process_died_counts(store: Store, retries: int) -> None:
    job = finetune_job("committed", "aa")
    outcome, _ = run(store, {job.id: job}, retries=retries)
    assert outcome == RunOutcome(done=(job.id,))
    assert len(notes(store, job.id)) == 1


@pytest.mark.usefixtures("local_ray")
def test_nothing_to_do(store: Store) -> None:
    assert run(store, {}) == (RunOutcome(), "")


def make_pool(store: Store, servers: int, cpus: float = 0.0) -> RayPool:
    config = {
        "id": "test",
        "runners": FAKES,
        "storage": store.uri,
        "data": DataSpec().model_dump_json(),
        "device": "cpu",
        "threads": 1,
        "checkpoint_seconds": 60.0,
    }
    actor = ray.remote(EndpointServer)
    return RayPool(lambda number: actor.options(num_cpus=cpus).remote(config), servers)


CHUNKS: Sequence[Chunk] = [Chunk("all", (first, first + 1)) for first in range(0, 24, 2)]


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(("task", "loads"), [("sound", 2), ("fragile", 4)])
def test_every_chunk_is_scored_once_even_if_a_server_dies(store: Store, task: str, loads: int) -> None:
    job, pool = cell(task, "aa", "bb"), make_pool(store, 2)
    assert pool.load(job) == "abacus"
    assert pool.geometry() == [Geometry("all", 1, 1.0, 1.0, 0.0)]
    results = list(pool.score(CHUNKS))
    pool.close()
    assert Counter(chunk for chunk, _ in results) == Counter(CHUNKS)
    assert all([score.point for score in scores] == list(chunk.points) for chunk, scores in results)
    assert len({score.correct for _, scores in results for score in scores}) >= 2, "both servers worked"
    assert len(notes(store, f"load-{job.id}")) == loads, "a new server loads the cell"


@pytest.mark.usefixtures("local_ray")
def test_a_pool_serves_cell_after_cell_and_replaces_a_server_that_died_between(store: Store) -> None:
    first, second, third = (cell("sound", "aa", target) for target in ("bb", "cc", "dd"))
    pool = make_pool(store, 1)
    pids = []
    for job in (first, second):
        pool.load(job)
        pids += [scores[0].correct for _, scores in pool.score(CHUNKS[:2])]
    assert len(set(pids)) == 1
    os.kill(pids[0], signal.SIGKILL)
    pool.load(third)
    [(_, scores)] = pool.score(CHUNKS[:1])
    pool.close()
    assert scores[0].correct != pids[0]


@pytest.mark.usefixtures("local_ray")
def test_actors_are_named_for_the_job_that_they_started_with(store: Store) -> None:
    config = {
        "id": "pos-aa-bb-s0-toy-1",
        "kind": "surface",
        "runners": FAKES,
        "storage": store.uri,
        "data": DataSpec().model_dump_json(),
        "device": "cpu",
        "threads": 1,
        "checkpoint_seconds": 60.0,
    }
    assert repr(EndpointServer(config)) == "EndpointServer(pos-aa-bb-s0-toy-1)"
    assert repr(JobTrial(config)) == "JobTrial(surface pos-aa-bb-s0-toy-1)"


@pytest.mark.usefixtures("local_ray")
def test_a_chunk_that_kills_every_server_ends_the_job(store: Store) -> None:
    job, pool = cell("poison", "aa", "bb"), make_pool(store, 1)
    pool.load(job)
    with pytest.raises(RuntimeError, match=r"3 servers died scoring 2 points of poison.* points 4 to 5"):
        list(pool.score(CHUNKS))
    pool.close()
    assert len(notes(store, f"chunk-4-{job.id}")) == 3


@pytest.mark.usefixtures("local_ray")
def test_an_error_of_the_evaluator_is_raised_as_it_is(store: Store) -> None:
    job, pool = cell("invalid", "aa", "bb"), make_pool(store, 1)
    pool.load(job)
    with pytest.raises(CornerMismatchError) as caught:
        list(pool.score(CHUNKS))
    pool.close()
    assert type(caught.value) is CornerMismatchError
    assert str(caught.value) == "point 4 of aa differs"
    assert len(notes(store, f"chunk-4-{job.id}")) == 1


@pytest.mark.usefixtures("local_ray")
def test_servers_without_room_are_an_error_and_do_not_hang(store: Store) -> None:
    pool = make_pool(store, 1, cpus=64)
    pool._start_seconds = 1
    with pytest.raises(RuntimeError, match="1 EndpointServers did not start within 1 s"):
        pool.load(cell("sound", "aa", "bb"))
    pool.close()


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_a_surface_with_one_server_takes_exactly_what_a_finetuning_takes(threads: int) -> None:
    [whole] = bundles("finetune", threads=threads, device="cpu", servers=1)
    coordinator, server = bundles("surface", threads=threads, device="cpu", servers=1)
    assert coordinator["CPU"] + server["CPU"] == whole["CPU"] == threads


def test_gpus_go_to_finetunings_and_servers_not_to_coordinators() -> None:
    assert bundles("pretrain", threads=2, device="cuda", servers=3) == [{"CPU": 2, "GPU": 1}]
    coordinator, *servers = bundles("surface", threads=2, device="cuda", servers=3)
    assert coordinator == {"CPU": 0.1}
    assert servers == [{"CPU": 1.9, "GPU": 1}, {"CPU": 2, "GPU": 1}, {"CPU": 2, "GPU": 1}]


def test_a_job_that_fits_nowhere_is_an_error() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    check_room("surface", [{"CPU": 0.1}, {"CPU": 3.9}, {"CPU": 2.0}], nodes)
    with pytest.raises(CapacityError, match="needs 5 CPU on one machine; found at most 4 CPU"):
        check_room("finetune", [{"CPU": 5.0}], nodes)
    with pytest.raises(CapacityError, match=r"needs 1 CPU and 1 GPU .*; found at most 4 CPU and 0 GPU"):
        check_room("finetune", [{"CPU": 1.0, "GPU": 1.0}], nodes)
    with pytest.raises(CapacityError, match="needs 8 CPU; found 6 CPU on all machines together"):
        check_room("surface", [{"CPU": 4.0}, {"CPU": 4.0}], nodes)


def test_devices_are_gpus_with_cpus_for_them_or_else_threads() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 9.0, "GPU": 8.0}},
        {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 4.0}},
        {"Alive": True, "Resources": {}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    assert count_devices(1, "cuda", nodes) == 8 + 4
    assert count_devices(2, "cuda", nodes) == 4 + 4
    assert count_devices(1, "cpu", nodes) == 25
    assert count_devices(4, "cpu", nodes) == 2 + 4


def test_a_ray_that_is_not_there(store: Store) -> None:
    job = finetune_job("pos", "aa")
    ray.shutdown()
    with pytest.raises(ClusterError, match=r"cannot connect to Ray at nowhere"):
        run(store, {job.id: job}, address="nowhere")


def test_a_new_ray_is_too_small_and_goes_with_the_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    ray.shutdown()
    before, handler = dict(os.environ), signal.getsignal(signal.SIGINT)
    job = finetune_job("pos", "aa")
    with pytest.raises(CapacityError, match="a finetune job needs 1000 CPU on one machine"):
        run(store, {job.id: job}, address="local", threads=1000)
    assert not ray.is_initialized()
    assert dict(os.environ) == before
    assert signal.getsignal(signal.SIGINT) is handler


def test_only_named_and_recorded_rays_are_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[str | None] = [None]
    monkeypatch.setattr(session, "read_ray_address", lambda: recorded[0])
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert session._address(RuntimeSpec()) == (None, False)
    with pytest.raises(ClusterError, match=r"found no Ray that `ray start` began .* Start it"):
        session._address(RuntimeSpec(address="auto"))
    recorded[0] = "10.0.0.1:6379"
    assert session._address(RuntimeSpec()) == ("10.0.0.1:6379", False)
    assert session._address(RuntimeSpec(address="auto")) == ("10.0.0.1:6379", True)
    assert session._address(RuntimeSpec(address="local")) == (None, True)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert session._address(RuntimeSpec()) == ("10.0.0.2:6379", True)
    assert session._address(RuntimeSpec(address="ray:1")) == ("ray:1", True)


def test_the_record_of_a_dead_ray_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    started: list[str] = []

    def init(address: str, **_: Any) -> Any:
        started.append(address)
        return SimpleNamespace(dashboard_url="")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(session, "read_ray_address", lambda: "127.0.0.1:1")
    monkeypatch.setattr(ray, "init", init)
    with ExitStack() as stack:
        assert session._connect(RuntimeSpec(), stack, said.append) == ("a new local Ray", True)
    assert started == ["local"]
    assert said == [
        "the Ray that `ray start` recorded here (127.0.0.1:1) does not answer; starting a new local one"
    ]


@pytest.mark.parametrize(
    ("gpus", "growing", "device", "lines"), [(0, True, "cpu", 1), (0, False, "cpu", 0), (2, True, "cuda", 0)]
)
def test_a_cluster_without_gpus_is_said_to_be_one(
    monkeypatch: pytest.MonkeyPatch, gpus: float, growing: bool, device: str, lines: int
) -> None:
    said: list[str] = []
    monkeypatch.setattr(session, "_resources", lambda: {"CPU": 4.0, "GPU": gpus})
    assert session._device(RuntimeSpec(), growing=growing, say=said.append) == device
    assert len(said) == lines
    assert all(
        "no GPU in the cluster (yet): running on CPU; set runtime.device=cuda" in line for line in said
    )


@pytest.mark.usefixtures("local_ray")
def test_a_watch_tells_a_ray_that_is_gone_from_one_that_is_there() -> None:
    watch = session.Watch(seconds=0)
    watch()
    watch._node = "another"
    with pytest.raises(session.Gone, match="no longer runs on the machine"):
        watch()
    watch._address = "127.0.0.1:1"
    for _ in range(session.WATCH_ATTEMPTS - 1):
        watch()
    with pytest.raises(session.Gone, match=r"127\.0\.0\.1:1 does not answer"):
        watch()


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("error", [LocalRayletDiedError("x"), ConnectionError("x"), SystemExit("x")])
def test_a_lost_ray_is_an_outcome(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    first, second = finetune_job("pos", "aa"), finetune_job("pos", "bb")

    def fit(searcher: JobSearcher, *_: Any) -> None:
        searcher.suggest("trial")
        for job in (first, second):
            store.write_json(f"{store.endpoint_path(job.id)}/DONE.json", {})
        raise error

    monkeypatch.setattr("xltray.cluster.run._fit", fit)
    outcome, _ = run(store, jobs_of(first, second))
    assert outcome.lost.startswith(f"Ray was lost: {type(error).__name__}")
    assert len(outcome.done) == 1, "what was running may have committed its result"
    assert not outcome.interrupted


def test_a_surfaces_coordinator_does_not_import_torch() -> None:
    script = (
        "import sys; from xltray.cluster.jobrunners import real_runners; import xltray.cluster.trial; "
        "real_runners(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


ALONE = """
import os, sys, test_cluster as t
from xltray.store import Store
os.environ.pop("RAY_ADDRESS", None)
job = t.finetune_job("pos", "aa")
print(*t.run(Store(sys.argv[1]), {job.id: job}))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_the_private_ray_of_another_run_is_left_alone(store: Store) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as empty:
        # No record of `ray start` there; running Rays are found wherever they keep their files.
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "RAY_TMPDIR": empty}
        command = [sys.executable, "-c", ALONE, store.uri]
        shown = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "1 jobs to run (1 finetune) on a new local Ray" in shown
    assert "lost=''" in shown


LOSS = """
import os, signal, sys, threading, time, test_cluster as t
import ray._private.worker as worker
from xltray.store import Store
store = Store(sys.argv[1])
jobs = t.jobs_of(*(t.finetune_job("slow", language) for language in ("aa", "bb", "cc")))
def kill():
    while not any(t.notes(store, id_) for id_ in jobs):
        time.sleep(0.1)
    for process in worker._global_node.all_processes[sys.argv[2]]:
        os.kill(process.process.pid, signal.SIGKILL)
threading.Thread(target=kill, daemon=True).start()
outcome, shown = t.run(store, jobs, address="local", threads=os.cpu_count())
print("lost:", outcome.lost, outcome.done, outcome.failed)
"""


@pytest.mark.slow
@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_a_ray_that_is_killed_does_not_take_the_run_with_it(store: Store, part: str) -> None:
    command = [sys.executable, "-c", LOSS, store.uri, part]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=False, timeout=150
    )
    assert done.returncode == 0
    assert "lost: Ray was lost" in done.stdout


SCRIPT = """
import sys, test_cluster as t
from xltray.store import Store
store = Store(sys.argv[1])
jobs = t.jobs_of(*(t.finetune_job("slow", language) for language in ("aa", "bb", "cc")))
outcome, shown = t.run(store, jobs, address="local")
print(shown)
print("interrupted", outcome.interrupted, outcome.done, outcome.failed, outcome.skipped)
print("torch imported", "torch" in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_run_in_good_order(store: Store, number: signal.Signals) -> None:
    command = [sys.executable, "-c", SCRIPT, store.uri]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not store.names("notes") and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        asked = time.monotonic()
        shown, _ = process.communicate(timeout=60)
    assert time.monotonic() - asked < 30, "jobs end at their next step; to their own end it is a minute"
    assert process.returncode == 0
    assert "stopping after the steps under way" in shown
    assert "interrupted True () {} {}" in shown
    assert "torch imported False" in shown
