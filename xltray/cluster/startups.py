"""How long jobs take before they work: a process starts, imports, reads and loads.

A process that is used again (``reuse_actors``) starts sooner than a new one, and is used by jobs that reserve
the same: surfaces, or all others. A job gets a new one if more of them run than ever before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

WARM_SHARE = 0.15
"""Of the start of a new process, what that of one that is used again takes, until one has been seen."""
LATEST_TRUST = 0.25
"""How much the latest start counts against all before it, at least."""


class Startups:
    """What has been learned of how jobs start."""

    def __init__(self) -> None:
        """Know nothing."""
        self.seconds: dict[str, float] = {}
        self._pool: dict[str, str] = {}
        self._new: dict[str, bool] = {}
        self._running: defaultdict[str, set[str]] = defaultdict(set)
        self._peak: Counter[str] = Counter()

    def begin(self, id_: str, kind: str) -> None:
        """Note that a job is given a process."""
        pool = _pool(kind)
        self._running[pool].add(id_)
        self._pool[id_], self._new[id_] = pool, len(self._running[pool]) > self._peak[pool]
        self._peak[pool] = max(self._peak[pool], len(self._running[pool]))

    def leave(self, id_: str) -> None:
        """Note that a job has left its process."""
        self._running[self._pool.get(id_, "")].discard(id_)

    def learn(self, id_: str, seconds: float) -> None:
        """Note how long a job took to start; may be told again, when it is known better."""
        self.seconds[id_] = seconds

    def predict(self, kind: str, devices: int, waiting: Mapping[str, int]) -> float:
        """Return how long the jobs of a kind that wait will take to start, on average.

        Args:
            kind: the kind of job.
            devices: how many jobs can run at a time.
            waiting: how many jobs of each kind wait.
        """
        pool = _pool(kind)
        new, used = self._seen(pool, True), self._seen(pool, False)
        if new is None:
            new = self._seen(None, True) or 0.0
        if used is None:
            used = WARM_SHARE * new
        left = sum(number for other, number in waiting.items() if _pool(other) == pool)
        share = min(1.0, max(0, devices - self._peak[pool]) / left) if left else 0.0
        return share * new + (1 - share) * used

    def _seen(self, pool: str | None, new: bool) -> float | None:
        return _mean(
            seconds
            for id_, seconds in self.seconds.items()
            if self._new.get(id_, False) is new and pool in (None, self._pool.get(id_))
        )


def _pool(kind: str) -> str:
    return "surface" if kind == "surface" else "training"


def _mean(values: Iterable[float]) -> float | None:
    """Return a mean in which the latest count more, once there are several."""
    mean = None
    for number, value in enumerate(values, 1):
        mean = value if mean is None else mean + (value - mean) * max(1 / number, LATEST_TRUST)
    return mean
