"""Which function runs which kind of job.

Only workers import what runs jobs, and with it torch. A trial is told by name ("module:function")
where to get its table from, so tests run the whole machinery with functions of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from xltray.context import JobContext, Progress
from xltray.files import ABSENCE_SECONDS, PATIENCE_SECONDS
from xltray.jobs import FinetuneJob, PretrainJob, SurfaceJob
from xltray.spec import DataSpec
from xltray.store import Store

if TYPE_CHECKING:
    from xltray.grid import Chunk
    from xltray.precision import Scoring
    from xltray.results import Geometry, Score
    from xltray.surface import PointPool

REAL = "xltray.cluster.jobrunners:real_runners"


class Evaluator(Protocol):
    """Scores points of one cell; ``xltray.evaluator.CellEvaluator``."""

    def load(self, job: SurfaceJob) -> Scoring:
        """Hold the endpoints and dev sets of a cell; returns what it is scored on and in."""
        ...

    def score_in_full(self) -> None:
        """Score the cell in full precision from now on, whatever was chosen."""
        ...

    def geometry(self) -> list[Geometry]:
        """Measure norms and angle of the cell."""
        ...

    def score(self, chunk: Chunk) -> list[Score]:
        """Score some points of the cell."""
        ...


class SurfaceRunner(Protocol):
    """Scores a cell; ``xltray.surface.score_surface``."""

    def __call__(
        self, job: SurfaceJob, context: JobContext, pool: PointPool, *, points_per_chunk: int
    ) -> Iterator[Progress]:
        """Score the missing points of a cell and write its files."""
        ...


class JobRunners(NamedTuple):
    """What runs each kind of job, and what an EndpointServer wraps."""

    pretrain: Callable[[PretrainJob, JobContext], Iterator[Progress]]
    finetune: Callable[[FinetuneJob, JobContext], Iterator[Progress]]
    surface: SurfaceRunner
    evaluator: Callable[[JobContext], Evaluator]


def real_runners() -> JobRunners:
    """Return what runs the jobs of a sweep.

    Each is imported when it first runs: a surface's coordinator only hands out points and writes
    rows, and needs no torch (some 300 MB).
    """
    from xltray.surface import score_surface

    def pretrain(job: PretrainJob, context: JobContext) -> Iterator[Progress]:
        from xltray.pretrain import pretrain

        return pretrain(job, context)

    def finetune(job: FinetuneJob, context: JobContext) -> Iterator[Progress]:
        from xltray.finetune import finetune

        return finetune(job, context)

    def evaluator(context: JobContext) -> Evaluator:
        from xltray.evaluator import CellEvaluator

        return CellEvaluator(context)

    return JobRunners(pretrain, finetune, score_surface, evaluator)


def find_runners(name: str) -> JobRunners:
    """Return the table that a function named "module:function" gives."""
    module, _, function = name.partition(":")
    return cast(JobRunners, getattr(import_module(module), function)())


def make_context(config: Mapping[str, Any]) -> JobContext:
    """Build a job's context from a trial's configuration."""
    store = Store(config["storage"])
    store.patience, store.absence_patience = PATIENCE_SECONDS, ABSENCE_SECONDS
    return JobContext(
        store=store,
        data=DataSpec.model_validate_json(config["data"]),
        device=config["device"],
        threads=config["threads"],
        checkpoint_seconds=config["checkpoint_seconds"],
    )
