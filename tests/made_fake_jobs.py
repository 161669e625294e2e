"""Functions in the place of real jobs, small sweeps of them, and a run of these on a local Ray.

The fakes note each run of a job as a file in the store (id, process id, attempt) and commit what
the store takes for a result. A fake's task says how it behaves.
"""

from __future__ import annotations

import io
import itertools
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import ray
from rich.console import Console

from xltray.cluster.jobrunners import JobRunners
from xltray.cluster.run import RunOutcome, run_plan
from xltray.context import JobContext, Progress
from xltray.errors import CornerMismatchError
from xltray.grid import Chunk
from xltray.jobs import EncoderRef, FinetuneJob, Job, LanguageData, PretrainJob, SurfaceJob
from xltray.plan import Plan
from xltray.precision import Scoring
from xltray.results import Geometry, Score
from xltray.spec import DataSpec, EncoderSpec, FinetuneSpec, PretrainSpec, SweepSpec
from xltray.spec_runtime import RuntimeSpec
from xltray.store import Store

if TYPE_CHECKING:
    from xltray.surface import PointPool

FAKES = "made_fake_jobs:fake_runners"


# What workers run.


def note(store: Store, id_: str, **more: Any) -> int:
    """Leave a file that says that a job ran here; return how often it ran before."""
    store.write_json(f"notes/{id_}/{uuid.uuid4().hex}.json", {"id": id_, "pid": os.getpid(), **more})
    # Listed once it is there: servers of one cell leave their notes at the same time.
    return len(notes(store, id_)) - 1


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
    assert pool.load(job) == Scoring("abacus")
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
        context.store.write_table(path, pa.table({"made": ["up"]}))


TORN = (Scoring("abacus", "bfloat16", "may"), Scoring("slide rule", why="may not"))


def claimed(store: Store, id_: str) -> int:
    """Return the next number of a job: each to one process alone."""
    for number in itertools.count():
        folder = Path(store.uri) / "claims" / id_ / str(number)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return number
    raise AssertionError("numbers do not end")


class FakeEvaluator:
    """Scores a point as its server's process id; the cell's task says how it fails."""

    def __init__(self, context: JobContext) -> None:
        self.store = context.store
        self.job: SurfaceJob

    def load(self, job: SurfaceJob) -> Scoring:
        self.job = job
        note(self.store, f"load-{job.id}")
        # The second server may not, as on another kind of device.
        if job.task == "torn":
            return TORN[1] if claimed(self.store, job.id) == 1 else TORN[0]
        return Scoring("abacus")

    def score_in_full(self) -> None:
        note(self.store, f"full-{self.job.id}")

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


# Jobs, and a run of them.


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


def run(
    store: Store, jobs: dict[str, Job], *, data: DataSpec | None = None, **runtime: Any
) -> tuple[RunOutcome, str]:
    usual = {
        "dashboard": False,
        "points_per_chunk": 2,
        "servers_per_surface": 1,
        "retries": 0,
        "retries_after_loss": 0,
        "device": "cpu",
    }
    options = {**usual, **runtime}
    sweep = SweepSpec(
        name="test",
        data=data or DataSpec(),
        tasks=("pos",),
        pairs={"aa": ("bb",)},
        encoders={"toy": EncoderSpec(checkpoint="none")},
        runtime=RuntimeSpec(**options),
    )
    out = io.StringIO()
    outcome = run_plan(Plan(sweep, jobs), jobs, store, console=Console(file=out, width=200), runners=FAKES)
    return outcome, out.getvalue()
