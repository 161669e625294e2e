"""Checkpoints of a fine-tuning that is under way: one that lost its machine goes on from the last.

    checkpoints/<endpoint id>/<step>-<random>/      weights.safetensors  history.parquet  DONE.json

A checkpoint holds all that the next step depends on: weights, the optimiser's moments, the state of
random numbers, the schedule's place, and what validation has found so far. On a CPU the weights at the
end are, bit for bit, those of a run that nothing disturbed. On a GPU, sums are not added in the same
order twice anyway; and on another kind of device, with other versions or threads, nothing promises equal
bits. ``Origin`` tells these cases apart, and the endpoint's DONE.json says which one it was (``resumed``).

A new checkpoint is whole before an older one goes, so that there is one at any moment. Losing one loses
time and no result: what is damaged is passed over.
"""

from __future__ import annotations

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
from safetensors.torch import load_file, save_file
from torch import Tensor

from xltray.context import JobContext
from xltray.errors import DamagedError, StoreError
from xltray.nn.device import device_name
from xltray.results import HISTORY_SCHEMA, provenance
from xltray.store import DONE, Store

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

    @classmethod
    def here(cls, context: JobContext) -> Origin:
        """Return that of this process."""
        known = provenance()
        versions: dict[str, str] = {
            name: known[name] for name in ("xltray", "torch", "transformers") if name in known
        }
        return cls(
            device_name(context.device), context.threads, torch.backends.cpu.get_cpu_capability(), versions
        )

    def repeats(self, other: Origin) -> bool:
        """Whether a training that goes on here gives the bits that it would have given there."""
        return self == other and self.device == "cpu"


class Checkpoint(NamedTuple):
    """Where a training stands after a validation."""

    state: Mapping[str, Any]
    """Plain values, as JSON has them."""
    rows: list[dict[str, Any]]
    """The history so far (``results.HISTORY_SCHEMA``, except ``selected``)."""
    tensors: Mapping[str, Tensor]
    """On the CPU."""


class Checkpoints:
    """The checkpoints of one fine-tuning: after ``context.checkpoint_seconds`` of work, 0 for all."""

    def __init__(self, endpoint_id: str, context: JobContext) -> None:
        """Keep those of an endpoint in the context's store."""
        self.store = context.store
        self.folder = self.store.checkpoints_path(endpoint_id)
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
        """Write a checkpoint and remove older ones. If the store refuses, training goes on without."""
        begin = time.monotonic()
        name = f"{checkpoint.state['steps']:08d}-{uuid.uuid4().hex[:8]}"
        try:
            older = self.store.names(self.folder)
            with tempfile.TemporaryDirectory() as place:
                local = Path(place)
                save_file(dict(checkpoint.tensors), local / _WEIGHTS)
                pq.write_table(pa.Table.from_pylist(checkpoint.rows, schema=_ROWS), local / _HISTORY)
                done = {"state": checkpoint.state, "origin": asdict(self.origin)}
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

    def latest(self) -> tuple[Checkpoint, Origin] | None:
        """Return the last whole checkpoint and where it was made; None if there is none.

        Raises:
            StoreError: if the store cannot be read. A checkpoint passed over for that would be lost, for the
                training would begin again and write others in its place.
        """
        for name in reversed(self.store.names(self.folder)):
            try:
                return _read(self.store, f"{self.folder}/{name}")
            # Whatever is wrong with it: of a version that wrote other fields, cut short, bits flipped.
            except (StoreError, OSError, KeyError, TypeError, ValueError) as error:
                if isinstance(error, StoreError) and not _is_broken(error):
                    raise
                _log.warning("the checkpoint %s/%s is passed over: %s", self.folder, name, error)
        return None

    def clear(self) -> None:
        """Remove all checkpoints: the endpoint is done."""
        self.store.delete(self.folder)


def _is_broken(error: StoreError) -> bool:
    """Whether it is the checkpoint that is wrong (damaged, half there, not JSON), and not the store."""
    return isinstance(error, DamagedError) or isinstance(
        error.__cause__, FileNotFoundError | NotADirectoryError | ValueError
    )


def _read(store: Store, path: str) -> tuple[Checkpoint, Origin]:
    done = store.read_json(f"{path}/{DONE}")
    with tempfile.TemporaryDirectory() as place:
        # A copy even of a store on this machine: its bytes are compared with what was written.
        local = Path(place) / "checkpoint"
        store.fetch_directory(path, local)
        rows = pq.read_table(local / _HISTORY).to_pylist()
        # Copies: the library's tensors are views of the file, which goes.
        tensors = {name: tensor.clone() for name, tensor in load_file(local / _WEIGHTS).items()}
    return Checkpoint(done["state"], rows, tensors), Origin(**done["origin"])
