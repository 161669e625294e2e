"""Score every point of one cell.

A ``CellEvaluator`` holds the three endpoints of a cell and the dev sets of its two languages on
one device, and scores chunks of points. ``score_surface`` is the job: it asks the store which
points are missing, feeds chunks to a pool of evaluators (in this process, or Ray actors), writes
each chunk's rows as a part, and when all points are there joins the parts into the cell's file.

The corners come first: their weights are bit-equal to the endpoints, so their counts must equal
those that were stored when the endpoints were fine-tuned. If they do not, the cell is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from xltray.endpoints import DevSet, build_model, load_dev_set, open_encoder
from xltray.errors import CornerMismatchError, EndpointError
from xltray.finetune import device_name
from xltray.fingerprint import fingerprint, short
from xltray.grid import CORNERS, Point
from xltray.job import JobContext, Progress
from xltray.nn.encoder import Encoder
from xltray.nn.flat import FlatLayout, FlatModel, Interpolator
from xltray.nn.optimisation import set_threads
from xltray.plan import SurfaceJob
from xltray.results import (
    Geometry,
    Score,
    geometry_table,
    missing_points,
    provenance,
    scores_of,
    surface_table,
)
from xltray.store import DONE


class Chunk(NamedTuple):
    """Some points of one scope, by index in the cell's grid."""

    scope: str
    points: tuple[int, ...]


class PointPool(Protocol):
    """Something that scores points of a cell: one evaluator, or many."""

    def load(self, job: SurfaceJob) -> None:
        """Take up a cell."""
        ...

    def score(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, list[Score]]]:
        """Score chunks of the cell taken up; yields each as it is finished, in any order."""
        ...


class CellEvaluator:
    """Three endpoints and two dev sets on one device. What cells share is kept between them."""

    def __init__(self, context: JobContext) -> None:
        set_threads(context.threads)
        self.context = context
        self._shared: _Shared | None = None

    def load(self, job: SurfaceJob) -> None:
        """Take up a cell: load its endpoints, and dev sets that are not there yet."""
        key = (job.encoder.content, job.task, job.bilingual_endpoint.recipe, job.bilingual_endpoint.parser)
        if self._shared is None or self._shared.key != key:
            self._shared = None  # first free what the last cells needed
            self._shared = _Shared(key, job, self.context)
        self.job = job
        self.dev_sets = {
            language: self._shared.dev_set(job, language) for language in (job.source, job.target)
        }
        endpoints = load_endpoints(job, self._shared.model, self.context)
        self.interpolator = Interpolator(
            self._shared.model,
            bilingual_P=endpoints["bilingual"],
            source_P=endpoints["source"],
            target_P=endpoints["target"],
        )

    def score(self, chunk: Chunk) -> list[Score]:
        """Score points on both languages."""
        return [
            score
            for index in chunk.points
            for score in self.score_point(self.job.grid.points[index], chunk.scope, index)
        ]

    def score_point(self, point: Point, scope: str = "all", index: int = -1) -> list[Score]:
        """Score any point, of the grid or not."""
        self.interpolator.set(point, scope)
        model: Any = self.interpolator.model.model
        scores = []
        for language, dev_set in self.dev_sets.items():
            evaluation = dev_set.score(model)
            scores += [
                Score(scope, index, language, metric, *counts, evaluation.loss, evaluation.examples)
                for metric, counts in evaluation.counts.items()
            ]
        return scores


class _Shared:
    """Model structure, tokenizer and dev sets: the same for all cells of an encoder and a task."""

    def __init__(self, key: object, job: SurfaceJob, context: JobContext) -> None:
        self.key = key
        self.context = context
        self.encoder: Encoder = open_encoder(job.encoder, context)
        self.model = FlatModel(build_model(job.bilingual_endpoint, self.encoder, context.device))
        self._dev_sets: dict[tuple[str, str, int | None], DevSet] = {}

    def dev_set(self, job: SurfaceJob, language: str) -> DevSet:
        """Return a dev set, tokenised at its first use."""
        endpoint = job.bilingual_endpoint
        key = (language, endpoint.data[language].dev, endpoint.max_dev)
        if key not in self._dev_sets:
            self._dev_sets[key] = load_dev_set(endpoint, language, self.encoder, self.context)
        return self._dev_sets[key]


def load_endpoints(job: SurfaceJob, model: FlatModel, context: JobContext) -> dict[str, Tensor]:
    """Load the three endpoints as flat vectors, by the names of the corners.

    Raises:
        EndpointError: if they did not start from identical weights, or cannot be used.
    """
    initial = {}
    weights = {}
    for corner, endpoint in job.endpoints.items():
        path = context.store.endpoint_path(endpoint.id)
        initial[corner] = context.store.read_json(f"{path}/{DONE}")["initial_weights"]
        weights[corner] = model.load(context.store.local_directory(path) / "model.safetensors")
    if len(set(initial.values())) != 1:
        found = ", ".join(f"{job.endpoints[corner].id}: {hash_[:12]}" for corner, hash_ in initial.items())
        raise EndpointError(
            f"{job.id}: the three endpoints started from different weights ({found}); expected the same. "
            "Delete these endpoints from the store and run the sweep again."
        )
    return weights


def score_surface(
    job: SurfaceJob, context: JobContext, pool: PointPool, *, points_per_chunk: int = 16
) -> Iterator[Progress]:
    """Score all missing points of a cell and write its files; yields after every chunk.

    Raises:
        CornerMismatchError: if a corner's counts differ from its endpoint's.
        EndpointError: if an endpoint cannot be used.
    """
    store = context.store
    origin = provenance(device=device_name(context.device))
    finished = store.exists(store.surface_path(job))
    scores = [] if finished else _stored_parts(job, context)
    # A geometry that stands alone may be of endpoints that were deleted and made again since.
    if not (finished or scores) or not store.exists(store.geometry_path(job)):
        store.write_table(store.geometry_path(job), geometry_table(job, measure(job, context), origin))
    if finished:
        return
    total = len(job.grid) * len(job.scopes)
    missing = missing_points(job, scores)
    yield Progress(total - len(missing), total, "points")
    weights = _weights(job, context)
    pool.load(job)
    for chunk, new in pool.score(chunks(job, missing, points_per_chunk)):
        check_corners(job, context, new)
        part = f"{weights}-{chunk.scope}-{chunk.points[0]:05d}-{len(chunk.points)}.parquet"
        store.write_table(f"{store.parts_path(job)}/{part}", surface_table(job, new, origin))
        scores += new
        yield Progress(total - len(missing_points(job, scores)), total, "points")
    store.write_table(store.surface_path(job), surface_table(job, scores, origin))
    store.delete(store.parts_path(job))


def chunks(job: SurfaceJob, missing: Sequence[tuple[str, int]], size: int) -> list[Chunk]:
    """Cut missing (scope, point) pairs into chunks, the corners first."""
    corners = [job.grid.index(point) for point in CORNERS.values() if point in job.grid]
    result = []
    for scope in job.scopes:
        points = [point for other, point in missing if other == scope]
        first = tuple(point for point in corners if point in points)
        rest = [point for point in points if point not in first]
        pieces = [first] if first else []
        pieces += [tuple(rest[start : start + size]) for start in range(0, len(rest), size)]
        result += [Chunk(scope, piece) for piece in pieces]
    return result


def check_corners(job: SurfaceJob, context: JobContext, scores: Sequence[Score]) -> None:
    """Compare the corners among ``scores`` with the counts of their endpoints.

    Raises:
        CornerMismatchError: naming the cell, the corner and the numbers.
    """
    for corner, point in CORNERS.items():
        if point not in job.grid:
            continue
        index, endpoint = job.grid.index(point), job.endpoints[corner]
        # With encoder or head alone, only the bilingual corner is an endpoint.
        own = [s for s in scores if s.point == index and (s.scope == "all" or corner == "bilingual")]
        if own:
            done = context.store.read_json(f"{context.store.endpoint_path(endpoint.id)}/{DONE}")
            _check_corner(job, corner, done, own)


def _check_corner(job: SurfaceJob, corner: str, done: Mapping[str, Any], scores: Sequence[Score]) -> None:
    endpoint = job.endpoints[corner]
    for score in scores:
        expected = done["counts"].get(score.language, {}).get(score.metric)
        found = [score.correct, score.predicted, score.gold]
        if expected is not None and found != expected:
            raise CornerMismatchError(
                f"cell {job.id}: at the {corner} corner, {score.metric} on {score.language} has counts "
                f"{found}; endpoint {endpoint.id} had {expected} when it was fine-tuned (on "
                f"{done['provenance'].get('device')}). The surface is refused. Was the endpoint made on "
                "another kind of device, or by another version? Delete it and run the sweep again."
            )


def measure(job: SurfaceJob, context: JobContext) -> list[Geometry]:
    """Return norms and angle of the two directions, over all parameters and over groups of them."""
    encoder = open_encoder(job.encoder, context)
    model = FlatModel(build_model(job.bilingual_endpoint, encoder, "cpu"))
    weights = load_endpoints(job, model, context)
    return [_geometry(part, places, weights) for part, places in parameter_groups(model.layout).items()]


def parameter_groups(layout: FlatLayout) -> dict[str, list[slice]]:
    """Group parameters: all, encoder, head, embeddings, and each layer of the encoder."""
    groups: dict[str, list[slice]] = {"all": [], "encoder": [], "head": []}
    for name, place in layout.slices():
        parts = name.split(".")
        layer = next((part for part in parts[:-1] if part.isdigit()), None)
        names = ["all", parts[0]]
        if parts[0] == "encoder":
            names.append("embeddings" if "embeddings" in parts else f"layer.{layer}" if layer else "rest")
        for group in names:
            groups.setdefault(group, []).append(place)
    return groups


def _geometry(part: str, places: Sequence[slice], weights: Mapping[str, Tensor]) -> Geometry:
    # In float64: the deltas are small against the weights, and there are many.
    src_src = tgt_tgt = src_tgt = 0.0
    for place in places:
        bilingual_P = weights["bilingual"][place].double()
        delta_src_P = weights["source"][place].double() - bilingual_P
        delta_tgt_P = weights["target"][place].double() - bilingual_P
        src_src += float(delta_src_P @ delta_src_P)
        tgt_tgt += float(delta_tgt_P @ delta_tgt_P)
        src_tgt += float(delta_src_P @ delta_tgt_P)
    norms = (src_src**0.5, tgt_tgt**0.5)
    angle = None
    if norms[0] and norms[1]:
        cosine = torch.tensor(src_tgt / (norms[0] * norms[1]), dtype=torch.float64).clamp(-1.0, 1.0)
        angle = float(torch.rad2deg(torch.acos(cosine)))
    return Geometry(part, sum(place.stop - place.start for place in places), *norms, angle)


def _weights(job: SurfaceJob, context: JobContext) -> str:
    """Return what names the weights of the three endpoints; the same job may give others elsewhere."""
    markers = [f"{context.store.endpoint_path(endpoint.id)}/{DONE}" for endpoint in job.endpoints.values()]
    files = [context.store.read_json(marker)["files"] for marker in markers]
    return short(fingerprint([file["model.safetensors"]["sha256"] for file in files]))


def _stored_parts(job: SurfaceJob, context: JobContext) -> list[Score]:
    """Return the scores of an earlier, unfinished run; a chunk may have been written twice.

    Parts of endpoints that have been deleted and made again since are left alone.
    """
    folder = context.store.parts_path(job)
    names = context.store.names(folder)
    own = f"{_weights(job, context)}-" if names else ""
    found = {
        (score.scope, score.point, score.language, score.metric): score
        for name in names
        if name.startswith(own) and name.endswith(".parquet")
        for score in scores_of(context.store.read_table(f"{folder}/{name}"))
    }
    return list(found.values())


class LocalPool:
    """A pool of one evaluator in this process."""

    def __init__(self, context: JobContext) -> None:
        self.evaluator = CellEvaluator(context)

    def load(self, job: SurfaceJob) -> None:
        """Take up a cell."""
        self.evaluator.load(job)

    def score(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, list[Score]]]:
        """Score chunks one after another."""
        for chunk in chunks:
            yield chunk, self.evaluator.score(chunk)
