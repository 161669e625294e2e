"""Notices that the Ray of a run is gone, and says what of it ended the run."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import ray
from ray.exceptions import RayError
from ray.tune import TuneError

from xltray.cluster.retries import TRACEBACK_LINES
from xltray.errors import XltrayError
from xltray.files import NO_ROOM

WATCH_SECONDS = 5.0
WATCH_ATTEMPTS = 4
"""Together well below the minute after which Ray ends a process that has lost its control store."""


class LostRayError(XltrayError):
    """The Ray that a run was using is gone."""


class StoppedTuneError(XltrayError):
    """Tune cannot go on, though Ray is there."""


class Gone(BaseException):
    """Ray is gone. No Exception: for those Tune cleans up, which waits for the Ray that is gone."""


class Watch:
    """Call it often: raises Gone when the Ray in use has died.

    Without it, Tune waits for ever for room, or Ray ends the whole process after a minute without
    its control store: the user would not be told how to go on. ``nodes`` are Ray's as last seen: to ask
    it for them elsewhere might wait for ever.
    """

    def __init__(self, seconds: float = WATCH_SECONDS) -> None:
        """Look every so many seconds."""
        context = ray.get_runtime_context()
        self._address, self._node = str(context.gcs_address), context.get_node_id()
        self.nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        self._seconds = seconds
        self._next = time.monotonic() + seconds
        self._silent = 0

    def __call__(self) -> None:
        """Look, if it is time."""
        if time.monotonic() < self._next:
            return
        if not self.answers():
            # A control store may be restarted; meanwhile any question to it would wait.
            self._silent += 1
            if self._silent >= WATCH_ATTEMPTS:
                raise Gone(f"its control store at {self._address} does not answer")
        else:
            self._silent = 0
            self.nodes = ray.nodes()  # type: ignore[no-untyped-call]
            alive = {node["NodeID"] for node in self.nodes if node["Alive"]}
            if self._node not in alive:
                raise Gone("it no longer runs on the machine that the sweep runs from")
        self._next = time.monotonic() + self._seconds

    def answers(self) -> bool:
        """Return whether its control store can be asked at the moment."""
        return answers(self._address)


@contextmanager
def losses_named() -> Iterator[None]:
    """Turn what Ray raises when it is lost into LostRayError, what Tune does into StoppedTuneError.

    What goes wrong inside a job is caught by Tune and never gets here.
    """
    try:
        yield
    except Gone as error:
        raise LostRayError(f"Ray was lost: {error}") from error
    except (RayError, TuneError, OSError) as error:
        # The store's own errors are no OSError. The disk below Tune's folder raises one, for instance.
        raise _named(error) from error


def _named(error: Exception) -> LostRayError | StoppedTuneError:
    """Return what an error that ends Tune means; where it may be xltray's own, with its traceback's end."""
    cause = error
    while isinstance(cause, TuneError) and isinstance(cause.__context__, Exception):
        # What callbacks raise, ours too, Tune wraps in an error whose message is their traceback.
        cause = cause.__context__
    first_line, *_ = str(cause).strip().splitlines() or [""]
    said = f"{type(cause).__name__}: {first_line}"
    if isinstance(cause, RayError | ConnectionError):
        return LostRayError(f"Ray was lost: {said}")
    if isinstance(cause, OSError) and _is_of_the_disk(cause):
        return StoppedTuneError(f"Tune cannot go on: {said} (it writes to {gettempdir()})")
    lines = "".join(traceback.format_exception(cause)).splitlines()
    return StoppedTuneError("\n".join([f"Tune cannot go on: {said}", *lines[-TRACEBACK_LINES:]]))


def _is_of_the_disk(error: OSError) -> bool:
    """Whether it says that Tune's folder cannot be written."""
    below = isinstance(error.filename, str) and Path(error.filename).is_relative_to(gettempdir())
    return error.errno in NO_ROOM or below


def answers(address: str) -> bool:
    """Return whether something listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            return True
    except (OSError, ValueError):
        return False
