"""Says now and then that a run waits for machines: how long already, and how to end it."""

from __future__ import annotations

import time
from collections.abc import Callable

NOTE_SECONDS = 300.0


def no_machine(device: str) -> str:
    """Return what is said where there is no machine to run jobs on."""
    return "no machine with GPUs for jobs" if device == "cuda" else "no machine for jobs"


class WaitingNotes:
    """One wait after the other: call it while waiting, and ``over`` it when that has ended."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Say it through ``say``."""
        self._say = say
        self._since: float | None = None
        self._next = 0.0

    def __call__(self, what: str) -> None:
        """Say what is waited for: at once, then every ``NOTE_SECONDS``."""
        now = time.monotonic()
        if self._since is None:
            self._since = self._next = now
        if now < self._next:
            return
        self._next = now + NOTE_SECONDS
        minutes = (now - self._since) / 60
        so_far = f", {minutes:.0f} min so far" if now > self._since else ""
        self._say(f"{what}; waiting{so_far}; Ctrl-C ends")

    @property
    def under_way(self) -> bool:
        """Whether there is a wait."""
        return self._since is not None

    def over(self) -> None:
        """Forget the wait: it has ended."""
        self._since = None
