"""What the autoscaler of a cluster is asked for while a run waits for machines."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError

from xltray.cluster.watch import Gone, Watch

REPEAT_SECONDS = 60.0
"""There is one request for a whole cluster: another run on it may have replaced ours."""


class Demand:
    """A context in which machines can be asked for, and at whose end none are.

    Ray keeps a request until the next one, also when whoever made it is gone, and machines would never be
    idle for it. So one that a killed run has left is taken back at the beginning.
    """

    def __init__(self, watch: Watch, can_grow: bool) -> None:
        """Ask the Ray that is watched; a Ray that cannot grow is asked for nothing."""
        self._watch = watch
        self._can_grow = can_grow
        self._bundles: list[dict[str, float]] = []
        self._next = 0.0

    def __enter__(self) -> Self:
        if self._can_grow:
            request_resources(bundles=[])
        return self

    def __call__(self, bundles: list[dict[str, float]]) -> bool:
        """Ask for machines on which these fit, now and then again; returns whether they are others."""
        news, now = bundles != self._bundles, time.monotonic()
        if news or now >= self._next:
            request_resources(bundles=bundles)
            self._bundles, self._next = bundles, now + REPEAT_SECONDS
        return news

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A Ray that is gone would be waited for.
        gone = isinstance(error, Gone | RayError | ConnectionError)
        if self._bundles and not gone and self._watch.answers():
            request_resources(bundles=[])
