"""What a sweep will need, without running it: parameters, disk, evaluations."""

from __future__ import annotations

from typing import NamedTuple

from xltray.jobs import FinetuneJob, PretrainJob, SurfaceJob
from xltray.plan import Plan

# Surfaces as zstd Parquet: a row takes 8 to 12 bytes on the paper's grid, parsing has three rows an
# evaluation, and each of a cell's two files has some 10 kB of schema and statistics.
BYTES_PER_EVALUATION = 30
BYTES_PER_CELL = 20_000
BYTES_PER_WEIGHT = 4


class Estimate(NamedTuple):
    """Disk need in bytes; ``unknown`` names encoders whose size the sweep file does not say."""

    encoders: int
    endpoints: int
    results: int
    unknown: tuple[str, ...]

    @property
    def total(self) -> int:
        """All of it."""
        return self.encoders + self.endpoints + self.results


def estimate(plan: Plan) -> Estimate:
    """Estimate the disk that a plan's results take; task heads, under 1%, are left out."""
    sizes = {name: encoder.known_parameters for name, encoder in plan.sweep.encoders.items()}
    weights = {name: BYTES_PER_WEIGHT * (size or 0) for name, size in sizes.items()}
    encoders = sum(weights[job.name] for job in plan.jobs.values() if isinstance(job, PretrainJob))
    endpoints = sum(weights[job.encoder.name] for job in plan.jobs.values() if isinstance(job, FinetuneJob))
    cells = sum(isinstance(job, SurfaceJob) for job in plan.jobs.values())
    results = BYTES_PER_EVALUATION * plan.evaluations + BYTES_PER_CELL * cells
    unknown = tuple(name for name, size in sizes.items() if size is None)
    return Estimate(encoders, endpoints, results, unknown)
