"""The device that a process computes on."""

from __future__ import annotations

import torch


def set_threads(threads: int) -> None:
    """Limit this process's CPU threads; more spinning threads than cores cost a factor of 4 to 12."""
    torch.set_num_threads(threads)


def device_name(device: str) -> str:
    """Return what a device is, for the records."""
    return f"cuda: {torch.cuda.get_device_name(device)}" if device.startswith("cuda") else device
