"""What happens in a run as JSON, one object a line, for machines (``--json``; docs/monitoring.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

Emit = Callable[..., None]
"""``emit("job", id="...", state="done")``: the name of the event, then its fields."""


class JsonLines:
    """Writes events to a stream; call it with an event's name and its fields."""

    def __init__(self, stream: TextIO | None) -> None:
        """Write to ``stream``, if there is one; commands have one that bears errors (``output.py``)."""
        self._stream = stream

    def __call__(self, event: str, **fields: Any) -> None:
        """Write one event, with the time (UTC)."""
        if self._stream is None:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        # In one piece: where only some writes succeed, lines stay whole.
        self._stream.write(json.dumps({"event": event, "time": time, **fields}) + "\n")
        self._stream.flush()


def silent(event: str, **fields: Any) -> None:
    """Write nothing."""


class RunningJobs:
    """Passes events on, and knows from them which jobs are running; other threads may ask."""

    def __init__(self, emit: Emit) -> None:
        """Pass events on to ``emit``."""
        self._emit = emit
        self._ids: frozenset[str] = frozenset()

    def __call__(self, event: str, **fields: Any) -> None:
        """Take note of an event."""
        if event == "job":
            id_ = {fields["id"]}
            self._ids = self._ids | id_ if fields["state"] == "running" else self._ids - id_
        self._emit(event, **fields)

    def ids(self) -> frozenset[str]:
        """Return the ids of the jobs that are running."""
        return self._ids
