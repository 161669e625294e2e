"""The device that a process computes on."""

from __future__ import annotations

import torch

from xltray.errors import Problem, XltrayError


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
