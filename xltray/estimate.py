"""What a sweep will need, without running it: parameters, disk, evaluations."""

from __future__ import annotations

from typing import NamedTuple

from xltray.jobs import FinetuneJob, PretrainJob
from xltray.plan import Plan
from xltray.spec import PretrainSpec, SweepSpec

# A row of surfaces as zstd Parquet, measured on the paper's grid (8 to 12 bytes); rounded up.
BYTES_PER_ROW = 16
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
    sizes = {name: parameters(plan.sweep, name) for name in plan.sweep.encoders}
    weights = {name: BYTES_PER_WEIGHT * (size or 0) for name, size in sizes.items()}
    encoders = sum(weights[job.name] for job in plan.jobs.values() if isinstance(job, PretrainJob))
    endpoints = sum(weights[job.encoder.name] for job in plan.jobs.values() if isinstance(job, FinetuneJob))
    unknown = tuple(name for name, size in sizes.items() if size is None)
    return Estimate(encoders, endpoints, BYTES_PER_ROW * plan.evaluations, unknown)


def parameters(sweep: SweepSpec, name: str) -> int | None:
    """Return the number of parameters of an encoder, as far as the sweep file says."""
    encoder = sweep.encoders[name]
    if encoder.pretrain is None:
        return encoder.parameters
    return bert_parameters(encoder.pretrain)


def bert_parameters(spec: PretrainSpec) -> int:
    """Return the number of parameters of a BERT without pooler (Devlin et al. 2019)."""
    size = spec.hidden_size
    norm = 2 * size
    embeddings = (spec.vocabulary + spec.max_positions + 2) * size + norm
    attention = 4 * (size * size + size) + norm
    feed_forward = 2 * 4 * size * size + 4 * size + size + norm
    return embeddings + spec.layers * (attention + feed_forward)
