"""Ctrl-C and SIGTERM end a run in good order.

The first signal makes Tune stop after the steps under way (a Stopper asks for it); a second one
is the usual KeyboardInterrupt. Tune and Ray install handlers of their own and leave them behind:
here the ones found are put back.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from ray.tune import Stopper

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt(Stopper):
    """A context in which the first signal sets ``asked``; hand it to Tune as a stopper."""

    def __init__(self, say: Callable[[str], None], stop: Callable[[], None] = lambda: None) -> None:
        """Announce the stop through ``say``; just before, ``stop`` is called, by the signal's handler."""
        self.asked = False
        self._say = say
        self._stop = stop
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGUSR1)}
            for number in _SIGNALS:
                signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Whether the run is to stop."""
        return self.asked

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._stop()
        self._say("stopping after the steps under way; press Ctrl-C again to stop at once")

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its configuration into its experiment folder, which is thrown away.
        return {}
