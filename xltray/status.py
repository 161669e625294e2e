"""``python -m xltray.status SWEEP.yaml [key=value ...]``: how far a sweep is, read from its store alone.

The plan that the sweep wrote when it last started says which jobs there are; the store says which
results are complete. Needs neither Ray nor the data. A surface counts as under way when the store
holds parts of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from xltray.errors import StoreError, XltrayError
from xltray.jobs import Job, SurfaceJob, parse_job
from xltray.store import Store
from xltray.sweepfile import load_sweep

KINDS = ("pretrain", "finetune", "surface")
STATES = ("done", "under way", "failed", "missing")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m xltray.status", description=__doc__.split("\n\n")[0])
    parser.add_argument("sweep", type=Path, help="the sweep file")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args(arguments)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        sweep = load_sweep(options.sweep, options.overrides)
        store = Store(sweep.storage)
        folder = store.sweep_path(sweep.name)
        if not store.exists(f"{folder}/plan.json"):
            raise StoreError(f"sweep {sweep.name!r} is not in {sweep.storage}: it has not been started yet.")
        jobs = [parse_job(job) for job in store.read_json(f"{folder}/plan.json")["jobs"]]
        failures: Mapping[str, Any] = {}
        if store.exists(f"{folder}/failures.json"):
            failures = store.read_json(f"{folder}/failures.json")["failed"]
        states = job_states(jobs, store, failures)
    except XltrayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    console.print(_table(sweep.name, jobs, states))
    for id_, message in failures.items():
        if states.get(id_) == "failed":
            first_line, *_ = str(message).strip().split("\n")
            console.print(f"failed  {id_}: {first_line}")
    return 0


def job_states(jobs: Sequence[Job], store: Store, failures: Mapping[str, Any]) -> dict[str, str]:
    """Return the state of each job, by id."""
    done = store.done_ids(jobs)

    def state(job: Job) -> str:
        if job.id in done:
            return "done"
        if isinstance(job, SurfaceJob) and store.names(store.parts_path(job)):
            return "under way"
        return "failed" if job.id in failures else "missing"

    return {job.id: state(job) for job in jobs}


def _table(name: str, jobs: Iterable[Job], states: Mapping[str, str]) -> Table:
    table = Table(title=f"Sweep {name}", title_justify="left")
    table.add_column("jobs")
    for state in STATES:
        table.add_column(state, justify="right")
    for kind in KINDS:
        own = [states[job.id] for job in jobs if job.kind == kind]
        if own:
            table.add_row(kind, *(str(own.count(state)) for state in STATES))
    return table


if __name__ == "__main__":
    sys.exit(main())
