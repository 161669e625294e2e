"""Which of a plan's missing jobs a run takes: ``--only``, ``--limit`` and ``--retry-failed``.

Each narrows what the store says is missing, and never adds to it. What the chosen jobs need, and is missing,
comes along, so that every choice can run to its end.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice

from xltray.errors import Problem, SweepFileError
from xltray.jobs import Job, SurfaceJob
from xltray.plan import Plan

_SHOWN = 8
"""Ids that a message names; the others are counted."""


@dataclass(frozen=True)
class Selection:
    """What was asked for on the command line.

    ``only`` are patterns of job ids, of which a job must match one. ``limit`` is how many jobs may run, those
    that come along included. ``retry`` are the ids of the jobs that failed before and of those skipped for
    want of them, if only these are to run.
    """

    only: Sequence[str] = ()
    limit: int | None = None
    retry: frozenset[str] | None = None


def choose(plan: Plan, done: Container[str], selection: Selection) -> dict[str, Job]:
    """Return the jobs to run, prerequisites first, given the ids of those whose results exist.

    Raises:
        SweepFileError: for a pattern that no job of the plan matches, done or not.
    """
    needed = plan.needed(done)
    goals = set(needed)
    if selection.only:
        goals &= matching(plan.jobs, selection.only, "--only", "job")
    if selection.retry is not None:
        goals &= selection.retry
    chosen = with_prerequisites(needed, goals)
    return chosen if selection.limit is None else _first(chosen, selection.limit)


def with_prerequisites(jobs: Mapping[str, Job], goals: Collection[str]) -> dict[str, Job]:
    """Return the goals and, of ``jobs``, all that they need, directly or not, in the order of ``jobs``."""
    wanted = set(goals)
    for job in reversed(list(jobs.values())):
        if job.id in wanted:
            wanted.update(job.needs)
    return {id_: job for id_, job in jobs.items() if id_ in wanted}


def _first(jobs: Mapping[str, Job], limit: int) -> dict[str, Job]:
    """Return so many jobs, cell by cell: each time the cell that lacks least beside what is taken already."""
    cells = {
        job.id: with_prerequisites(jobs, {job.id}) for job in jobs.values() if isinstance(job, SurfaceJob)
    }
    order: dict[str, None] = {}
    while cells and len(order) < limit:
        least = min(cells, key=lambda id_: len(cells[id_].keys() - order.keys()))
        order |= dict.fromkeys(cells.pop(least))
    taken = set(islice(dict.fromkeys([*order, *jobs]), limit))
    return {id_: job for id_, job in jobs.items() if id_ in taken}


def matching(ids: Iterable[str], patterns: Sequence[str], option: str, noun: str) -> set[str]:
    """Return the ids that match one of the patterns, as the shell's are: ``*``, ``?``, ``[ab]``.

    Args:
        ids: what there is.
        patterns: of whole ids.
        option: where the patterns are from, and
        noun: what they are of, for messages.

    Raises:
        SweepFileError: for patterns that match nothing, all at once, with what comes near.
    """
    known = list(ids)
    found = {pattern: {id_ for id_ in known if fnmatchcase(id_, pattern)} for pattern in patterns}
    problems = [
        Problem(option, repr(pattern), f"a pattern of {noun} ids", _hint(pattern, known, noun))
        for pattern, matched in found.items()
        if not matched
    ]
    if problems:
        raise SweepFileError(f"No {noun} is meant.", problems)
    return set().union(*found.values())


def _hint(pattern: str, ids: Sequence[str], noun: str) -> str:
    parts = [id_.split("-") for id_ in ids]
    beginnings = dict.fromkeys("-".join(part[:count]) for part in parts for count in range(1, len(part)))
    near = difflib.get_close_matches(pattern.rstrip("*-"), beginnings, n=1)
    hint = f"Did you mean '{near[0]}*'? " if near else ""
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{hint}{noun.capitalize()}s: {', '.join(ids[:_SHOWN])}{more}."
