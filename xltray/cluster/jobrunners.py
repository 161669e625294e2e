"""Which function runs which kind of job.

Only workers import what runs jobs, and with it torch. A trial is told by name ("module:function")
where to get its table from, so tests run the whole machinery with functions of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from xltray.context import JobContext, Progress
from xltray.jobs import FinetuneJob, PretrainJob, SurfaceJob
from xltray.spec import DataSpec
from xltray.store import Store

if TYPE_CHECKING:
    from xltray.evaluator import Chunk
    from xltray.results import Score
    from xltray.surface import PointPool

REAL = "xltray.cluster.jobrunners:real_runners"


class Evaluator(Protocol):
    """Scores points of one cell; ``xltray.evaluator.CellEvaluator``."""

    def load(self, job: SurfaceJob) -> str:
        """Hold the endpoints and dev sets of a cell; returns the device that it is scored on."""
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
    """What runs each kind of job, and what an EndpointServer wraps.

    ``prepare`` is called in a trial's process before each job, whatever its kind.
    """

    pretrain: Callable[[PretrainJob, JobContext], Iterator[Progress]]
    finetune: Callable[[FinetuneJob, JobContext], Iterator[Progress]]
    surface: SurfaceRunner
    evaluator: Callable[[JobContext], Evaluator]
    prepare: Callable[[JobContext], None]


def real_runners() -> JobRunners:
    """Return what runs the jobs of a sweep."""
    from xltray.evaluator import CellEvaluator
    from xltray.finetune import finetune
    from xltray.nn.device import set_threads
    from xltray.pretrain import pretrain
    from xltray.surface import score_surface

    def prepare(context: JobContext) -> None:
        # A surface's coordinator computes too: it measures geometry.
        set_threads(context.threads)

    return JobRunners(pretrain, finetune, score_surface, CellEvaluator, prepare)


def find_runners(name: str) -> JobRunners:
    """Return the table that a function named "module:function" gives."""
    module, _, function = name.partition(":")
    return cast(JobRunners, getattr(import_module(module), function)())


def make_context(config: Mapping[str, Any]) -> JobContext:
    """Build a job's context from a trial's configuration."""
    return JobContext(
        store=Store(config["storage"]),
        data=DataSpec.model_validate_json(config["data"]),
        device=config["device"],
        threads=config["threads"],
    )
