"""``python -m xltray.status SWEEP.yaml [key=value ...]``: how far a sweep is, read from its store alone.

The plan that the sweep wrote when it last started says which jobs there are; the store says which
results are complete. Needs neither Ray nor the data. Overrides say which sweep of which store is meant
(``name``, ``storage``); what else they and the sweep file say now is not yet the sweep's.

    --only GLOB  only jobs whose id matches, e.g. 'pos-en-vi-*', and what they need (may be repeated)
    --json       all of it as one JSON object, with the state of each job

    done         the result is in the store
    running      run at present by a driver of this sweep, or of another one in the store
    interrupted  not running, but the store holds what it will go on from: a checkpoint, or parts of a surface
    failed       failed when it was last tried, and is still missing
    missing      still to do
    not needed   not in the store, but whatever would read it is done
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from xltray.commands import sweep_command
from xltray.errors import XltrayError, summary
from xltray.failures import read_failures
from xltray.jobs import KINDS, Job, SurfaceJob
from xltray.learned import describe, find_unlearned
from xltray.lease import running_jobs
from xltray.output import spoken
from xltray.plan import Plan
from xltray.selection import matching, with_prerequisites
from xltray.spec import SweepSpec
from xltray.started import differing, read_jobs
from xltray.store import COUNTS_NO_MORE, Store
from xltray.sweepfile import load_sweep
from xltray.underway import saved_shares

STATES = ("done", "running", "interrupted", "failed", "missing", "not needed")
_SHOWN = 20
"""Jobs under way that are shown one by one; the others are counted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    start = sweep_command(options.sweep, options.overrides)
    try:
        sweep = load_sweep(options.sweep, options.overrides)
        found = _look(sweep, options.only, start)
    except XltrayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if options.json:
        print(json.dumps({"sweep": sweep.name, "storage": sweep.storage, **found}))
    else:
        _print(sweep.name, found, start)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m xltray.status", description=__doc__.split("\n\n")[0])
    parser.add_argument("sweep", type=Path, help="the sweep file")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="jobs, by id")
    parser.add_argument("--json", action="store_true", help="one JSON object, for machines")
    return parser


def _look(sweep: SweepSpec, only: Sequence[str], start: str) -> dict[str, Any]:
    """Return what the store says of a sweep's jobs, or of those that are meant by ``only``."""
    store = Store(sweep.storage)
    jobs = read_jobs(sweep, store, start)
    failures = read_failures(sweep.name, store).failed
    plan = Plan(sweep, {job.id: job for job in jobs})
    shown = dict(plan.jobs)
    if only:
        shown = with_prerequisites(shown, matching(shown, only, "--only", "job"))
    done, damaged = store.look_up(plan.jobs.values())
    saved = saved_shares([job for job in shown.values() if job.id not in done], store)
    every = job_states(plan, done, failures, running_jobs(store, _say), saved)
    states = {id_: every[id_] for id_ in shown}
    unlearned = find_unlearned(plan, store, _say)
    return {
        "counts": _counts(shown.values(), states),
        "jobs": states,
        "saved": {id_: share for id_, share in saved.items() if states[id_] in ("running", "interrupted")},
        "failed": {id_: message for id_, message in failures.items() if states.get(id_) == "failed"},
        "unlearned": {id_: entry for id_, entry in unlearned.items() if id_ in shown},
        "damaged": _damaged_of(shown.values(), damaged, store),
        "changed": differing(sweep, store),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _print(name: str, found: Mapping[str, Any], command: str) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(_table(name, found["counts"]))
    under_way = [(id_, state) for id_, state in found["jobs"].items() if state in ("running", "interrupted")]
    for id_, state in under_way[:_SHOWN]:
        console.print(f"{state}  {id_}{_saved(found['saved'], id_)}")
    if len(under_way) > _SHOWN:
        console.print(f"and {len(under_way) - _SHOWN} more under way (--json has all)")
    for id_, message in found["failed"].items():
        console.print(f"failed  {id_}: {summary(message)}")
    for problem in found["damaged"].values():
        console.print(f"{problem}. {COUNTS_NO_MORE}")
    for line in describe(found["unlearned"]):
        console.print(line)
    if found["changed"]:
        console.print(
            f"This is the sweep as it was last started. It now differs in {', '.join(found['changed'])}; "
            f"what that changes is shown once it runs: {command}"
        )


def _saved(saved: Mapping[str, float | None], id_: str) -> str:
    share = saved.get(id_)
    return "" if share is None else f", {share:.0%} saved"


def job_states(
    plan: Plan,
    done: Collection[str],
    failures: Container[str],
    running: Container[str],
    saved: Container[str],
) -> dict[str, str]:
    """Return the state of each job, by id."""
    needed = plan.needed(done)

    def state(id_: str) -> str:
        if id_ in done:
            return "done"
        # First: what failed is tried again, and what no result needs may be run for another sweep.
        if id_ in running:
            return "running"
        if id_ not in needed:
            return "not needed"
        # Before "interrupted": a surface that failed leaves its parts behind.
        if id_ in failures:
            return "failed"
        return "interrupted" if id_ in saved else "missing"

    return {id_: state(id_) for id_ in plan.jobs}


def _damaged_of(jobs: Iterable[Job], damaged: Mapping[str, str], store: Store) -> dict[str, str]:
    """Return what is wrong with the files of these jobs, of all that is damaged."""
    cells = [job for job in jobs if isinstance(job, SurfaceJob)]
    files = {path for job in cells for path in (store.surface_path(job), store.geometry_path(job))}
    return {path: problem for path, problem in damaged.items() if path in files}


def _counts(jobs: Iterable[Job], states: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return how many jobs of each kind are in each state."""
    own = {kind: [states[job.id] for job in jobs if job.kind == kind] for kind in KINDS}
    return {kind: {state: found.count(state) for state in STATES} for kind, found in own.items() if found}


def _table(name: str, counts: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table(title=f"Sweep {name}", title_justify="left")
    table.add_column("jobs")
    for state in STATES:
        table.add_column(state, justify="right")
    for kind, numbers in counts.items():
        table.add_row(kind, *map(str, numbers.values()))
    return table


if __name__ == "__main__":
    sys.exit(spoken(main, all_counts=True))
