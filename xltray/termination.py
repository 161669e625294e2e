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
    """A context after which SIGTERM does what it did before: libraries install handlers of their own.

    Ray's handler exits with the signal's number. Of that the handler from before is told too.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as exit_:
        if exit_.code == signal.SIGTERM and callable(before) and _is_main():
            before(signal.SIGTERM, None)
        raise
    finally:
        if _is_main():
            signal.signal(signal.SIGTERM, before)


def _is_main() -> bool:
    # Python allows handlers in the main thread only.
    return threading.current_thread() is threading.main_thread()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
