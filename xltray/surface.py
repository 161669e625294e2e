"""Score every point of one cell.

``score_surface`` asks the store which points are missing, feeds chunks of them to a pool of
evaluators (one in this process, or Ray actors), writes each chunk's rows as a part, and when all
points are there joins the parts into the cell's file.

Every evaluator compares the corners of the plane with the endpoints' own counts before it scores
anything of a cell (``evaluator.py``); if they differ, the cell is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

from xltray.context import JobContext, Progress
from xltray.errors import DamagedFileError
from xltray.grid import Chunk
from xltray.jobs import SurfaceJob
from xltray.learned import not_learned
from xltray.precision import FULL, HALF, SEPARATOR, Scoring
from xltray.results import (
    Geometry,
    Score,
    geometry_table,
    missing_points,
    provenance,
    scores_of,
    surface_table,
)
from xltray.underway import own_parts, part_name, weights_id

_log = logging.getLogger(__name__)


class PointPool(Protocol):
    """Something that scores points of a cell: one evaluator, or many."""

    def load(self, job: SurfaceJob) -> Scoring:
        """Take up a cell; returns what it is scored on and in, for the records."""
        ...

    def geometry(self) -> list[Geometry]:
        """Measure norms and angle of the cell taken up."""
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
        DamagedError: if an endpoint is not what was written.
        EndpointError: if it cannot be used.
    """
    store = context.store
    finished = store.is_whole(store.surface_path(job))
    scores, devices = ([], set()) if finished else _stored_parts(job, context, (FULL, HALF))
    # A geometry that stands alone may be of endpoints that were deleted and made again since.
    measured = bool(finished or scores) and store.is_whole(store.geometry_path(job))
    if finished and measured:
        store.delete(store.parts_path(job))
        return
    total = len(job.grid) * len(job.scopes)
    missing = [] if finished else missing_points(job, scores)
    if missing:
        yield Progress(total - len(missing), total, "points")
    scoring = pool.load(job)
    if scores and job.evaluation.dtype != FULL:
        # The device may be another than the one that began, and choose otherwise: then all is scored anew.
        scores, devices = _stored_parts(job, context, (scoring.dtype,))
        missing = missing_points(job, scores)
    unlearned = not_learned(job, store)
    if not measured:
        # Endpoints are float32, whatever points are scored in.
        table = geometry_table(job, pool.geometry(), provenance(device=scoring.device), not_learned=unlearned)
        store.write_table(store.geometry_path(job), table)
    if finished:
        return
    origin = provenance(**scoring.records())
    if unlearned is not None:
        origin["not_learned"] = unlearned
    weights = weights_id(job, store)
    for chunk, new in pool.score(chunks(job, missing, points_per_chunk)):
        part = f"{store.parts_path(job)}/{part_name(weights, chunk)}"
        store.write_table(part, surface_table(job, new, origin))
        scores += new
        yield Progress(total - len(missing_points(job, scores)), total, "points")
    # A part says on which devices it may have been scored, the whole all of them.
    origin["device"] = SEPARATOR.join(sorted(devices | set(scoring.device.split(SEPARATOR))))
    store.write_table(store.surface_path(job), surface_table(job, scores, origin))
    store.delete(store.parts_path(job))


def chunks(job: SurfaceJob, missing: Sequence[tuple[str, int]], size: int) -> list[Chunk]:
    """Cut missing (scope, point) pairs into chunks of one scope."""
    result = []
    for scope in job.scopes:
        points = [point for other, point in missing if other == scope]
        result += [Chunk(scope, tuple(points[start : start + size])) for start in range(0, len(points), size)]
    return result


def _stored_parts(
    job: SurfaceJob, context: JobContext, dtypes: Sequence[str]
) -> tuple[list[Score], set[str]]:
    """Return the scores of an earlier, unfinished run in these types, and the devices that made them.

    A chunk may have been written twice. Parts of endpoints that have been deleted and made again
    since are left alone. Damaged ones are deleted: their points are scored again.
    """
    folder = context.store.parts_path(job)
    names = context.store.names(folder)
    own = own_parts(names, weights_id(job, context.store)) if names else []
    found: dict[tuple[object, ...], Score] = {}
    devices = set()
    for name in own:
        try:
            table = context.store.read_table(f"{folder}/{name}")
        except DamagedFileError as damage:
            _log.warning("a part of %s is deleted, and its points are scored again: %s", job.id, damage)
            context.store.delete(f"{folder}/{name}")
            continue
        if table.schema.metadata[b"xltray.dtype"].decode() not in dtypes:
            continue
        devices |= set(table.schema.metadata[b"xltray.device"].decode().split(SEPARATOR))
        found |= {(s.scope, s.point, s.language, s.metric): s for s in scores_of(table)}
    return list(found.values()), devices
