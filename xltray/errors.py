"""Every error that xltray raises on purpose, and the exit code that each one maps to.

    XltrayError                     1  a job failed
    ├── SweepFileError              2  the sweep file or an override is wrong (all problems at once)
    ├── StoreError                  2  the store cannot be opened, read or written
    │   ├── DamagedError            2  a folder in it is not what was written
    │   └── DamagedFileError        2  a file of scores in it is not what was written
    ├── LeaseError                  2  another driver runs the sweep (xltray/lease.py)
    ├── MissingInputError           3  a corpus, treebank file or checkpoint is not there
    ├── CorpusError                 3  a corpus file is broken: file, line, found, expected
    ├── CornerMismatchError         1  a surface's corner disagrees with its endpoint
    ├── CellError                   2  a cell, point, scope or device asked for in Python is not there
    ├── PredictionError             1  predictions cannot be written, or do not give the counts stored
    ├── EndpointError               1  an endpoint cannot be used (other initialisation), a training diverged
    ├── ClusterError, CapacityError 1  no Ray, or no machine that is large enough (xltray/cluster)
    └── LostRayError,               1  Ray is gone, or Tune cannot go on: a run ends in order, and says so
        StoppedTuneError               (xltray/cluster/watch.py)

A message says where, what was found, what was expected and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xltray.credentials import redacted

_ITEM = "  - "
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended, as shells have it."""


class XltrayError(Exception):
    """Base of all deliberate errors; ``exit_code`` is what the command line returns."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: where it is, what was found, what was expected, what to do."""

    where: str
    found: str
    expected: str
    advice: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: found {self.found}; expected {self.expected}"
        return redacted(f"{text}. {self.advice}" if self.advice else text)


class ProblemsError(XltrayError):
    """An error made of several problems, all of which are shown."""

    def __init__(self, heading: str, problems: Sequence[Problem]) -> None:
        self.heading = heading
        self.problems = tuple(problems)
        super().__init__(heading, self.problems)

    def __str__(self) -> str:
        return "\n".join([self.heading, *(f"{_ITEM}{problem}" for problem in self.problems)])


@dataclass(frozen=True)
class Refusal:
    """Why one of several things was left out, and the exit code if it is the only reason."""

    problem: Problem
    exit_code: int = XltrayError.exit_code


class SweepFileError(ProblemsError):
    """The sweep file, an override or a file that it extends is wrong."""

    exit_code = 2


class StoreError(XltrayError):
    """The store cannot be opened, read or written."""

    exit_code = 2
    may_pass = False
    """Whether it is worth another try later: a network that stalls is, a full disk is not."""
    kind: type[Exception] = Exception
    """Of what was raised below; that itself may hold a secret, which a traceback must not show."""


class DamagedError(StoreError):
    """A published folder is not what was written: a file is cut short, changed or gone."""

    def __init__(self, folder: str, problem: str, advice: str = "") -> None:
        # All are arguments of the exception, so that it comes whole out of another process.
        super().__init__(folder, problem, advice)
        self.folder = folder
        self.problem = problem
        self.advice = advice or (
            f"Delete {folder} from the store and run the sweep again: it makes it anew (if all cells "
            "that need it are done: once the file of one of them below surfaces/ is deleted too)."
        )

    def __str__(self) -> str:
        return f"{self.problem}. {self.advice}"


class DamagedFileError(StoreError):
    """A file of a table is not what was written."""


class MissingInputError(ProblemsError):
    """A corpus file, a treebank or a checkpoint is not there."""

    exit_code = 3


class CorpusError(ProblemsError):
    """A corpus file is there but broken."""

    exit_code = 3


class CornerMismatchError(XltrayError):
    """At a corner of the plane a surface's counts differ from the endpoint's own."""


class CellError(ProblemsError):
    """What was asked of ``xltray.cells`` is not there: a cell, a point, a scope, a device."""

    exit_code = 2


class PredictionError(ProblemsError):
    """Predictions cannot be written, or do not give the counts that were stored."""


class EndpointError(XltrayError):
    """An endpoint cannot take part in a surface, or a training diverged."""


def summary(message: str) -> str:
    """Return the first line of an error's message, with the first problem where it is only a heading."""
    first, *rest = message.strip().split("\n")
    return f"{first} {rest[0].removeprefix(_ITEM)}" if rest and rest[0].startswith(_ITEM) else first


def did_you_mean(name: str, known: Iterable[str], shown: int | None = None) -> str:
    """Return "Did you mean 'x'? Known: a, b, c." for an unknown ``name``; at most ``shown`` are listed."""
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    left = len(choices[shown:]) if shown is not None else 0
    more = f" and {left} more" if left else ""
    return f"{hint}Known: {', '.join(choices[:shown])}{more}."
