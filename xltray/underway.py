"""What jobs that are under way have left in the store, to go on from.

checkpoints/<job id>/<step>-<random>/DONE.json                   of a training (``resume.py``)
surfaces/.../_<cell id>.parts/<weights>-<scope>-<first point>-<points>.parquet      (``surface.py``)
"""

from __future__ import annotations

from collections.abc import Iterable

from xltray.errors import StoreError
from xltray.fingerprint import fingerprint, short
from xltray.folders import DONE
from xltray.grid import Chunk
from xltray.jobs import Job, SurfaceJob
from xltray.store import CHECKPOINTS, WEIGHTS, Store

_SUFFIX = ".parquet"


def saved_shares(jobs: Iterable[Job], store: Store) -> dict[str, float | None]:
    """Return how much of each job is saved, from 0 to 1, by id; jobs of which nothing is are left out.

    None: something is there, but no telling how much.
    """
    trained = set(store.names(CHECKPOINTS))
    shares: dict[str, float | None] = {}
    for job in jobs:
        if isinstance(job, SurfaceJob):
            if names := store.names(store.parts_path(job)):
                shares[job.id] = _scored(job, store, names)
        elif job.id in trained:
            shares[job.id] = _trained(job, store)
    return shares


def part_name(weights: str, chunk: Chunk) -> str:
    """Return the name of the file with the rows of a chunk, scored with the models that ``weights`` names."""
    return f"{weights}-{chunk.scope}-{chunk.points[0]:05d}-{len(chunk.points)}{_SUFFIX}"


def own_parts(names: Iterable[str], weights: str) -> list[str]:
    """Return the names of parts that were scored with these models."""
    return [name for name in names if name.startswith(f"{weights}-") and name.endswith(_SUFFIX)]


def weights_id(job: SurfaceJob, store: Store) -> str:
    """Return what names the weights of the three endpoints; the same job may give others elsewhere.

    Raises:
        DamagedError: if an endpoint's DONE.json is not what xltray writes.
        StoreError: if an endpoint is not there.
    """
    folders = [store.endpoint_path(endpoint.id) for endpoint in job.endpoints.values()]
    return short(fingerprint([store.recorded_hash(folder, WEIGHTS) for folder in folders]))


def _scored(job: SurfaceJob, store: Store, names: Iterable[str]) -> float | None:
    try:
        own = own_parts(names, weights_id(job, store))
        points = sum(int(name.removesuffix(_SUFFIX).rpartition("-")[2]) for name in own)
    except (StoreError, ValueError):
        # Its endpoints are gone, or the parts are of another version.
        return None
    # A chunk may have been written twice, cut differently.
    return min(1.0, points / (len(job.grid) * len(job.scopes)))


def _trained(job: Job, store: Store) -> float | None:
    folder = store.checkpoints_path(job.id)
    for name in reversed(store.names(folder)):
        try:
            state = store.read_json(f"{folder}/{name}/{DONE}")["state"]
            return float(state["steps"] / state["total"])
        except (StoreError, KeyError, TypeError, ZeroDivisionError):
            # Being written, or just replaced by the next.
            continue
    return None
