"""``python -m xltray.sweep SWEEP.yaml [key=value ...]``: run a sweep, or what is missing of it.

    --dry-run              say what would run, and what it needs; no Ray, no network, no data needed
    --write-predictions    then write the predictions of all finished cells, as xltray.predict does:
                           in this process, on this machine's device, not on the cluster

The store decides what runs: run the same command again and only what is missing runs. Exit codes:
0 all done, 1 some jobs failed, 2 the sweep file or the store is wrong, 3 data or a model is
missing or broken, 130 interrupted. Endpoints that did not learn are named at the end; they are results
and change no exit code.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from xltray.errors import INTERRUPTED, DamagedError, StoreError, XltrayError, summary
from xltray.estimate import estimate
from xltray.files import PATIENCE_SECONDS
from xltray.inputs import FileInputs, check_inputs, check_names
from xltray.jobs import Job
from xltray.learned import describe, find_unlearned, write_unlearned
from xltray.lease import hold_lease
from xltray.plan import Plan, make_plan
from xltray.predict import predict_sweep
from xltray.spec import SweepSpec
from xltray.started import write_plan
from xltray.store import Store
from xltray.sweepfile import load_sweep

if TYPE_CHECKING:
    from xltray.cluster.run import RunOutcome

KINDS = {"pretrain": "pretraining", "finetune": "fine-tuning", "surface": "surface"}
MOST_ABSENT = 8
"""Absent inputs that a dry run names; the others are counted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m xltray.sweep", description=__doc__.split("\n\n")[0])
    parser.add_argument("sweep", type=Path, help="the sweep file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. seeds=[0,1] data.root=ud-2.7")
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and stop")
    parser.add_argument(
        "--write-predictions",
        action="store_true",
        help="then write predictions, in this process: not on the cluster",
    )
    options = parser.parse_intermixed_args(arguments)
    # Square brackets in a path are no markup.
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        sweep = load_sweep(options.sweep, options.overrides, checks=[check_names])
        if options.dry_run:
            return _dry_run(sweep, console)
        also = ["--write-predictions"] if options.write_predictions else []
        code = _run(sweep, console, command=_command(options.sweep, [*options.overrides, *also]))
        if options.write_predictions and code != INTERRUPTED:
            predict_sweep(sweep, console)
        return code
    except XltrayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on.", file=sys.stderr)
        return INTERRUPTED


def _command(path: Path, overrides: Sequence[str]) -> str:
    # The interpreter as it was called: there may be no `python` on the path.
    return shlex.join([sys.orig_argv[0], "-m", "xltray.sweep", str(path), *overrides])


def _dry_run(sweep: SweepSpec, console: Console) -> int:
    inputs = FileInputs(sweep.data, lenient=True)
    plan = make_plan(sweep, inputs)
    kinds = Counter[str](job.kind for job in plan.jobs.values())
    console.print(f"Sweep {sweep.name}, stored in {sweep.storage}")
    for kind, name in KINDS.items():
        if kinds[kind]:
            console.print(f"  {kinds[kind]:>9,} {_plural(name, kinds[kind])}")
    scopes = f" x {len(sweep.scopes)} scopes" if len(sweep.scopes) > 1 else ""
    models = plan.evaluations // 2
    console.print(f"  {plan.points:>9,} points per surface{scopes}")
    console.print(f"  {plan.evaluations:>9,} evaluations: {models:,} models, each on two dev sets")
    need = estimate(plan)
    console.print(
        f"Disk: about {_bytes(need.total)} ({_bytes(need.endpoints)} endpoints, {_bytes(need.encoders)} "
        f"encoders, {_bytes(need.results)} results)"
    )
    if need.unknown:
        names = ", ".join(need.unknown)
        console.print(f"  without {names}: give encoders.<name>.parameters in the sweep file to count them")
    _print_notes(inputs, console)
    if inputs.missing:
        absent = list(dict.fromkeys(f"{problem.where}: {problem.found}" for problem in inputs.missing))
        console.print(f"What is done cannot be told yet: {len(absent)} inputs are not here")
        for line in absent[:MOST_ABSENT]:
            console.print(f"  - {line}", markup=False)
        if len(absent) > MOST_ABSENT:
            console.print(f"  and {len(absent) - MOST_ABSENT} more")
        return 0
    _print_left(plan, plan.needed(Store(sweep.storage).done_ids(plan.jobs.values())), console)
    return 0


def _run(sweep: SweepSpec, console: Console, *, command: str) -> int:
    inputs = FileInputs(sweep.data)
    plan = make_plan(sweep, inputs)
    if inputs.missing:
        # Raises that, with what is wrong with all that is there: a second run would tell it only then.
        check_inputs(plan.jobs.values(), sweep.data, inputs.missing)
    _print_notes(inputs, console)
    store = Store(sweep.storage)
    store.check_writable()
    # From here on it is known to be right, so what fails may pass.
    store.patience = PATIENCE_SECONDS
    with hold_lease(store, sweep.name, console.print):
        return _run_missing(plan, store, console, command)


def _run_missing(plan: Plan, store: Store, console: Console, command: str) -> int:
    sweep = plan.sweep
    done = store.done_ids(plan.jobs.values())
    store.drop_checkpoints(done)
    needed = plan.needed(done - _cut_short(plan, store, done, console))
    if not needed:
        write_plan(plan, store)
        surfaces = sum(1 for _ in plan.of_kind("surface"))
        console.print(f"Nothing to do: all {surfaces} surfaces of {sweep.name} are in {sweep.storage}.")
        _report_unlearned(plan, store, console)
        return 0
    _print_left(plan, needed, console)
    console.print("Reading the data ...")
    check_inputs(needed.values(), sweep.data)
    write_plan(plan, store)

    # Ray takes seconds to import; what needs none of it should not wait for it.
    from xltray.cluster.run import run_plan

    outcome = run_plan(plan, needed, store, console=console)
    return _report(plan, store, needed, outcome, console, command)


def _cut_short(plan: Plan, store: Store, done: set[str], console: Console) -> set[str]:
    """Set aside encoders and endpoints whose files are cut short, of those that will be read; returns them.

    Bits that have flipped are found when the files are read.
    """
    damaged = set()
    read = {need for job in plan.needed(done).values() for need in job.needs}
    for id_ in sorted(read & done):
        try:
            store.check_sizes(store.folder(plan.jobs[id_]))
        except DamagedError as damage:
            store.set_aside(damage)
            console.print(f"{damage.problem}. It counts no more, and is made anew.")
            damaged.add(id_)
    return damaged


def _print_notes(inputs: FileInputs, console: Console) -> None:
    for note in inputs.notes:
        console.print(f"Note: {note}")


def _print_left(plan: Plan, needed: Mapping[str, Job], console: Console) -> None:
    left = Counter[str](job.kind for job in needed.values())
    all_ = Counter[str](job.kind for job in plan.jobs.values())
    parts = [
        f"{left[kind]} of {all_[kind]} {_plural(name, all_[kind])}"
        for kind, name in KINDS.items()
        if all_[kind]
    ]
    console.print(f"To run: {', '.join(parts)}.")


def _report(
    plan: Plan,
    store: Store,
    needed: Mapping[str, Job],
    outcome: RunOutcome,
    console: Console,
    command: str,
) -> int:
    sweep = plan.sweep
    path = f"{store.sweep_path(sweep.name)}/failures.json"
    try:
        store.write_json(path, {"failed": dict(outcome.failed), "skipped": dict(outcome.skipped)})
    except StoreError as error:
        # A full disk, for one: what the run has to say is said all the same.
        console.print(str(error))
    left = len(needed) - len(outcome.done)
    if not left:
        console.print(f"Done: {len(outcome.done)} jobs. Results in {sweep.storage}; figures:")
        console.print(f"  {_analysis(sweep)}")
        _report_unlearned(plan, store, console)
        return 0
    # Before the rest, which ends with the command that goes on.
    _report_unlearned(plan, store, console)
    for id_, message in outcome.failed.items():
        console.print(f"failed   {id_}: {summary(message)}")
    for id_, cause in outcome.skipped.items():
        console.print(f"skipped  {id_}: needs {cause}")
    if outcome.lost:
        console.print(f"Ray was lost: {outcome.lost}")
    how = "Interrupted" if outcome.interrupted else "Not all jobs are done"
    console.print(f"{how}: {len(outcome.done)} of {len(needed)} jobs done, {left} left. To go on:")
    console.print(f"  {command}")
    if outcome.failed:
        console.print(f"Full messages: {path} in {sweep.storage}")
    return INTERRUPTED if outcome.interrupted else 1


def _report_unlearned(plan: Plan, store: Store, console: Console) -> None:
    """Name all endpoints of the plan that did not learn, whichever run made them."""
    found = find_unlearned(plan, store)
    write_unlearned(plan, store, found)
    if not found:
        return
    one = len(found) == 1
    console.print(
        f"{len(found)} {_plural('endpoint', len(found))} did not learn; cells with {'it' if one else 'them'} "
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


def _plural(name: str, count: int) -> str:
    return name if count == 1 else f"{name}s"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


if __name__ == "__main__":
    sys.exit(main())
