"""Safetensors files: written by the library, and read straight to where their tensors belong.

The safetensors library maps the whole file into memory and gives views of it, so that a tensor that is
copied from there is in memory twice until the file is closed. Here a tensor's bytes are read to
their place; all else (the header's soundness, names, shapes) is the library's.

Format (https://github.com/huggingface/safetensors#format): the length of the header in 8 bytes, the
header in JSON, in which each tensor has the offsets of its bytes behind the header.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from xltray.errors import EndpointError


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name.

    Raises:
        OSError: if they cannot be written, as on a full disk; for the library, that is an error of its own.
    """
    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


class WeightFile:
    """An open safetensors file. As context, closes itself.

    Raises:
        SafetensorError: when opened, if it is not one, or cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._library: Any = safe_open(path, framework="pt")
        self._file = path.open("rb")
        (length,) = struct.unpack("<Q", self._file.read(8))
        self._header: dict[str, Any] = json.loads(self._file.read(length))
        self._header.pop("__metadata__", None)
        self._start = 8 + length

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.__exit__(kind, error, trace)
        self._file.close()

    @property
    def names(self) -> set[str]:
        """Names of the tensors."""
        return set(self._header)

    def tensor(self, name: str) -> Tensor:
        """Return a (small) tensor, whatever its type."""
        tensor: Tensor = self._library.get_tensor(name)
        return tensor

    def read_into(self, out_P: Tensor, name: str, shape: Sequence[int]) -> None:
        """Read a tensor of fp32 numbers to ``out_P``, contiguous, on any device.

        Raises:
            EndpointError: if it has another shape or type, or the file ends early.
        """
        entry = self._header[name]
        if tuple(entry["shape"]) != tuple(shape):
            found, expected = tuple(entry["shape"]), tuple(shape)
            raise EndpointError(f"{self.path}: {name} has shape {found}; expected {expected}")
        if entry["dtype"] != "F32":
            raise EndpointError(f"{self.path}: {name} has type {entry['dtype']}; expected F32")
        on_host_P = out_P if out_P.device.type == "cpu" else torch.empty(out_P.shape)
        begin, end = entry["data_offsets"]
        self._file.seek(self._start + begin)
        if self._file.readinto(on_host_P.detach().numpy().data) != end - begin:
            raise EndpointError(f"{self.path}: ends before the last number of {name}")
        if on_host_P is not out_P:
            out_P.copy_(on_host_P)
