"""Output that nobody takes ends no command: a full disk below a log, a reader that has gone (``| head``).

    if __name__ == "__main__":
        sys.exit(spoken(main))

What cannot be written is left out, and the next write tries again: there may be room by then. The exit code
is that of the work. A command whose whole work is what it prints says so (``all_counts``).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from xltray.errors import INTERRUPTED

_NOBODY_READS = (errno.EPIPE, errno.ECONNRESET)


class Bearing:
    """A text stream whose writes and flushes never fail; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream``."""
        self._stream = stream
        self.error: OSError | None = None
        """Why something could not be written, if not for want of a reader: the first such error."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text`` if that can be done; returns its length in any case."""
        with self._borne():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered if that can be done."""
        with self._borne():
            self._stream.flush()

    def close_quietly(self) -> None:
        """Write what is buffered, or drop it: Python's own flush, at exit, would change the exit code."""
        try:
            self._stream.flush()
        except OSError as error:
            self._note(error)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()

    @contextmanager
    def _borne(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._note(error)
        except RuntimeError as error:
            # A signal came while a write was under way, and what handles it has something to say.
            if "reentrant call" not in str(error):
                raise

    def _note(self, error: OSError) -> None:
        if error.errno not in _NOBODY_READS:
            self.error = self.error or error


@contextmanager
def borne() -> Iterator[list[Bearing]]:
    """A context in which standard output and standard error bear errors; yields the two.

    One that the caller of the process has closed (``>&-``) is None to Python, and stays that.
    """
    before = sys.stdout, sys.stderr
    streams = [Bearing(stream) for stream in before if stream is not None]
    bearing = iter(streams)
    sys.stdout, sys.stderr = (stream and cast(TextIO, next(bearing)) for stream in before)
    try:
        yield streams
    finally:
        sys.stdout, sys.stderr = before
        for stream in streams:
            stream.close_quietly()


def spoken(command: Callable[[], int], *, all_counts: bool = False) -> int:
    """Run a command whose output may not arrive; returns its exit code, also where Ctrl-C ended it.

    Args:
        command: what to run; it returns an exit code.
        all_counts: what is printed is all that the command does. If it could not be written then, other
            than for want of a reader, 0 becomes 1.
    """
    with borne() as streams:
        try:
            code = command()
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            code = INTERRUPTED
        for stream in streams:
            stream.flush()
        if error := next((stream.error for stream in streams if stream.error), None):
            print(f"Not all that was to be printed could be written: {error}.", file=sys.stderr)
            code = code or int(all_counts)
    return code
