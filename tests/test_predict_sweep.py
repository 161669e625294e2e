"""Predictions that are written with a sweep, and by the decision that scores it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from made_predictions import cell, done, everything, folder, gold_sentences, own
from tiny import Tiny, run_job

import xltray.cluster.run
import xltray.sweep
from xltray.cluster.run import RunOutcome
from xltray.evaluator import CellEvaluator
from xltray.grid import CORNERS
from xltray.tasks.parsing import ParsingTask

# Fixtures: pytest looks for them in this module.
__all__ = ["done", "own"]


def test_a_sweep_with_nothing_to_do_writes_predictions(
    own: tuple[Tiny, Path], done: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    assert xltray.sweep.main([str(path)]) == 0
    assert not (tiny.root / "predictions").exists()
    assert xltray.sweep.main([str(path), "--write-predictions"]) == 0
    printed = capsys.readouterr().out
    assert "Nothing to do" in printed
    assert "Wrote 28 files" in printed
    assert everything(tiny.root / "predictions") == everything(done[0].root / "predictions")


@pytest.mark.parametrize("how", ["done", "failed", "interrupted"])
def test_a_sweep_that_ran_writes_what_is_done(
    how: str, own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    job = cell(tiny, "xnli")
    tiny.store.delete(tiny.store.surface_path(job))

    def run_plan(_: object, needed: Mapping[str, Any], *__: object, **___: object) -> RunOutcome:
        assert list(needed) == [job.id]
        if how == "done":
            run_job(job, tiny.context)
            return RunOutcome((job.id,))
        return RunOutcome((), {job.id: "no"} if how == "failed" else {}, interrupted=how == "interrupted")

    monkeypatch.setattr(xltray.cluster.run, "run_plan", run_plan)
    code = xltray.sweep.main([str(path), "--write-predictions"])
    assert code == {"done": 0, "failed": 1, "interrupted": 130}[how]
    assert (tiny.root / "predictions").exists() == (how != "interrupted")
    assert folder(tiny, "xnli").exists() == (how == "done")
    printed = capsys.readouterr().out
    assert ("No predictions of 1 cells: they are not done." in printed) == (how == "failed")
    if how != "done":
        assert f"{path} --write-predictions" in printed, "the command to go on is the same"


def test_scores_and_predictions_come_from_one_decision(
    own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of how trees are found changes scores and predictions alike."""
    tiny, _ = own
    evaluator = CellEvaluator(tiny.context)
    evaluator.load(cell(tiny, "parsing"))
    before = evaluator.score_point(CORNERS["source"])
    monkeypatch.setattr("xltray.tasks.parsing.decode", lambda scores, lengths: scores.argmax(2))
    after = evaluator.score_point(CORNERS["source"])
    assert before != after
    predictions = evaluator.predict_point(CORNERS["source"])
    for language, predicted in predictions.items():
        found = ParsingTask().recount(ParsingTask().written(gold_sentences(tiny, language), predicted))
        assert {score.metric: score[4:7] for score in after if score.language == language} == found
