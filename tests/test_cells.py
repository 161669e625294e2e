"""Cells opened from Python: the store's own rows at its points, right ones elsewhere, clear refusals."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from safetensors.numpy import load_file, save_file
from tiny import POINTS, Tiny

from xltray import cells
from xltray.cells import Cell, list_cells, open_cell
from xltray.errors import CellError, CornerMismatchError, DamagedError, StoreError, XltrayError
from xltray.grid import CORNERS, Point
from xltray.plan import Plan
from xltray.started import write_plan
from xltray.store import Store

LINE = ["a_src", "a_tgt", "on_src_line", "on_tgt_line", "on_plane", "alpha"]


@pytest.fixture(scope="module")
def started(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A sweep that was run, with its plan in the store; for reading only."""
    own = tiny.copied(tmp_path_factory.mktemp("started") / "store")
    write_plan(own.plan, own.store)
    return own


@pytest.fixture
def own(started: Tiny, tmp_path: Path) -> Tiny:
    """A copy of it to change."""
    return started.copied(tmp_path / "store")


@pytest.fixture(scope="module")
def pos(started: Tiny) -> Cell:
    return open_cell(started.root, started.cell().id)


def stored(tiny: Tiny, cell: str) -> pd.DataFrame:
    rows = pd.read_parquet(tiny.root / "surfaces")
    return rows[rows["cell"] == cell].reset_index(drop=True)


# Rows.


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_at_points_of_the_grid_the_rows_are_the_stores(started: Tiny, task: str) -> None:
    cell = open_cell(started.root, started.cell(task, "qad").id)
    assert len(cell.grid) == POINTS
    frames = [cell.evaluate(cell.grid.points, scope=scope) for scope in ("all", "encoder", "head")]
    # Whole: values, order, types, categories and names of columns.
    assert_frame_equal(pd.concat(frames, ignore_index=True), stored(started, cell.job.id))


def test_rows_can_be_put_beside_the_stores(started: Tiny, pos: Cell) -> None:
    rows = pd.read_parquet(started.root / "surfaces")
    together = pd.concat([rows, pos.evaluate([(0.25, 0.25)])])
    assert together.dtypes.equals(rows.dtypes)


def test_a_store_without_surfaces_has_the_cells_own_categories(own: Tiny) -> None:
    own.store.delete("surfaces")
    frame = open_cell(own.root, own.cell().id).evaluate([(0, 0)])
    assert frame["encoder"].cat.categories.tolist() == ["small"]
    assert frame["task"].cat.categories.tolist() == ["pos"]
    assert frame["task"].tolist() == ["pos", "pos"]


def test_parts_of_unfinished_cells_give_no_categories(own: Tiny) -> None:
    own.store.write_bytes("surfaces/encoder=other/task=ner/_x.parts/1.parquet", b"")
    own.store.write_bytes("surfaces/encoder=small/task=xnli/_x.parquet", b"")
    frame = open_cell(own.root, own.cell().id).evaluate([(1, 0)])
    for column in ("encoder", "task"):
        read = pd.read_parquet(own.root / "surfaces")[column]
        assert frame[column].cat.categories.equals(read.cat.categories)


@pytest.mark.parametrize(
    ("point", "flags"),
    [
        # Of the grid: what is stored. (1/2, 1/2) is the plane's, (3/2, 0) only the line's.
        ((0.5, 0.5), (0.5, 0.5, False, False, True, None)),
        ((1.5, 0), (1.5, 0.0, True, False, False, -0.5)),
        # Others: by the equations.
        ((0.25, 0), (0.25, 0.0, True, False, False, 0.75)),
        ((0, "1/4"), (0.0, 0.25, False, True, False, 0.75)),
        ((0, Fraction(-2)), (0.0, -2.0, False, True, False, 3.0)),
        ((0.25, 0.25), (0.25, 0.25, False, False, False, None)),
    ],
)
def test_lines_and_alpha(pos: Cell, point: tuple[Any, Any], flags: tuple[Any, ...]) -> None:
    frame = pos.evaluate([point])
    inside = Point(*map(Fraction, point)) in pos.grid
    assert (frame["point"] >= 0).tolist() == [inside] * 2
    assert inside or frame["point"].tolist() == [-1, -1]
    for _, row in frame[LINE].iterrows():
        assert tuple(None if pd.isna(value) else value for value in row) == flags


def test_points_come_in_the_order_asked_each_once(pos: Cell) -> None:
    frame = pos.evaluate(
        [(1, 0), (0, 0), ("1.0", Fraction(0)), (np.int64(0), np.float32(0.5)), CORNERS["source"]]
    )
    first = frame.drop_duplicates(["a_src", "a_tgt"])
    assert list(zip(first["a_src"], first["a_tgt"], strict=True)) == [(1, 0), (0, 0), (0, 0.5)]
    assert len(frame) == 6
    assert frame["eval_role"].tolist() == ["source", "target"] * 3


def test_no_points_give_no_rows_of_the_same_types(pos: Cell) -> None:
    empty, one = pos.evaluate([]), pos.evaluate([(0, 0)])
    assert len(empty) == 0
    assert empty.dtypes.equals(one.dtypes)


def test_floats_are_the_decimals_that_are_written(pos: Cell) -> None:
    tenth, written, third = (pos.evaluate([(a, 0)])["alpha"].iloc[0] for a in (0.1, "1/10", "1/3"))
    # 1 - 0.1 of exact tenths, rounded once.
    assert tenth == written == 0.9
    assert third == 2 / 3


def test_a_scope_moves_only_its_part(pos: Cell) -> None:
    counts = {
        scope: pos.evaluate([(1.25, 1)], scope=scope)["loss"].tolist() for scope in ("all", "encoder", "head")
    }
    assert len({tuple(losses) for losses in counts.values()}) == 3
    with pytest.raises(
        CellError, match=r"(?s)scope: found 'heads'.*Did you mean 'head'\? Known: all, encoder"
    ):
        pos.evaluate([(0, 0)], scope="heads")  # type: ignore[arg-type]


# Points that are none.


@pytest.mark.parametrize(
    "coordinate",
    [
        float("nan"),
        float("inf"),
        "0,5",
        "half",
        "1/0",
        "1e5",
        True,
        None,
        10**9,
        -1e12,
        1j,
        np.float32("nan"),
    ],
    ids=repr,
)
def test_what_is_no_coordinate_is_refused(pos: Cell, coordinate: object) -> None:
    with pytest.raises(CellError) as refused:
        pos.evaluate([(0, 0), (coordinate, 0)])
    assert pos.job.id in str(refused.value)
    (problem,) = refused.value.problems
    assert (problem.where, problem.found) == ("points[1]", repr((coordinate, 0)))
    assert "finite number" in problem.expected


def test_what_is_no_pair_is_refused_all_at_once(pos: Cell) -> None:
    with pytest.raises(CellError) as refused:
        pos.evaluate([(0, 0), (0, 0, 0), 0.5, "10", ("x", 0)])
    assert [problem.where for problem in refused.value.problems] == [f"points[{n}]" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("points", [0.5, "0.5,0", CORNERS["source"]], ids=repr)
def test_what_is_no_list_is_refused(pos: Cell, points: Any) -> None:
    with pytest.raises(CellError, match=r"points: found .*; expected a list.*\[\(0\.5, 0\)\]"):
        pos.evaluate(points)


# Which cell.


def test_cells_are_listed_with_what_there_is_of_them(own: Tiny) -> None:
    lost, unscored = own.cell("parsing", "qad"), own.cell("pos", "qad")
    own.store.delete(own.store.endpoint_path(lost.target_endpoint.id))
    own.store.delete(own.store.surface_path(unscored))
    listed = list_cells(str(own.root)).set_index("cell")
    assert listed.columns.tolist() == ["encoder", "task", "source", "target", "seed", "ready", "scored"]
    assert set(listed.index) == {job.id for job in own.plan.of_kind("surface")}
    assert listed.index[~listed["ready"]].tolist() == [lost.id]
    assert listed.index[~listed["scored"]].tolist() == [unscored.id]
    assert listed.loc[lost.id].tolist() == ["small", "parsing", "qaa", "qad", 0, False, True]
    # Its endpoints are all that a cell needs.
    assert len(open_cell(own.root, unscored.id).evaluate([(0, 0)])) == 2
    advice = rf"(?s){lost.id}.*no endpoints/{lost.target_endpoint.id} in the store.*run the sweep again"
    with pytest.raises(CellError, match=advice):
        open_cell(own.root, lost.id)


def test_to_open_a_cell_no_scores_are_read(started: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    read, refuse = Store.read_bytes, ("surfaces/", "geometry/")

    def read_others(store: Store, path: str) -> bytes:
        if path.startswith(refuse):
            raise StoreError(f"cannot read {path}")
        return read(store, path)

    monkeypatch.setattr(Store, "read_bytes", read_others)
    assert open_cell(started.root, started.cell().id).job == started.cell()
    with pytest.raises(StoreError, match="cannot read"):
        list_cells(started.root)


def test_the_beginning_of_an_id_will_do(started: Tiny) -> None:
    assert open_cell(started.root, "pos-qaa-qad").job == started.cell("pos", "qad")
    with pytest.raises(
        CellError, match=r"'pos-', which 2 cells begin with \(pos-qaa-qab-.*Give more"
    ) as refused:
        open_cell(started.root, "pos-")
    assert started.cell("pos", "qad").id in str(refused.value)


def test_a_whole_id_is_meant_where_others_begin_with_it(started: Tiny) -> None:
    known = cells._planned(started.store)
    short = started.cell().id
    known[f"{short}0"] = known[started.cell("parsing").id]
    assert cells._find(short, known, started.store).job.id == short


def test_an_unknown_cell_names_near_ones(started: Tiny) -> None:
    right = started.cell().id
    wrong = right.replace("qab", "qaz")
    with pytest.raises(
        CellError, match=rf"(?s){started.root}.*found '{wrong}'.*Did you mean '{right}'\? Known: "
    ):
        open_cell(started.root, wrong)


@pytest.mark.parametrize("ask", [list_cells, lambda root: open_cell(root, "pos")])
def test_a_folder_that_is_no_store(tmp_path: Path, ask: Any) -> None:
    with pytest.raises(StoreError, match=rf"{tmp_path}.*no started sweep.*Check the path"):
        ask(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["plan.json", "sweep.yaml"])
def test_a_sweep_that_cannot_be_read_hides_no_other(own: Tiny, file: str) -> None:
    sweep = own.sweep.model_copy(update={"name": "another"})
    write_plan(Plan(sweep, own.plan.jobs), own.store)
    own.store.write_bytes(f"sweeps/another/{file}", b'{"jobs": [{}]}')
    with pytest.warns(UserWarning, match=rf"'another' are left out.*{file}") as warned:
        listed = list_cells(own.root)
    assert [Path(warning.filename) for warning in warned] == [Path(__file__)]
    assert len(listed) == 4
    with pytest.warns(UserWarning, match="left out"):
        assert open_cell(own.root, own.cell().id).job == own.cell()


# Device and data.


def test_an_unknown_device_and_a_gpu_that_is_not_there(
    started: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CellError, match=r"device: found 'cuda:0'.*Did you mean 'cuda'\?"):
        open_cell(started.root, started.cell().id, device="cuda:0")  # type: ignore[arg-type]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(XltrayError, match=r"device: found no GPU.*Set device=cpu"):
        open_cell(started.root, started.cell().id, device="cuda")
    assert open_cell(started.root, started.cell().id, device="auto").job == started.cell()


def test_a_device_that_disagrees_is_refused(own: Tiny) -> None:
    endpoint = own.cell().source_endpoint
    done = own.done(endpoint)
    done["counts"]["qaa"]["accuracy"][0] += 1
    own.store.write_json(f"{own.store.endpoint_path(endpoint.id)}/DONE.json", done)
    with pytest.raises(
        CornerMismatchError, match=rf"{own.cell().id}: found other counts.*on cpu.*device="
    ) as refused:
        open_cell(own.root, own.cell().id)
    assert "source corner" in str(refused.value.__cause__)


def test_the_data_may_lie_elsewhere(started: Tiny, tmp_path: Path) -> None:
    cell = open_cell(started.root, started.cell().id, data_root=tmp_path)
    assert cell._evaluator.context.data.root == str(tmp_path)
    assert cell._evaluator.context.store.uri == Store(str(started.root)).uri


def test_a_cell_with_a_damaged_endpoint_is_refused(own: Tiny) -> None:
    path = own.root / "endpoints" / own.cell().target_endpoint.id / "model.safetensors"
    weights = load_file(path)
    save_file({name: value * 2 for name, value in weights.items()}, path)
    with pytest.raises(DamagedError, match="has changed since it was written") as refused:
        open_cell(own.root, own.cell().id)
    # What it advises is enough, and needed: the cell is done.
    surface, endpoint = own.store.surface_path(own.cell()), own.cell().target_endpoint
    said = (
        f"Outside a sweep nothing is set aside. Delete {own.store.endpoint_path(endpoint.id)} and {surface} "
    )
    assert said in str(refused.value)
    own.store.delete(own.store.endpoint_path(endpoint.id))
    assert endpoint.id not in own.plan.needed(own.store.done_ids(own.plan.jobs.values()))
    own.store.delete(surface)
    own.run(own.plan.needed(own.store.done_ids(own.plan.jobs.values())).values())
    open_cell(own.root, own.cell().id)


def test_of_a_cell_that_is_not_scored_only_the_endpoint_is_to_be_deleted(own: Tiny) -> None:
    folder = own.store.endpoint_path(own.cell().target_endpoint.id)
    own.store.delete(own.store.surface_path(own.cell()))
    own.store.delete(f"{folder}/model.safetensors")
    with pytest.raises(
        DamagedError, match=rf"Delete {folder} from the store and run .*: it makes it anew\.$"
    ):
        open_cell(own.root, own.cell().id)


def test_no_ray_is_imported(started: Tiny) -> None:
    script = (
        "import sys; from xltray.cells import open_cell; "
        f"frame = open_cell({str(started.root)!r}, {started.cell().id!r}).evaluate([(0, 0)]); "
        "print(len(frame), 'ray' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["2", "False"]
