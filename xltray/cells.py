"""Open a cell of a store from Python, without Ray, and evaluate any points of its plane.

    cell = open_cell("results/quickstart", "pos-qaa-qab-s0")
    frame = cell.evaluate([(0, 0), (0.5, 0), ("1/3", 0.25)])

What a cell is made of is read from the plans that sweeps left in the store (``started.py``), so neither
the sweep file nor Ray is needed, nor the cell's own scores: its endpoints are. Points are scored by
``CellEvaluator``, which the EndpointServers of a sweep wrap as well; at points of the grid this gives the
rows that the store has.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import pandas as pd

from xltray.context import JobContext
from xltray.endpoints import absent_weights, outside_a_sweep
from xltray.errors import CellError, CornerMismatchError, Problem, StoreError, did_you_mean
from xltray.evaluator import CellEvaluator
from xltray.grid import COORDINATE, Grid, Point, coordinate
from xltray.jobs import Job, SurfaceJob
from xltray.nn.device import resolve
from xltray.results import points_table
from xltray.spec import SweepSpec
from xltray.spec_types import Scope
from xltray.started import read_jobs, read_sweep
from xltray.store import Store

Device = Literal["auto", "cpu", "cuda"]
OUTSIDE = -1
"""The column ``point`` of points that are not in the cell's grid."""
_SHOWN = 8
"""Cells that a message names; the others are counted."""
_PAIR = "a pair (a_src, a_tgt) of Eq. 3"


class Cell:
    """A cell whose endpoints are loaded; ``open_cell`` makes it."""

    def __init__(self, job: SurfaceJob, evaluator: CellEvaluator) -> None:
        """Wrap an evaluator that has taken up the job."""
        self.job = job
        self._evaluator = evaluator

    def __repr__(self) -> str:
        return f"Cell({self.job.id!r})"

    @property
    def grid(self) -> Grid:
        """The points that the sweep scores; ``cell.evaluate(cell.grid.points)`` scores them here."""
        return self.job.grid

    def evaluate(self, points: Iterable[Any], *, scope: Scope = "all") -> pd.DataFrame:
        """Score points on the dev sets of the cell's languages.

        Args:
            points: pairs (a_src, a_tgt) of Eq. 3, or ``Point``s. A coordinate is a whole number, a
                ``Fraction``, a text (``"0.5"``, ``"1/3"``) or a float, which is taken as the decimal that
                is written: 0.1 is one tenth (and 0.1 + 0.2 is not three tenths). Any are allowed, beyond
                [0, 1] too.
            scope: ``all``, or ``encoder`` / ``head`` to move only those from the bilingual model.

        Returns:
            One row a point, language and metric, with the columns and types of
            ``pd.read_parquet(f"{storage}/surfaces")`` (docs/data-dictionary.md); points in the order
            given, each once. Points of the grid have exactly the store's rows. Others have ``point`` -1,
            ``on_plane`` false, and the lines' flags and ``alpha`` by Eq. 1 and Eq. 2.

        Raises:
            CellError: for what is no point or no scope; all problems at once.
        """
        wanted, problems = _read_points(points)
        if scope not in get_args(Scope):
            advice = did_you_mean(str(scope), get_args(Scope))
            problems.append(Problem("scope", repr(scope), "what to interpolate", advice))
        if problems:
            raise CellError(f"cell {self.job.id} cannot be evaluated there:", problems)
        scored = [(point, self._evaluator.score_point(point, scope, self._index(point))) for point in wanted]
        table = points_table(self.job, scored, self._evaluator.context.store.partitions())
        return cast(pd.DataFrame, table.to_pandas())

    def _index(self, point: Point) -> int:
        return self.grid.index(point) if point in self.grid else OUTSIDE


def open_cell(
    storage: str | Path,
    cell: str,
    *,
    device: Device | None = None,
    data_root: str | Path | None = None,
) -> Cell:
    """Load the endpoints and dev sets of a cell.

    The corners are scored and compared with the endpoints' own counts, so that nothing is evaluated on a
    device that disagrees with the one that they were made on. Sets torch's number of threads in this
    process to the sweep's (``runtime.threads``), on which last digits depend.

    Args:
        storage: path or URI of the store. Endpoints in an object store are downloaded.
        cell: its id, or as much of its beginning as no other cell has (``list_cells`` has the ids).
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU if there is one; default: the sweep's
            ``runtime.device``.
        data_root: where the corpora are, if not at the sweep's ``data.root`` as seen from here.

    Raises:
        CellError: if no cell or several begin so, if its endpoints are not in the store, or for an
            unknown device.
        StoreError: if the store cannot be read, or no sweep was started in it.
        CornerMismatchError: if this device does not give the endpoints' own counts.
        DamagedError, EndpointError, CorpusError, MissingInputError: if an endpoint or the data are not
            what they were.
    """
    store = Store(str(storage))
    planned = _find(cell, _planned(store), store)
    if device is not None and device not in get_args(Device):
        advice = did_you_mean(str(device), get_args(Device))
        problem = Problem("device", repr(device), "a kind of device", advice)
        raise CellError(f"cell {planned.job.id} cannot be opened:", [problem])
    if absent := absent_weights(planned.job, store):
        raise CellError("The cell cannot be opened:", absent)
    sweep = planned.sweep
    data = sweep.data if data_root is None else sweep.data.model_copy(update={"root": str(data_root)})
    place = resolve(device, "device") if device else resolve(sweep.runtime.device)
    return _load(planned.job, JobContext(store, data, place, sweep.runtime.threads))


def list_cells(storage: str | Path) -> pd.DataFrame:
    """Return the cells of all sweeps that were started in a store, as they were last planned.

    Returns:
        One row a cell: ``cell`` (its id), ``encoder``, ``task``, ``source``, ``target``, ``seed``;
        ``ready``, whether ``open_cell`` finds its endpoints; ``scored``, whether its surface is there.

    Raises:
        StoreError: if the store cannot be read, or no sweep was started in it.
    """
    store = Store(str(storage))
    planned = _planned(store).values()
    jobs = {job.id: job for cell in planned for job in (*cell.needs, cell.job)}
    done = store.done_ids(jobs.values())
    rows = [
        {
            "cell": job.id,
            "encoder": job.encoder.name,
            "task": job.task,
            "source": job.source,
            "target": job.target,
            "seed": job.seed,
            "ready": done.issuperset(job.needs),
            "scored": job.id in done,
        }
        for _, job, _ in planned
    ]
    return pd.DataFrame(rows)


def _load(job: SurfaceJob, context: JobContext) -> Cell:
    evaluator = CellEvaluator(context)
    try:
        with outside_a_sweep(job, context.store):
            evaluator.load(job)
    except CornerMismatchError as error:
        # The evaluator speaks to a sweep, whose endpoints can be made anew; here they are what counts.
        found = f"other counts at a corner on {context.device} than when its endpoint was fine-tuned"
        advice = "Open it on the kind of device that the endpoints were made on (device=...)."
        problem = Problem(f"cell {job.id}", found, "the same", advice)
        raise CornerMismatchError(str(problem)) from error
    return Cell(job, evaluator)


class _Planned(NamedTuple):
    """A cell, the sweep in whose plan it is, and what the plan has that the cell reads."""

    sweep: SweepSpec
    job: SurfaceJob
    needs: list[Job]


def _planned(store: Store) -> dict[str, _Planned]:
    """Return the cells of the store's sweeps by id; one that several sweeps have is the first one's."""
    cells: dict[str, _Planned] = {}
    for name in store.sweep_names():
        try:
            # The store may have moved since; messages are about where it is now.
            sweep = read_sweep(name, store).model_copy(update={"storage": str(store)})
            jobs = read_jobs(sweep, store, f"python -m xltray.sweep {name}.yaml")
        except StoreError as error:
            # A sweep that a past version started should not hide the others.
            warnings.warn(f"Cells of the sweep {name!r} are left out. {error}", stacklevel=3)
            continue
        known = {job.id: job for job in jobs}
        for job in jobs:
            if isinstance(job, SurfaceJob):
                needs = [known[need] for need in job.needs if need in known]
                cells.setdefault(job.id, _Planned(sweep, job, needs))
    if not cells:
        advice = "Check the path, or start a sweep with this `storage`."
        raise StoreError(str(Problem(str(store), "no started sweep", "sweeps/<name>/plan.json", advice)))
    return cells


def _find(cell: str, cells: dict[str, _Planned], store: Store) -> _Planned:
    matches = [id_ for id_ in cells if id_.startswith(cell)]
    if cell in cells or len(matches) == 1:
        return cells[cell if cell in cells else matches[0]]
    expected = "the id of a cell, or a beginning that only one has"
    if matches:
        more = f" and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else ""
        found = f"{cell!r}, which {len(matches)} cells begin with ({', '.join(matches[:_SHOWN])}{more})"
        advice = "Give more of the id."
    else:
        found = repr(cell)
        advice = f"{did_you_mean(cell, cells, _SHOWN)} list_cells has those of the sweeps' last plans."
    raise CellError("No single cell is meant:", [Problem(f"cell of {store}", found, expected, advice)])


def _read_points(points: Iterable[Any]) -> tuple[list[Point], list[Problem]]:
    """Return the distinct points, and what is wrong with those that are none."""
    if isinstance(points, str) or not isinstance(points, Iterable):
        return [], [Problem("points", repr(points), f"a list, each item {_PAIR}", "Write [(0.5, 0)].")]
    read: dict[Point, None] = {}
    problems = []
    for number, item in enumerate(points):
        where = f"points[{number}]"
        if isinstance(item, Point):
            read[item] = None
            continue
        pair = [] if isinstance(item, str) or not isinstance(item, Iterable) else list(item)
        if len(pair) != 2:
            problems.append(Problem(where, repr(item), _PAIR, "Write [(0.5, 0)] for one point."))
            continue
        try:
            read[Point(*map(coordinate, pair))] = None
        except ValueError:
            problems.append(Problem(where, repr(item), f"{_PAIR}, each {COORDINATE}", "Correct it."))
    return list(read), problems
