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

    @property
    def pace(self) -> float | None:
        """Seconds that a unit takes; None until it has moved on from where it first told to be."""
        (begun, begin), (done, end) = self.early, self.late
        return (end - begin) / (done - begun) if self.total and done > begun else None

    @property
    def starting(self) -> float | None:
        """Seconds until its work began; None while its pace is not known."""
        begun, begin = self.early
        if self.pace is None:
            return None
        return max(0.0, begin - self.started - self.pace * (begun - self.first))

    def under(self, now: float) -> Under:
        """Return what the forecast must know; starting up takes its time, so it does not count as pace."""
        share = self.done / self.total if self.total else 0.0
        if self.pace is None:
            return Under(now - self.started, share)
        (begun, _), (done, end) = self.early, self.late
        rest = max(0.0, self.pace * (self.total - done) - (now - end))
        trust = (done - begun) / self.total
        return Under(now - self.started, share, trust, self.pace * self.total, rest)
