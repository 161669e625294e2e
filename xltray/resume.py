"""Checkpoints of a training that is under way: one that lost its machine goes on from the last.

    checkpoints/<job id>/<step>-<random>/      weights.safetensors  history.parquet  DONE.json

A checkpoint holds all that the next step depends on: weights, the optimiser's moments, the state of
random numbers, the places of the schedule and in the data, and what was found so far: by validation of a
fine-tuning, in a history, and in DONE.json. On a CPU the weights at the end are, bit for bit, those of a
run that nothing disturbed. On a GPU, sums are not added in the same order twice anyway; and on another
kind of device, with other versions or threads, nothing promises equal bits. ``Origin`` tells these cases
apart, and the result's DONE.json says which one it was (``resumed``).

A new checkpoint is whole before an older one goes, so that there is one at any moment. Losing one loses
time and no result: what is damaged is passed over.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from torch import Tensor

from xltray.context import JobContext
from xltray.errors import DamagedError, StoreError
from xltray.folders import DONE
from xltray.nn.device import device_name
from xltray.nn.weight_file import write_tensors
from xltray.results import provenance
from xltray.schemas import HISTORY_SCHEMA

_ROWS = pa.schema([field for field in HISTORY_SCHEMA if field.name != "selected"])
_WEIGHTS, _HISTORY = "weights.safetensors", "history.parquet"
MOST_SHARE = 0.05
"""Of the time of a training, what writing checkpoints may take at most: those of large models are GB."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """What decides, besides the job, which bits a training step gives."""

    device: str
    threads: int
    cpu: str
    versions: Mapping[str, str]
    processes: int = 1

    @classmethod
    def here(cls, context: JobContext) -> Origin:
        """Return that of this process."""
        known = provenance()
        versions: dict[str, str] = {
            name: known[name] for name in ("xltray", "torch", "transformers") if name in known
        }
        return cls(
            device_name(context.device),
            context.threads,
            torch.backends.cpu.get_cpu_capability(),
            versions,
            context.member.size,
        )

    def repeats(self, other: Origin) -> bool:
        """Whether a training that goes on here gives the bits that it would have given there."""
        return self == other and self.device == "cpu"


class Checkpoint(NamedTuple):
    """Where a training stands."""

    state: Mapping[str, Any]
    """Plain values, as JSON has them: ``steps`` of ``total`` done, ``initial``, the hash of the weights that
    training started from, ``resumed`` as in DONE.json, and what the kind of training needs."""
    rows: list[dict[str, Any]]
    """The history so far (``results.HISTORY_SCHEMA``, except ``selected``); of a pretraining, none."""
    tensors: Mapping[str, Tensor]
    """On the CPU."""


class Found(NamedTuple):
    """A checkpoint to go on from."""

    checkpoint: Checkpoint
    exact: bool
    """Whether the end will have the bits of a run that nothing disturbed."""
    resumed: list[dict[str, Any]]
    """What DONE.json is to say of it, and of those before it."""


class Checkpoints:
    """The checkpoints of one training: after ``context.checkpoint_seconds`` of work, 0 for all."""

    def __init__(self, job_id: str, context: JobContext) -> None:
        """Keep those of a job in the context's store."""
        self.store = context.store
        self.job_id = job_id
        self.folder = self.store.checkpoints_path(job_id)
        self.origin = Origin.here(context)
        self._seconds = context.checkpoint_seconds
        self._written = time.monotonic()
        self._took = 0.0

    @property
    def is_due(self) -> bool:
        """Whether enough work would be lost for a checkpoint to be worth its cost."""
        if not self._seconds:
            return True
        return time.monotonic() - self._written >= max(self._seconds, self._took / MOST_SHARE)

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and remove older ones. If store or disk refuse, training goes on without."""
        begin = time.monotonic()
        name = f"{checkpoint.state['steps']:08d}-{uuid.uuid4().hex[:8]}"
        try:
            older = self.store.names(self.folder)
            with tempfile.TemporaryDirectory() as place:
                local = Path(place)
                write_tensors(checkpoint.tensors, local / _WEIGHTS)
                pq.write_table(pa.Table.from_pylist(checkpoint.rows, schema=_ROWS), local / _HISTORY)
                done = {"job": self.job_id, "state": checkpoint.state, "origin": asdict(self.origin)}
                done["sum"] = checksum(done)
                self.store.publish_directory(local, f"{self.folder}/{name}", done)
            for other in older:
                self.store.delete(f"{self.folder}/{other}")
        except (StoreError, OSError) as error:
            _log.warning("no checkpoint after step %s: %s", checkpoint.state["steps"], error)
            # What there is of it may be what fills the disk.
            with suppress(StoreError):
                self.store.delete(f"{self.folder}/{name}")
        self._written = time.monotonic()
        self._took = self._written - begin

    def latest(self, initial: str) -> Found | None:
        """Return the last whole checkpoint of this job; None if there is none.

        Args:
            initial: a hash of the weights that the training starts from here; a checkpoint of one that
                started from others is passed over.

        Raises:
            StoreError: if the store cannot be read. A checkpoint passed over for that would be lost, for the
                training would begin again and write others in its place.
        """
        for name in reversed(self.store.names(self.folder)):
            try:
                checkpoint, origin = self._read(f"{self.folder}/{name}", initial)
                exact = self.origin.repeats(origin)
                step = {"step": checkpoint.state["steps"], "exact": exact, "from": asdict(origin)}
                return Found(checkpoint, exact, [*checkpoint.state["resumed"], step])
            # Whatever is wrong with it: of a version that wrote other fields, cut short, bits flipped.
            except (StoreError, OSError, KeyError, TypeError, ValueError) as error:
                if isinstance(error, StoreError) and not _is_broken(error):
                    raise
                _log.warning("the checkpoint %s/%s is passed over: %s", self.folder, name, error)
        return None

    def clear(self) -> None:
        """Remove all checkpoints: the job is done."""
        self.store.delete(self.folder)

    def _read(self, path: str, initial: str) -> tuple[Checkpoint, Origin]:
        if not self.store.exists(f"{path}/{DONE}"):
            # Not waited for, as what has to be there is.
            raise ValueError("found no DONE.json: it was cut off while it was written")
        done = self.store.read_json(f"{path}/{DONE}")
        if done["job"] != self.job_id:
            raise ValueError(f"found one of job {done['job']}, expected one of {self.job_id}")
        if done["state"]["initial"] != initial:
            raise ValueError("found one of a training that started from other weights, expected the same")
        if done["sum"] != checksum(done):
            raise ValueError("found other values in DONE.json than were written")
        with tempfile.TemporaryDirectory() as place:
            # A copy even of a store on this machine: its bytes are compared with what was written.
            local = Path(place) / "checkpoint"
            self.store.fetch_directory(path, local)
            rows = pq.read_table(local / _HISTORY).to_pylist()
            # Copies: the library's tensors are views of the file, which goes.
            tensors = {name: tensor.clone() for name, tensor in load_file(local / _WEIGHTS).items()}
        return Checkpoint(done["state"], rows, tensors), Origin(**done["origin"])


def checksum(done: Mapping[str, Any]) -> str:
    """Return a checksum of what DONE.json says of a training; the files' own are beside it."""
    plain = json.loads(json.dumps({key: done[key] for key in ("job", "state", "origin")}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _is_broken(error: StoreError) -> bool:
    """Whether it is the checkpoint that is wrong (damaged, half there, not JSON), and not the store."""
    return isinstance(error, DamagedError) or issubclass(
        error.kind, FileNotFoundError | NotADirectoryError | ValueError
    )
