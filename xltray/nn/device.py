"""The device that a process computes on, and how not to wait for it.

A GPU works through what it is given while Python goes on to queue more, until Python asks for a number.
So scoring asks once, at the end (``begin_transfer``), and what the host must do with a batch's numbers
in between is done by a thread (``beside``). On a CPU there is nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy.typing as npt
import torch
from torch import Tensor

from xltray.errors import Problem, XltrayError

T = TypeVar("T")
Arrays = list[npt.NDArray[Any]]

# Starts its thread at the first use. One: it keeps the order, and the rest of the process has one core.
_BESIDE = ThreadPoolExecutor(1, "xltray-beside")


def set_threads(threads: int) -> None:
    """Limit this process's CPU threads; more spinning threads than cores cost a factor of 4 to 12."""
    torch.set_num_threads(threads)


def device_name(device: str) -> str:
    """Return what a device is, for the records."""
    return f"cuda: {torch.cuda.get_device_name(device)}" if device.startswith("cuda") else device


def resolve(device: str, where: str = "runtime.device") -> str:
    """Return the device of this process that an option means: auto is a GPU if there is one.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        where: what the option is called, for messages.

    Raises:
        XltrayError: if a GPU is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        problem = Problem(where, "no GPU that torch can use", "one", f"Set {where}=cpu.")
        raise XltrayError(str(problem))
    return ("cuda" if there else "cpu") if device == "auto" else device


def upload(tensor: Tensor, device: str) -> Tensor:
    """Return a tensor of the host on a device, without waiting for what the device is doing."""
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def begin_transfer(*tensors: Tensor) -> Callable[[], Arrays]:
    """Begin to bring tensors of one device to the host; nothing waits until the result is called.

    Returns:
        A function that waits for the transfer and returns the arrays; any thread may call it.
    """
    if tensors[0].device.type != "cuda":
        arrays = [tensor.numpy() for tensor in tensors]
        return lambda: arrays
    # Only to pinned memory can a GPU copy by itself. torch keeps such memory for the next time.
    pinned = [torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in tensors]
    for copy, tensor in zip(pinned, tensors, strict=True):
        copy.copy_(tensor, non_blocking=True)
    # Blocking: the waiting thread sleeps and leaves the core to the one that queues.
    copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    copied.record()

    def wait() -> Arrays:
        copied.synchronize()
        return [copy.numpy() for copy in pinned]

    return wait


def beside(device: str | torch.device, work: Callable[[], T]) -> Callable[[], T]:
    """Do work of the host while a GPU computes; on a CPU do it at once, for both want the same core.

    Returns:
        A function that returns the work's result, or raises its error, and waits for it if need be.
    """
    if torch.device(device).type != "cuda":
        done = work()
        return lambda: done
    return _BESIDE.submit(work).result
