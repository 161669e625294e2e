"""What ``predict`` refuses or leaves out, and what it says then."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from made_predictions import TASKS, cell, done, everything, folder, own, stored_counts
from tiny import Tiny

import xltray.sweep
from xltray.errors import CorpusError, Problem
from xltray.evaluator import CellEvaluator
from xltray.nn.device import resolve
from xltray.predict import main
from xltray.tasks.pos import PosTask

# Fixtures: pytest looks for them in this module.
__all__ = ["done", "own"]


def refused(arguments: Sequence[object], code: int, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.err


def test_malformed_points_come_together(own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["0.5", "a,b", "1/0,0", "nan,0", "1e9,0", "0,0,0", "middle"]
    said = refused([own[1], "--points", "0,0", *wrong], 2, capsys)
    for text in wrong:
        assert f"found {text!r}" in said
    assert "bilingual, source, target, or a_src,a_tgt" in said
    assert not (own[0].root / "predictions").exists()


def test_a_pattern_without_cells(own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]) -> None:
    said = refused([own[1], "--cells", "poss-*", "--cells", "ner-*"], 2, capsys)
    assert "--cells: found 'poss-*'" in said
    assert cell(own[0], "parsing").id in said
    assert not (own[0].root / "predictions").exists()


def test_cells_that_are_not_done_are_named_and_the_others_written(
    own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    tiny.store.delete(tiny.store.surface_path(cell(tiny, "ner")))
    said = refused([path, "tasks=[ner,xnli]"], 1, capsys)
    assert f"cell {cell(tiny, 'ner').id}: found a cell that is not done" in said
    assert f"{sys.orig_argv[0]} -m xltray.sweep {path} 'tasks=[ner,xnli]'" in said
    assert cell(tiny, "xnli").id not in said
    assert not folder(tiny, "ner").exists()
    assert len(everything(folder(tiny, "xnli"))) == 6


def test_weights_that_were_deleted(own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]) -> None:
    tiny, path = own
    job = cell(tiny, "pos")
    tiny.store.delete(tiny.store.endpoint_path(job.target_endpoint.id))
    said = refused([path, "--cells", "pos-*"], 1, capsys)
    assert f"no {tiny.store.endpoint_path(job.target_endpoint.id)} in the store" in said
    assert f"Delete {tiny.store.surface_path(job)} and run the sweep again" in said


def test_a_cell_that_cannot_be_written_stops_no_other(
    own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    weights = tiny.root / tiny.store.endpoint_path(cell(tiny, "pos").source_endpoint.id) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    tiny.store.write_bytes(tiny.store.surface_path(cell(tiny, "ner")), b"no table")
    tiny.store.delete(tiny.store.endpoint_path(cell(tiny, "parsing").source_endpoint.id))
    said = refused([path], 1, capsys)
    assert f"cell {cell(tiny, 'pos').id}: found an error: endpoints/" in said
    assert "has changed since it was written" in said
    assert f" and {tiny.store.surface_path(cell(tiny, 'pos'))} from the store and run the sweep again" in said
    assert f"cell {cell(tiny, 'ner').id}: found a cell that is not done" in said
    assert f"cell {cell(tiny, 'parsing').id}: found no endpoints/" in said
    assert len(everything(folder(tiny, "xnli"))) == 6
    assert {path.name for path in (tiny.root / "predictions").iterdir()} == {cell(tiny, "xnli").id}


def test_nothing_is_praised_where_nothing_was_written(
    own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    tiny.store.delete(tiny.store.endpoint_path(cell(tiny, "pos").target_endpoint.id))
    assert main([str(path), "--cells", "pos-*"]) == 1
    assert capsys.readouterr().out == f"Wrote nothing to {tiny.root}/predictions.\n"


@pytest.mark.parametrize("where", ["predict", "sweep"])
def test_an_interruption(
    where: str, own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CellEvaluator, "load", interrupt)
    command = main if where == "predict" else xltray.sweep.main
    assert command([str(own[1]), *(["--write-predictions"] if where == "sweep" else [])]) == 130
    assert capsys.readouterr().err.startswith("Interrupted.")


def test_data_that_is_broken_alone_has_its_own_exit_code(
    own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def changed(*_: object) -> None:
        raise CorpusError("The data changed.", [Problem("ud en dev", "content a", "b")])

    monkeypatch.setattr(CellEvaluator, "load", changed)
    said = refused([own[1]], 3, capsys)
    for task in TASKS:
        assert f"cell {cell(own[0], task).id}, ud en dev: found content a; expected b" in said
    own[0].store.delete(own[0].store.surface_path(cell(own[0], "ner")))
    refused([own[1]], 1, capsys)


def test_cells_of_another_kind_of_device_are_not_tried(
    own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    for task, device in (
        ("pos", b"cuda: NVIDIA H200"),
        ("ner", b"cuda: NVIDIA H200"),
        ("xnli", b"cpu, cuda: NVIDIA H200"),
    ):
        file = tiny.store.surface_path(cell(tiny, task))
        table = tiny.store.read_table(file)
        metadata = {**table.schema.metadata, b"xltray.device": device}
        tiny.store.write_table(file, table.replace_schema_metadata(metadata))
    assert main([str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("2 of 4 cells are left out: not scored on cpu.\n")
    first = cell(tiny, "pos").id
    assert f"2 of 4 cells ({first}, ...): found scores from cuda: NVIDIA H200; expected" in printed.err
    assert printed.err.count("found") == 1
    assert not folder(tiny, "pos").exists()
    assert folder(tiny, "xnli").exists()
    assert folder(tiny, "parsing").exists()


def change(tiny: Tiny, task: str, column: str, point: tuple[float, float]) -> None:
    """Add one to a count of a cell's file, at a point on the target language."""
    path = tiny.store.surface_path(cell(tiny, task))
    table = tiny.store.read_table(path)
    rows: list[dict[str, Any]] = table.to_pylist()
    (row,) = (row for row in rows if (row["a_src"], row["a_tgt"], row["eval_language"]) == (*point, "de"))
    row[column] += 1
    tiny.store.write_table(path, type(table).from_pylist(rows, schema=table.schema))


def test_other_counts_than_those_stored(own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]) -> None:
    tiny, path = own
    change(tiny, "ner", "predicted", (0.5, 0.5))
    assert main([str(path), "--cells", "ner-*"]) == 0, "at the corners nothing differs"
    said = refused([path, "--cells", "ner-*", "--points", "0.5,0.5"], 1, capsys)
    correct, predicted, gold = stored_counts(tiny, "ner", 0.5, 0.5, "de")["f1"]
    assert f"src0.5_tgt0.5, de, f1: found counts {[correct, predicted - 1, gold]} in the predictions" in said
    assert f"expected {[correct, predicted, gold]}, as stored" in said
    assert not (folder(tiny, "ner") / "src0.5_tgt0.5").exists()


def test_predictions_that_the_evaluator_did_not_count(
    own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    right = PosTask.predict

    def late_by_one(self: PosTask, *arguments: Any) -> Any:
        first, *others = right(self, *arguments)
        return [(first[-1], *first[:-1]), *others]

    monkeypatch.setattr(PosTask, "predict", late_by_one)
    said = refused([path, "--cells", "pos-*"], 1, capsys)
    assert "as evaluated on cpu" in said
    assert not folder(tiny, "pos").exists()


def test_models_that_do_not_score_what_they_scored(
    own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    endpoint = cell(tiny, "parsing").source_endpoint
    marker = f"{tiny.store.endpoint_path(endpoint.id)}/DONE.json"
    done = tiny.done(endpoint)
    done["counts"]["en"]["las"][0] += 1
    tiny.store.write_json(marker, done)
    said = refused([path, "--cells", "parsing-*"], 1, capsys)
    assert "other counts at a corner on cpu" in said
    assert "runtime.device" in said
    assert not folder(tiny, "parsing").exists()


def test_a_gpu_that_is_not_there(own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert (resolve("auto"), resolve("cpu"), resolve("cuda")) == ("cuda", "cpu", "cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolve("auto") == "cpu"
    assert main([str(own[1]), "runtime.device=cuda"]) == 1
