"""Rounds in which contestants take turns, and the clocks that time them.

On a CPU a turn is timed in process time: what other processes do on the machine is not counted. On a GPU
it is timed between two CUDA events. Several processes at a time need the wall's clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import torch

Contestant = Callable[[], object]


class Clock(Protocol):
    """Times one call."""

    def seconds(self, call: Contestant) -> float:
        """Return how long a call takes."""


class ProcessClock:
    """Seconds of CPU that this process spends."""

    def seconds(self, call: Contestant) -> float:
        """Return how much CPU time a call takes."""
        started = time.process_time()
        call()
        return time.process_time() - started


class WallClock:
    """Seconds that pass."""

    def seconds(self, call: Contestant) -> float:
        """Return how long a call takes."""
        started = time.perf_counter()
        call()
        return time.perf_counter() - started


class CudaClock:
    """Seconds between two events on the current CUDA stream."""

    def seconds(self, call: Contestant) -> float:
        """Return how long a call takes, the work that it leaves on the device included."""
        started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        started.record()
        call()
        ended.record()
        torch.cuda.synchronize()
        return float(started.elapsed_time(ended)) / 1000


def clock_of(device: str) -> Clock:
    """Return the clock for what one process does on a device."""
    return CudaClock() if device.startswith("cuda") else ProcessClock()


def take_turns(contestants: Mapping[str, Contestant], rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Time every contestant once a round; who begins changes from round to round.

    Returns:
        Seconds of each round, by contestant.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for round_ in range(rounds):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(clock.seconds(contestants[name]))
    return times
