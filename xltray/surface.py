"""Score every point of one cell.

``score_surface`` asks the store which points are missing, feeds chunks of them to a pool of
evaluators (one in this process, or Ray actors), writes each chunk's rows as a part, and when all
points are there joins the parts into the cell's file.

The corners come first: their weights are bit-equal to the endpoints, so their counts must equal
those that were stored when the endpoints were fine-tuned. If they do not, the cell is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from xltray.context import JobContext, Progress
from xltray.endpoints import weights_id
from xltray.errors import CornerMismatchError
from xltray.evaluator import CellEvaluator, Chunk
from xltray.geometry import measure
from xltray.grid import CORNERS
from xltray.jobs import SurfaceJob
from xltray.results import Score, geometry_table, missing_points, provenance, scores_of, surface_table
from xltray.store import DONE


class PointPool(Protocol):
    """Something that scores points of a cell: one evaluator, or many."""

    def load(self, job: SurfaceJob) -> str:
        """Take up a cell; returns what it is scored on, for the records."""
        ...

    def score(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, list[Score]]]:
        """Score chunks of the cell taken up; yields each as it is finished, in any order."""
        ...


def score_surface(
    job: SurfaceJob, context: JobContext, pool: PointPool, *, points_per_chunk: int = 16
) -> Iterator[Progress]:
    """Score all missing points of a cell and write its files; yields after every chunk.

    Raises:
        CornerMismatchError: if a corner's counts differ from its endpoint's.
        EndpointError: if an endpoint cannot be used.
    """
    store = context.store
    finished = store.exists(store.surface_path(job))
    scores = [] if finished else _stored_parts(job, context)
    # A geometry that stands alone may be of endpoints that were deleted and made again since.
    if not (finished or scores) or not store.exists(store.geometry_path(job)):
        store.write_table(
            store.geometry_path(job), geometry_table(job, measure(job, context), provenance(device="cpu"))
        )
    if finished:
        return
    total = len(job.grid) * len(job.scopes)
    missing = missing_points(job, scores)
    yield Progress(total - len(missing), total, "points")
    weights = weights_id(job, context)
    origin = provenance(device=pool.load(job))
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


def _stored_parts(job: SurfaceJob, context: JobContext) -> list[Score]:
    """Return the scores of an earlier, unfinished run; a chunk may have been written twice.

    Parts of endpoints that have been deleted and made again since are left alone.
    """
    folder = context.store.parts_path(job)
    names = context.store.names(folder)
    own = f"{weights_id(job, context)}-" if names else ""
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

    def load(self, job: SurfaceJob) -> str:
        """Take up a cell."""
        return self.evaluator.load(job)

    def score(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, list[Score]]]:
        """Score chunks one after another."""
        for chunk in chunks:
            yield chunk, self.evaluator.score(chunk)
