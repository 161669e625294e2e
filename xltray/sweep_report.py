"""What ``python -m xltray.sweep`` says of a run: what is to do, how it ended, the command that goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from xltray.commands import command
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

KIND_NAMES = {"pretrain": "pretraining", "finetune": "fine-tuning", "surface": "surface"}


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
        for kind, name in KIND_NAMES.items()
        if all_[kind]
    ]
    console.print(f"To run: {', '.join(parts)}.")
    if len(chosen) < len(needed):
        console.print(f"Not chosen, and left for later: {_rest(chosen, needed)}.")


@dataclass(frozen=True)
class Report:
    """Says how a run ended: to people on ``console``, to machines by ``emit``.

    ``needed`` are the jobs whose results are missing, ``chosen`` those of them that were to run.
    """

    plan: Plan
    store: Store
    needed: Mapping[str, Job]
    chosen: Mapping[str, Job]
    commands: Commands
    console: Console
    emit: Emit

    def nothing_to_do(self) -> None:
        """Say that all of a sweep is done, or that a selection leaves nothing to do."""
        if self.needed:
            self.console.print("Nothing to do: no job that is chosen is missing.")
            self._print_rest()
        else:
            sweep, surfaces = self.plan.sweep, sum(1 for _ in self.plan.of_kind("surface"))
            self.console.print(
                f"Nothing to do: all {surfaces} surfaces of {sweep.name} are in {sweep.storage}."
            )
            self._print_unlearned()
        self._emit_end(0)

    def end(self, outcome: RunOutcome) -> int:
        """Say how a run of the chosen jobs ended; returns the exit code."""
        try:
            failures = Failures(outcome.failed, outcome.skipped)
            write_failures(self.plan, self.store, failures, outcome.done)
        except StoreError as error:
            # A full disk, for one: what the run has to say is said all the same.
            self.console.print(str(error))
        done, left = len(outcome.done), len(self.chosen) - len(outcome.done)
        code = 0 if not left else INTERRUPTED if outcome.interrupted else 1
        if left:
            self._print_unfinished(outcome)
        else:
            self.console.print(f"Done: {done} jobs. Results in {self.plan.sweep.storage}; figures:")
            self.console.print(f"  {_analysis(self.plan.sweep)}")
            self._print_unlearned()
            self._print_rest()
        self._emit_end(
            code,
            done=done,
            left=left,
            failed=dict(outcome.failed),
            skipped=dict(outcome.skipped),
            interrupted=outcome.interrupted,
            lost=outcome.lost,
            stopped=outcome.stopped,
        )
        return code

    def _emit_end(self, exit_code: int, **told: Any) -> None:
        """Tell the last event; what is not told is that of a run without jobs."""
        nothing = {"done": 0, "left": 0, "failed": {}, "skipped": {}, "interrupted": False}
        nothing |= {"lost": "", "stopped": ""}
        self.emit("end", exit_code=exit_code, **{**nothing, **told})

    def _print_unfinished(self, outcome: RunOutcome) -> None:
        say, sweep = self.console.print, self.plan.sweep
        # Before the rest, which ends with the command that goes on.
        self._print_unlearned()
        for id_, message in outcome.failed.items():
            say(f"failed   {id_}: {summary(message)}")
        for id_, cause in outcome.skipped.items():
            say(f"skipped  {id_}: needs {cause}")
        if outcome.lost:
            say(outcome.lost)
        if outcome.stopped:
            say(f"Given up: {outcome.stopped}")
        self._print_rest()
        how = "Interrupted" if outcome.interrupted else "Not all jobs are done"
        done, of = len(outcome.done), len(self.chosen)
        say(f"{how}: {done} of {of} jobs done, {of - done} left. To go on:")
        say(f"  {self.commands.again}")
        if outcome.failed:
            if self.commands.failed != self.commands.again:
                say("To try only what failed, and what waits for it:")
                say(f"  {self.commands.failed}")
            say(f"Full messages: {failures_path(sweep.name, self.store)} in {sweep.storage}")

    def _print_rest(self) -> None:
        if len(self.chosen) < len(self.needed):
            rest = _rest(self.chosen, self.needed)
            self.console.print(f"Not chosen, and still missing: {rest}. The whole sweep:")
            self.console.print(f"  {self.commands.whole}")

    def _print_unlearned(self) -> None:
        """Name all endpoints of the plan that did not learn, whichever run made them."""
        found: Mapping[str, Any] = {}
        try:
            found = find_unlearned(self.plan, self.store, self.console.print)
            write_unlearned(self.plan, self.store, found)
        except StoreError as error:
            # As above: the list is worth less than the rest of the report.
            self.console.print(str(error))
        if not found:
            return
        self.emit("unlearned", endpoints=sorted(found))
        them = "it" if len(found) == 1 else "them"
        self.console.print(
            f"{len(found)} {plural('endpoint', len(found))} did not learn; cells with {them} are kept:"
        )
        for line in describe(found):
            self.console.print(line)
        self.console.print(
            "Try a lower finetune.learning_rate, or other seeds. Figures and summary without these cells:"
        )
        self.console.print(f"  {_analysis(self.plan.sweep)} --learned-only")


def _rest(chosen: Mapping[str, Job], needed: Mapping[str, Job]) -> str:
    rest = Counter[str](job.kind for id_, job in needed.items() if id_ not in chosen)
    return ", ".join(
        f"{rest[kind]} {plural(name, rest[kind])}" for kind, name in KIND_NAMES.items() if rest[kind]
    )


def _analysis(sweep: SweepSpec) -> str:
    # A store may be that of several sweeps, the default one too: another sweep can name it.
    return command("analysis", sweep.storage, "--sweep", sweep.name)


def plural(name: str, count: int) -> str:
    """Return a name for so many of it."""
    return name if count == 1 else f"{name}s"
