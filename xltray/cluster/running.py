"""A job under way, as it tells how far it is."""

from __future__ import annotations

from dataclasses import dataclass

from xltray.cluster.forecast import Under


@dataclass
class Running:
    """A job under way: where it began, what it told first, and what it told last (done, when)."""

    started: float
    first: int = 0
    total: int = 0
    unit: str = ""
    early: tuple[int, float] = (0, 0.0)
    late: tuple[int, float] = (0, 0.0)

    @property
    def done(self) -> int:
        """How far it is, in its unit."""
        return self.late[0]

    @property
    def progress(self) -> str:
        """How far it is, as shown."""
        return f"{self.done}/{self.total} {self.unit}" if self.total else "starting"

    @property
    def share_here(self) -> float:
        """What a finished job did itself; an earlier run may have left it something to go on from."""
        return 1 - self.first / self.total if self.total else 1.0

    def under(self, now: float) -> Under:
        """Return what the forecast must know; starting up takes its time, so it does not count as pace."""
        (begun, begin), (done, end) = self.early, self.late
        if not self.total:
            return Under(now - self.started)
        if done == begun:
            return Under(now - self.started, done / self.total)
        pace = (end - begin) / (done - begun)
        whole = begin - self.started + pace * (self.total - begun + self.first)
        rest = max(0.0, pace * (self.total - done) - (now - end))
        return Under(now - self.started, done / self.total, (done - begun) / self.total, whole, rest)
