"""``python -m xltray.predict SWEEP.yaml [key=value ...]``: write the predictions of a sweep's models.

    --cells GLOB     only cells whose id matches, e.g. 'pos-en-*' (may be repeated)
    --points P ...   bilingual, source, target, or any a_src,a_tgt of Eq. 3 as exact numbers: 0.5,0 1/3,1/3
                     (default: the three corners; a negative number needs "=": --points=-0.5,0)
    --out DIR        where to write (a path or URI; default: the folder predictions/ of the store)

Cells must be done: models come from the store, and nothing is trained. No Ray; runs in this process, on
a GPU if this machine has one (runtime.device). That must be the kind of device that the cells were scored
on, or scores can differ: such cells are left out. From an object store all endpoints are downloaded to
this machine. Branches of encoders are what they were when the sweep was last started.

A cell that cannot be written is named at the end, after the others. Layout and formats:
``predictions.py``. Exit codes: 0 all written, 1 a cell is not done, or its predictions do not give its
scores, 2 the sweep file, an option or the store is wrong, 3 data is missing or broken, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from rich.console import Console

from xltray.commands import sweep_command
from xltray.credentials import redacted_value
from xltray.errors import INTERRUPTED, PredictionError, Problem, Refusal, SweepFileError, XltrayError
from xltray.grid import CORNERS, Point, coordinate
from xltray.inputs import FileInputs, check_names
from xltray.jobs import SurfaceJob
from xltray.output import spoken
from xltray.plan import make_plan
from xltray.selection import matching
from xltray.spec import SweepSpec
from xltray.started import commits
from xltray.store import Store
from xltray.sweepfile import load_sweep

_SHOWN = 8
"""Cells that a message names; the others are counted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        points = read_points(options.points) or CORNERS
        sweep = load_sweep(options.sweep, options.overrides, checks=[check_names])
        advice = f"Finish the sweep: {sweep_command(options.sweep, options.overrides)}"
        predict_sweep(sweep, console, points=points, globs=options.cells, out=options.out, unfinished=advice)
    except XltrayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted. Files that were written are whole.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m xltray.predict", description=__doc__.split("\n\n")[0])
    parser.add_argument("sweep", type=Path, help="the sweep file")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--cells", action="append", default=[], metavar="GLOB", help="cells, by id")
    parser.add_argument(
        "--points",
        action="extend",
        nargs="+",
        default=[],
        metavar="P",
        help="corners by name, or a_src,a_tgt",
    )
    parser.add_argument("--out", default="", metavar="DIR", help="default: predictions/ in the store")
    return parser


def predict_sweep(
    sweep: SweepSpec,
    console: Console,
    *,
    points: Mapping[str, Point] = CORNERS,
    globs: Sequence[str] = (),
    out: str = "",
    unfinished: str = "",
) -> None:
    """Write the predictions of a sweep's finished cells.

    Args:
        sweep: whose cells.
        console: is told what was written.
        points: by the names that their folders get.
        globs: patterns of cell ids; a cell must match one (all if there are none).
        out: path or URI of the folder to write to; default: ``predictions/`` of the store.
        unfinished: what to do about cells that are not done, which is then an error, raised after
            the others have been written. Without it they are left out and counted.

    Raises:
        PredictionError: for cells that are not done or could not be written, once all others are.
        XltrayError: for data or a store that is missing.
    """
    store = Store(sweep.storage)
    inputs = FileInputs(sweep.data, commits=commits(sweep, store))
    plan = make_plan(sweep, inputs)
    inputs.raise_missing()
    cells = _chosen([job for job in plan.jobs.values() if isinstance(job, SurfaceJob)], globs)
    done = store.done_ids(cells)
    refusals = _write(sweep, [cell for cell in cells if cell.id in done], points, store, out, console)
    absent = [f"cell {cell.id}" for cell in cells if cell.id not in done]
    if unfinished:
        found, expected = "a cell that is not done", "its scores in the store"
        refusals += [Refusal(Problem(where, found, expected, unfinished)) for where in absent]
    elif absent:
        console.print(f"No predictions of {len(absent)} cells: they are not done.")
    if refusals:
        raise _error(refusals)


def _error(refusals: Sequence[Refusal]) -> PredictionError:
    left = len(refusals) - _SHOWN
    more = f" (the first {_SHOWN}; {left} more)" if left > 0 else ""
    heading = f"Some cells have no predictions{more}:"
    error = PredictionError(heading, [refusal.problem for refusal in refusals[:_SHOWN]])
    codes = {refusal.exit_code for refusal in refusals}
    # Broken data alone is what it is to every command; of several things none is the reason.
    error.exit_code = codes.pop() if len(codes) == 1 else error.exit_code
    return error


def read_points(texts: Iterable[str]) -> dict[str, Point]:
    """Read points as the command line has them; the keys name their folders.

    Raises:
        SweepFileError: for what is neither a corner nor two exact numbers; all problems at once.
    """
    points: dict[str, Point] = {}
    problems = []
    corners = {point: name for name, point in CORNERS.items()}
    for text in texts:
        if text in CORNERS:
            points[text] = CORNERS[text]
            continue
        try:
            a_src, a_tgt = map(coordinate, text.split(","))
            point = Point(a_src, a_tgt)
            name = f"src{_name(point.a_src)}_tgt{_name(point.a_tgt)}"
            points[corners.get(point, name)] = point
        except ValueError:
            problems.append(Problem("--points", repr(text), f"{', '.join(CORNERS)}, or a_src,a_tgt", _HINT))
    if problems:
        raise SweepFileError("The points cannot be read.", problems)
    return points


_HINT = "Write two exact numbers with a comma and no space: 0.5,0 or 1/3,1/3."


def _name(number: Fraction) -> str:
    """Write a coordinate exactly and so that it can be a file's name: 0.5, or 1over3."""
    decimal = f"{float(number):g}"
    return decimal if Fraction(decimal) == number else f"{number.numerator}over{number.denominator}"


def _chosen(cells: Sequence[SurfaceJob], globs: Sequence[str]) -> list[SurfaceJob]:
    if not globs:
        return list(cells)
    meant = matching([cell.id for cell in cells], globs, "--cells", "cell")
    return [cell for cell in cells if cell.id in meant]


def _write(
    sweep: SweepSpec,
    cells: Sequence[SurfaceJob],
    points: Mapping[str, Point],
    store: Store,
    out: str,
    console: Console,
) -> list[Refusal]:
    """Write what can be written; return why the rest cannot."""
    # torch takes seconds to import; mistakes on the command line should not wait for it.
    from xltray.context import JobContext
    from xltray.nn.device import resolve
    from xltray.predictions import write_cells

    context = JobContext(store, sweep.data, resolve(sweep.runtime.device), sweep.runtime.threads)
    target = Store(out) if out else None
    if cells:
        # Before a model is loaded for nothing.
        (target or store).check_writable()
    outcome = write_cells(cells, context, points, target, console.print)
    where = redacted_value(out) or f"{sweep.storage}/predictions"
    if outcome.files:
        console.print(f"Wrote {outcome.files} files to {where}. All give the counts of their cells.")
    else:
        console.print(f"Wrote nothing to {where}.")
    return list(outcome.refusals)


if __name__ == "__main__":
    sys.exit(spoken(main))
