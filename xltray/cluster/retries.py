"""How often a job is tried again, and after what.

What ended a job without a result is one of two things, each with a budget of its own for every job: an
error that the job raised, which is likely to come again, and a loss of its process or machine (a spot
machine taken back, no memory left, a signal), which says nothing about the job. What a job refuses on
purpose (``XltrayError``: broken data, corners that differ) is neither: it is never tried again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

TRACEBACK_LINES = 8
"""With so many last lines of its traceback the message of an error ends."""


class Cause(StrEnum):
    """What ended a job that may be tried again."""

    ERROR = "error"
    LOSS = "loss"


@dataclass(frozen=True)
class Failure:
    """Why a trial of a job ended without a result; the message's first line names the error."""

    cause: Cause
    message: str


class Retries:
    """Counts the failures of each job against its two budgets."""

    def __init__(self, errors: int, losses: int) -> None:
        """Allow each job to be tried again after so many errors and after so many losses."""
        self._allowed = {Cause.ERROR: errors, Cause.LOSS: losses}
        self._seen: Counter[tuple[str, Cause]] = Counter()

    def allow(self, id_: str, cause: Cause) -> bool:
        """Count a failure of a job; whether the job is to be tried again."""
        self._seen[id_, cause] += 1
        return self._seen[id_, cause] <= self._allowed[cause]

    def told(self, id_: str, cause: Cause) -> str:
        """Say which of the allowed failures the last one was, e.g. ``loss 2 of 5``."""
        return f"{cause} {self._seen[id_, cause]} of {self._allowed[cause]}"

    def tries(self, id_: str) -> int:
        """How often a job has failed so far."""
        return sum(self._seen[id_, cause] for cause in Cause)
