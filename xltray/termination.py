"""SIGTERM as Ctrl-C: what is under way ends in good order, and its lease is given back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def terminable() -> Iterator[None]:
    """A context in which SIGTERM raises KeyboardInterrupt; without effect outside of the main thread."""
    with sigterm_kept():
        if _is_main():
            signal.signal(signal.SIGTERM, _interrupt)
        yield


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """A context after which SIGTERM does what it did before: libraries install handlers of their own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if _is_main():
            signal.signal(signal.SIGTERM, before)


def _is_main() -> bool:
    # Python allows handlers in the main thread only.
    return threading.current_thread() is threading.main_thread()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
