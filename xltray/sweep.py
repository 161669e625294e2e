"""``python -m xltray.sweep SWEEP.yaml [key=value ...]``: run a sweep, or what is missing of it.

    --dry-run              say what would run, and what it needs; no Ray, no network, no data needed
    --json                 events as JSON on standard output, one a line; what people read on standard error
    --only GLOB            only jobs whose id matches, e.g. 'pos-en-vi-*', and what they need (repeatable)
    --limit N              at most N jobs, cell by cell: first what lacks least to be whole
    --retry-failed         only what failed when it was last tried, and what was skipped for want of it
    --write-predictions    then write the predictions of all finished cells, as xltray.predict does:
                           in this process, on this machine's device, not on the cluster

The store decides what runs: run the same command again and only what is missing runs, what failed before
included. The three options narrow that, and can be combined. An id is that of a cell
(pos-en-vi-s0-mbert-...), an endpoint (pos-en+vi-s0-mbert-...) or an encoder. Exit codes: 0 all that was
chosen is done, 1 some jobs failed, 2 the sweep file or the store is wrong, 3 data or a model is
missing or broken, 130 interrupted. Endpoints that did not learn are named at the end; they are results
and change no exit code, and neither does output that nobody takes (a full disk below the log, ``| head``).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console

from xltray.commands import sweep_command
from xltray.errors import INTERRUPTED, DamagedError, XltrayError
from xltray.estimate import estimate
from xltray.events import Emit, JsonLines, RunningJobs, silent
from xltray.failures import read_failures
from xltray.files import PATIENCE_SECONDS
from xltray.inputs import FileInputs, check_inputs, check_names
from xltray.jobs import SurfaceJob
from xltray.lease import hold_lease
from xltray.licences import licences
from xltray.output import spoken
from xltray.plan import Plan, make_plan
from xltray.predict import predict_sweep
from xltray.selection import Selection, choose
from xltray.spec import SweepSpec
from xltray.started import write_plan
from xltray.store import COUNTS_NO_MORE, READERS, Store
from xltray.sweep_report import KIND_NAMES, Commands, Report, plural, print_left
from xltray.sweepfile import load_sweep
from xltray.termination import terminable
from xltray.trackers import check_trackers

MOST_ABSENT = 8
"""Absent inputs that a dry run names; the others are counted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    if options.json and options.dry_run:
        parser.error("--json tells of a run; found it with --dry-run, which runs nothing. Leave one out.")
    # Square brackets in a path are no markup.
    console = Console(highlight=False, soft_wrap=True, markup=False, stderr=options.json)
    emit = JsonLines(sys.stdout) if options.json else silent
    try:
        with terminable():
            sweep = load_sweep(options.sweep, options.overrides, checks=[check_names, check_trackers])
            if options.dry_run:
                return _dry_run(sweep, options, console)
            code = _run(sweep, options, console, emit)
            if options.write_predictions and code != INTERRUPTED:
                predict_sweep(sweep, console)
            return code
    except XltrayError as error:
        print(error, file=sys.stderr)
        emit("error", exit_code=error.exit_code, message=str(error))
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on.", file=sys.stderr)
        emit("error", exit_code=INTERRUPTED, message="interrupted")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m xltray.sweep", description=__doc__.split("\n\n")[0])
    parser.add_argument("sweep", type=Path, help="the sweep file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. seeds=[0,1] data.root=ud-2.7")
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and stop")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only jobs whose id matches, and what they need; may be repeated",
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="at most N jobs, cell by cell")
    parser.add_argument(
        "--retry-failed", action="store_true", help="only what failed when last tried, and what waits for it"
    )
    parser.add_argument(
        "--write-predictions",
        action="store_true",
        help="then write predictions, in this process: not on the cluster",
    )
    parser.add_argument("--json", action="store_true", help="events as JSON lines on standard output")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number of at least 1")
    return int(text)


def _commands(options: argparse.Namespace) -> Commands:
    always = ["--write-predictions"] if options.write_predictions else []
    narrowed = [*always, *(part for pattern in options.only for part in ("--only", pattern))]
    narrowed += ["--limit", str(options.limit)] if options.limit else []
    run = partial(sweep_command, options.sweep, options.overrides)
    failed = run(*narrowed, "--retry-failed")
    again = failed if options.retry_failed else run(*narrowed)
    return Commands(again=again, whole=run(*always), failed=failed)


def _selection(sweep: SweepSpec, options: argparse.Namespace, store: Store) -> Selection:
    retry = None
    if options.retry_failed:
        failures = read_failures(sweep.name, store)
        retry = frozenset({*failures.failed, *failures.skipped})
    return Selection(options.only, options.limit, retry)


def _dry_run(sweep: SweepSpec, options: argparse.Namespace, console: Console) -> int:
    inputs = FileInputs(sweep.data, lenient=True)
    plan = make_plan(sweep, inputs)
    kinds = Counter[str](job.kind for job in plan.jobs.values())
    console.print(f"Sweep {sweep.name}, stored in {sweep.storage}")
    for kind, name in KIND_NAMES.items():
        if kinds[kind]:
            console.print(f"  {kinds[kind]:>9,} {plural(name, kinds[kind])}")
    scopes = f" x {len(sweep.scopes)} scopes" if len(sweep.scopes) > 1 else ""
    console.print(f"  {plan.points:>9,} points per surface{scopes}")
    console.print(f"  {plan.evaluations:>9,} evaluations: {plan.models:,} models, each on {_dev_sets(plan)}")
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
        if options.only or options.limit:
            console.print("Were nothing done yet:")
            _print_choice(plan, (), Selection(options.only, options.limit), console)
        return 0
    store = Store(sweep.storage)
    _print_choice(plan, store.done_ids(plan.jobs.values()), _selection(sweep, options, store), console)
    return 0


def _print_choice(plan: Plan, done: Container[str], selection: Selection, console: Console) -> None:
    print_left(plan, choose(plan, done, selection), plan.needed(done), console)


def _run(sweep: SweepSpec, options: argparse.Namespace, console: Console, emit: Emit) -> int:
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

    def say(text: str) -> None:
        console.print(text)
        emit("note", message=text)

    running = RunningJobs(emit)
    with hold_lease(store, sweep.name, say, running=running.ids):
        done, damaged = store.look_up(plan.jobs.values())
        for problem in damaged.values():
            say(f"{problem}. {COUNTS_NO_MORE}")
        store.drop_checkpoints(done)
        done -= _cut_short(plan, store, done, say)
        return _run_missing(plan, store, done, options, console, running)


def _run_missing(
    plan: Plan, store: Store, done: set[str], options: argparse.Namespace, console: Console, emit: Emit
) -> int:
    sweep = plan.sweep
    needed, chosen = plan.needed(done), choose(plan, done, _selection(sweep, options, store))
    emit("start", sweep=sweep.name, storage=sweep.storage, jobs=Counter(job.kind for job in chosen.values()))
    report = Report(plan, store, needed, chosen, _commands(options), console, emit)
    if not chosen:
        write_plan(plan, store, licences(plan.jobs.values(), sweep.data))
        report.nothing_to_do()
        return 0
    print_left(plan, chosen, needed, console)
    console.print("Reading the data ...")
    check_inputs(chosen.values(), sweep.data)
    write_plan(plan, store, licences(plan.jobs.values(), sweep.data))

    # Ray takes seconds to import; what needs none of it should not wait for it.
    from xltray.cluster.run import run_plan

    outcome = run_plan(plan, chosen, store, console=console, emit=emit)
    return report.end(outcome)


def _cut_short(plan: Plan, store: Store, done: set[str], say: Callable[[str], None]) -> set[str]:
    """Set aside encoders and endpoints whose files are cut short, of those that will be read; returns them.

    Bits that have flipped are found when the files are read.
    """
    read = sorted({need for job in plan.needed(done).values() for need in job.needs} & done)

    def damage(id_: str) -> DamagedError | None:
        try:
            store.check_sizes(store.folder(plan.jobs[id_]))
        except DamagedError as found:
            return found
        return None

    with ThreadPoolExecutor(READERS) as readers:
        found = {id_: error for id_, error in zip(read, readers.map(damage, read), strict=True) if error}
    for error in found.values():
        store.set_aside(error)
        say(f"{error.problem}. It counts no more; a run that needs it makes it anew.")
    return set(found)


def _print_notes(inputs: FileInputs, console: Console) -> None:
    for note in inputs.notes:
        console.print(f"Note: {note}")


def _dev_sets(plan: Plan) -> str:
    """Say on how many dev sets each model is scored: third languages may be the own ones of some cells."""
    sizes = {len(job.languages) for job in plan.jobs.values() if isinstance(job, SurfaceJob)}
    return "two dev sets" if sizes == {2} else f"{' to '.join(map(str, sorted(sizes)))} dev sets"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


if __name__ == "__main__":
    sys.exit(spoken(main))
