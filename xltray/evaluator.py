"""Score points of a cell on one device: the class behind every surface, usable without Ray.

evaluator = CellEvaluator(JobContext(Store("results/x"), sweep.data))
evaluator.load(job)                                       # a SurfaceJob of the plan
evaluator.score_point(Point(Fraction(1, 2), Fraction(0)))

``cells.py`` finds the job by the cell's id and gives rows; ``cluster/server.py`` makes an actor of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from torch import Tensor

from xltray.context import JobContext
from xltray.endpoints import (
    DevSet,
    build_model,
    check_corner,
    load_dev_set,
    load_endpoints,
    open_encoder,
)
from xltray.errors import EndpointError
from xltray.geometry import measure
from xltray.grid import CORNERS, Chunk, Point
from xltray.jobs import SurfaceJob
from xltray.nn.device import device_name, set_threads
from xltray.nn.encoder import Encoder
from xltray.nn.flat import FlatModel, Interpolator
from xltray.nn.half import HalfTwin
from xltray.nn.model import EndpointModel
from xltray.nn.word_rows import word_rows
from xltray.precision import COMPARED, HALF, Scoring, judge
from xltray.results import Geometry, Score
from xltray.tasks.base import Predicted


class CellEvaluator:
    """Three endpoints and a cell's dev sets on one device. What cells share is kept between them."""

    def __init__(self, context: JobContext) -> None:
        set_threads(context.threads)
        self.context = context
        self._shared: _Shared | None = None
        self._interpolator: Interpolator | None = None
        self._half: HalfTwin | None = None

    def load(self, job: SurfaceJob) -> Scoring:
        """Take up a cell: load its endpoints, and dev sets that are not there yet.

        The corners are scored and compared with the endpoints' own counts, whether the grid holds
        them or not, so that nothing is ever scored on a device that disagrees with the one that
        the endpoints were made on.

        Returns:
            What the cell is scored on and in, for the records: in half precision only if the sweep asks
            for it and the scores allow it (``precision.py``).

        Raises:
            CornerMismatchError: naming the cell, the corner and the numbers.
            DamagedError: if an endpoint is not what was written.
            EndpointError: if it cannot be used.
        """
        key = (job.encoder.content, job.task, job.bilingual_endpoint.recipe, job.bilingual_endpoint.parser)
        self._interpolator = self._half = None  # first free what the last cell needed
        if self._shared is None or self._shared.key != key:
            self._shared = None
            self._shared = _Shared(key, job, self.context)
        self.job = job
        self.dev_sets = {language: self._shared.dev_set(job, language) for language in job.languages}
        model = self._shared.model
        # Made before the endpoints come, when there is most room.
        half = self._shared.half if job.evaluation.dtype == HALF else None
        self._interpolator = self._between(model, load_endpoints(job, model, self.context))
        for corner, point in CORNERS.items():
            check_corner(job, corner, self.score_point(point), self.context)
        device = device_name(self.context.device)
        return Scoring(device) if half is None else self._choose(half, device)

    def score_in_full(self) -> None:
        """Score the cell taken up in full precision from now on, whatever was chosen."""
        self._half = None

    def geometry(self) -> list[Geometry]:
        """Measure norms and angle of the cell taken up."""
        return measure(self._held().model.layout, self._held().endpoints)

    def score(self, chunk: Chunk) -> list[Score]:
        """Score points on all languages of the cell; one is read when the next has been queued."""
        scores: list[Score] = []
        before: Callable[[], list[Score]] = list
        for index in chunk.points:
            queued = self._queue(self.job.grid.points[index], chunk.scope, index)
            scores += before()
            before = queued
        return scores + before()

    def score_point(self, point: Point, scope: str = "all", index: int = -1) -> list[Score]:
        """Score any point of the cell taken up, of the grid or not."""
        return self._queue(point, scope, index)()

    def predict_point(self, point: Point, scope: str = "all") -> dict[str, list[Predicted]]:
        """Return what ``score_point`` counts: the predictions on each language's dev set, in its order."""
        model = self._model_at(point, scope)
        return {language: dev_set.predict(model) for language, dev_set in self.dev_sets.items()}

    def _queue(self, point: Point, scope: str, index: int) -> Callable[[], list[Score]]:
        """Have the device score a point, and return what waits for it."""
        model = self._model_at(point, scope)
        pending = {language: dev_set.queue(model) for language, dev_set in self.dev_sets.items()}

        def read() -> list[Score]:
            return [
                Score(scope, index, language, metric, *counts, evaluation.loss, evaluation.examples)
                for language, evaluation in ((language, wait()) for language, wait in pending.items())
                for metric, counts in evaluation.counts.items()
            ]

        return read

    def _between(self, model: FlatModel, endpoints: Mapping[str, Tensor]) -> Interpolator:
        # No batch reads other rows than these: the dev sets are all that the model is run on.
        batches = [batch.packed for dev_set in self.dev_sets.values() for batch in dev_set.batches]
        return Interpolator(
            model,
            bilingual_P=endpoints["bilingual"],
            source_P=endpoints["source"],
            target_P=endpoints["target"],
            rows=word_rows(cast("EndpointModel", model.model), batches),
        )

    def _choose(self, half: HalfTwin, device: str) -> Scoring:
        """Choose between half and full precision by the scores of a few points."""
        in_full = [self.score_point(point) for point in COMPARED]
        self._half = half
        in_half = [self.score_point(point) for point in COMPARED]
        scoring = judge(in_full, in_half, device)
        if scoring.dtype != HALF:
            self._half = None
        return scoring

    def _model_at(self, point: Point, scope: str) -> Any:
        interpolator = self._held()
        interpolator.set(point, scope)
        return self._half.following(interpolator.model) if self._half else interpolator.model.model

    def _held(self) -> Interpolator:
        if self._interpolator is None:
            raise EndpointError("no cell has been loaded; call load first")
        return self._interpolator


class LocalPool:
    """A pool of points (``xltray.surface``) of one evaluator in this process."""

    def __init__(self, context: JobContext) -> None:
        self.evaluator = CellEvaluator(context)

    def load(self, job: SurfaceJob) -> Scoring:
        """Take up a cell."""
        return self.evaluator.load(job)

    def geometry(self) -> list[Geometry]:
        """Measure norms and angle of the cell taken up."""
        return self.evaluator.geometry()

    def score(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, list[Score]]]:
        """Score chunks one after another."""
        for chunk in chunks:
            yield chunk, self.evaluator.score(chunk)


class _Shared:
    """Model structure, tokenizer and dev sets: the same for all cells of an encoder and a task."""

    def __init__(self, key: object, job: SurfaceJob, context: JobContext) -> None:
        self.key = key
        self.context = context
        self.encoder: Encoder = open_encoder(job.encoder, context)
        self.model = FlatModel(build_model(job.bilingual_endpoint, self.encoder, context.device))
        self._dev_sets: dict[tuple[str, str, int | None], DevSet] = {}

    @cached_property
    def half(self) -> HalfTwin:
        """The model's twin in half precision, made at its first use."""
        return HalfTwin(cast("EndpointModel", self.model.model))

    def dev_set(self, job: SurfaceJob, language: str) -> DevSet:
        """Return a dev set, tokenised at its first use."""
        endpoint = job.reader
        key = (language, endpoint.data[language].dev, endpoint.max_dev)
        if key not in self._dev_sets:
            self._dev_sets[key] = load_dev_set(endpoint, language, self.encoder, self.context)
        return self._dev_sets[key]
