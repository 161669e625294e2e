"""What ``python -m xltray.sweep`` says of a run: what is to do, how it ended, the command that goes on."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from xltray.errors import INTERRUPTED, StoreError, summary
from xltray.events import Emit
from xltray.failures import Failures, failures_path, write_failures
from xltray.jobs import Job
from xltray.learned import describe, find_unlearned, write_unlearned
from xltray.plan import Plan
from xltray.spec import SweepSpec
from xltray.store import Store

if TYPE_CHECKING:
    from xltray.cluster.run import RunOutcome

KINDS = {"pretrain": "pretraining", "finetune": "fine-tuning", "surface": "surface"}
_NOTHING_RAN: dict[str, Any] = {
    "exit_code": 0,
    "done": 0,
    "left": 0,
    "failed": {},
    "skipped": {},
    "interrupted": False,
    "lost": "",
}
"""What the last event of a run without jobs says."""


@dataclass(frozen=True)
class Commands:
    """What can be typed next: the same again, the sweep without a selection, what failed alone."""

    again: str
    whole: str
    failed: str


def print_left(plan: Plan, chosen: Mapping[str, Job], needed: Mapping[str, Job], console: Console) -> None:
    """Say how many jobs of each kind will run, and how many a selection leaves for later."""
    left = Counter[str](job.kind for job in chosen.values())
    all_ = Counter[str](job.kind for job in plan.jobs.values())
    parts = [
        f"{left[kind]} of {all_[kind]} {plural(name, all_[kind])}"
        for kind, name in KINDS.items()
        if all_[kind]
    ]
    console.print(f"To run: {', '.join(parts)}.")
    if len(chosen) < len(needed):
        console.print(f"Not chosen, and left for later: {_rest(chosen, needed)}.")


def nothing_left(plan: Plan, store: Store, console: Console, emit: Emit) -> None:
    """Say that all of a sweep is done."""
    surfaces = sum(1 for _ in plan.of_kind("surface"))
    console.print(f"Nothing to do: all {surfaces} surfaces of {plan.sweep.name} are in {plan.sweep.storage}.")
    _report_unlearned(plan, store, console, emit)
    emit("end", **_NOTHING_RAN)


def nothing_chosen(needed: Mapping[str, Job], commands: Commands, console: Console, emit: Emit) -> None:
    """Say that a selection leaves nothing to do, and what the whole sweep still needs."""
    emit("end", **_NOTHING_RAN)
    console.print("Nothing to do: no job that is chosen is missing.")
    _print_rest({}, needed, commands, console)


def report(
    plan: Plan,
    store: Store,
    chosen: Mapping[str, Job],
    needed: Mapping[str, Job],
    outcome: RunOutcome,
    commands: Commands,
    console: Console,
    emit: Emit,
) -> int:
    """Say how a run of the ``chosen`` of the ``needed`` jobs ended; returns the exit code."""
    try:
        write_failures(plan, store, Failures(outcome.failed, outcome.skipped), outcome.done)
    except StoreError as error:
        # A full disk, for one: what the run has to say is said all the same.
        console.print(str(error))
    left = len(chosen) - len(outcome.done)
    code = 0 if not left else INTERRUPTED if outcome.interrupted else 1
    if left:
        _report_unfinished(plan, store, chosen, needed, outcome, commands, console, emit)
    else:
        console.print(f"Done: {len(outcome.done)} jobs. Results in {plan.sweep.storage}; figures:")
        console.print(f"  {_analysis(plan.sweep)}")
        _report_unlearned(plan, store, console, emit)
        _print_rest(chosen, needed, commands, console)
    emit(
        "end",
        exit_code=code,
        done=len(outcome.done),
        left=left,
        failed=dict(outcome.failed),
        skipped=dict(outcome.skipped),
        interrupted=outcome.interrupted,
        lost=outcome.lost,
    )
    return code


def _report_unfinished(
    plan: Plan,
    store: Store,
    chosen: Mapping[str, Job],
    needed: Mapping[str, Job],
    outcome: RunOutcome,
    commands: Commands,
    console: Console,
    emit: Emit,
) -> None:
    sweep, left = plan.sweep, len(chosen) - len(outcome.done)
    # Before the rest, which ends with the command that goes on.
    _report_unlearned(plan, store, console, emit)
    for id_, message in outcome.failed.items():
        console.print(f"failed   {id_}: {summary(message)}")
    for id_, cause in outcome.skipped.items():
        console.print(f"skipped  {id_}: needs {cause}")
    if outcome.lost:
        console.print(f"Ray was lost: {outcome.lost}")
    _print_rest(chosen, needed, commands, console)
    how = "Interrupted" if outcome.interrupted else "Not all jobs are done"
    console.print(f"{how}: {len(outcome.done)} of {len(chosen)} jobs done, {left} left. To go on:")
    console.print(f"  {commands.again}")
    if outcome.failed:
        if commands.failed != commands.again:
            console.print("To try only what failed, and what waits for it:")
            console.print(f"  {commands.failed}")
        console.print(f"Full messages: {failures_path(sweep.name, store)} in {sweep.storage}")


def _print_rest(
    chosen: Mapping[str, Job], needed: Mapping[str, Job], commands: Commands, console: Console
) -> None:
    if len(chosen) < len(needed):
        console.print(f"Not chosen, and still missing: {_rest(chosen, needed)}. The whole sweep:")
        console.print(f"  {commands.whole}")


def _rest(chosen: Mapping[str, Job], needed: Mapping[str, Job]) -> str:
    rest = Counter[str](job.kind for id_, job in needed.items() if id_ not in chosen)
    return ", ".join(f"{rest[kind]} {plural(name, rest[kind])}" for kind, name in KINDS.items() if rest[kind])


def _report_unlearned(plan: Plan, store: Store, console: Console, emit: Emit) -> None:
    """Name all endpoints of the plan that did not learn, whichever run made them."""
    found: Mapping[str, Any] = {}
    try:
        found = find_unlearned(plan, store)
        write_unlearned(plan, store, found)
    except StoreError as error:
        # As above: the list is worth less than the rest of the report.
        console.print(str(error))
    if not found:
        return
    emit("unlearned", endpoints=sorted(found))
    one = len(found) == 1
    console.print(
        f"{len(found)} {plural('endpoint', len(found))} did not learn; cells with {'it' if one else 'them'} "
        "are kept:"
    )
    for line in describe(found):
        console.print(line)
    console.print(
        "Try a lower finetune.learning_rate, or other seeds. Figures and summary without these cells:"
    )
    console.print(f"  {_analysis(plan.sweep)} --learned-only")


def _analysis(sweep: SweepSpec) -> str:
    # A store may be that of several sweeps, the default one too: another sweep can name it.
    return shlex.join([sys.orig_argv[0], "-m", "analysis", sweep.storage, "--sweep", sweep.name])


def plural(name: str, count: int) -> str:
    """Return a name for so many of it."""
    return name if count == 1 else f"{name}s"
