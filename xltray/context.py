"""What every job is given, and what it tells while it runs.

A job is a generator: it yields ``Progress`` every now and then and has written its result to the
store when it ends. Whoever drives it (a Tune trial, a test, a notebook) decides when to go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from xltray.spec import DataSpec
from xltray.store import Store


class Progress(NamedTuple):
    """How far a job is, in its own unit (``steps`` of training, ``points`` of a surface).

    The first one says where the job begins: above 0 if an earlier run has left something to go on from.
    ``scores`` are for trackers such as TensorBoard: of the validation just made, by name.
    """

    done: int
    total: int
    unit: str
    scores: Mapping[str, float] | None = None


@dataclass(frozen=True)
class JobContext:
    """Where a job reads and writes, and what it computes on."""

    store: Store
    data: DataSpec
    device: str = "cpu"
    threads: int = 1
    checkpoint_seconds: float = 60.0
    """A training is saved once so many seconds of work would be lost: pretraining at any step, fine-tuning at
    a validation; 0: at each."""
