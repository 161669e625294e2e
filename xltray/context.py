"""What every job is given, and what it tells while it runs.

A job is a generator: it yields ``Progress`` every now and then and has written its result to the
store when it ends. Whoever drives it (a Tune trial, a test, a notebook) decides when to go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Member(NamedTuple):
    """The place of a process among those that fine-tune one model together (``xltray.group``)."""

    rank: int = 0
    size: int = 1
    port: int = 0
    """Where the first one is reached, on this machine."""
    store: Any = None
    """Of the first one: what the others reach."""

    @property
    def leads(self) -> bool:
        """Whether it is the first, which validates and writes; the others only train."""
        return self.rank == 0


ALONE = Member()


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
    member: Member = ALONE
    """Of a fine-tuning: the place of this process among those that share its batches."""
