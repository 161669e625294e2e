"""Scoring in bfloat16: what is rounded, when a cell may be scored so, and what its files say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import made_models as made
import pytest
import torch
from tiny import Tiny

from xltray import evaluator as evaluator_module
from xltray import precision
from xltray.evaluator import CellEvaluator, LocalPool
from xltray.geometry import measure
from xltray.grid import CORNERS, Chunk, Point
from xltray.jobs import SurfaceJob
from xltray.nn.flat import FlatModel
from xltray.nn.half import HalfTwin
from xltray.nn.model import EndpointModel
from xltray.nn.packing import Layout, Tokens, pack
from xltray.precision import COMPARED, Scoring, judge, together
from xltray.results import Score
from xltray.surface import score_surface

WHOLE = Point(Fraction(1, 3), Fraction(1, 4))


def score(correct: int, *, of: int = 1000, language: str = "qaa") -> Score:
    return Score("all", -1, language, "f1", correct, of, of, None, 30)


def half_job(tiny: Tiny, task: str) -> SurfaceJob:
    """The cell of a sweep with ``evaluation: {dtype: bfloat16}``."""
    return SurfaceJob.model_validate(
        tiny.cell(task).model_dump() | {"evaluation": {"dtype": "bfloat16"}}, strict=False
    )


# The choice.


def test_the_corners_and_five_other_points_are_compared() -> None:
    assert len(set(COMPARED)) == len(CORNERS) + 5
    assert set(CORNERS.values()) < set(COMPARED)


@pytest.mark.parametrize(
    ("correct", "of", "dtype"),
    [(501, 1000, "bfloat16"), (502, 1000, "float32"), (498, 1000, "float32"), (5009, 10_000, "bfloat16")],
)
def test_a_tenth_of_a_point_is_allowed_and_no_more(correct: int, of: int, dtype: str) -> None:
    full = [[score(500), score(500, language="qab")] for _ in COMPARED]
    half = [list(row) for row in full]
    half[6][1] = score(correct, of=of, language="qab")
    found = judge(full, half, "cpu")
    assert found.dtype == dtype
    assert "f1 on qab at a_src 1, a_tgt 1" in found.why
    assert f"{abs(correct / of - 0.5):.5f}" in found.why


def test_equal_scores_allow_it_and_empty_ones_are_equal() -> None:
    rows = [[score(0, of=0)] for _ in COMPARED]
    assert judge(rows, rows, "cpu").dtype == "bfloat16"


def test_the_records_of_several_servers_are_put_together() -> None:
    scorings = [Scoring("cuda: B"), Scoring("cuda: A", "bfloat16", "why"), Scoring("cuda: B")]
    assert together(scorings) == Scoring("cuda: A, cuda: B"), "one that may not keeps all from it"
    assert together(scorings[:1]) == scorings[0]
    assert together([scorings[1], scorings[1]._replace(why="also")]).records() == {
        "device": "cuda: A",
        "dtype": "bfloat16",
        "dtype_reason": "also, why",
    }
    assert scorings[0].records() == {"device": "cuda: B", "dtype": "float32"}
    assert scorings[1].records() == {"device": "cuda: A", "dtype": "bfloat16", "dtype_reason": "why"}


# The twin.


@pytest.mark.parametrize("family", ["bert", "eurobert", "deberta-v2"])
def test_the_twin_is_the_model_with_its_encoder_rounded(family: str) -> None:
    model = EndpointModel(made.encoder(family), torch.nn.Linear(16, 3), 0.2).eval()
    flat = FlatModel(model)
    twin = HalfTwin(model)
    batch = pack([Tokens([7, 8, 9], [0] * 3), Tokens([5, 6], [0] * 2)], layout=Layout.RUNS)
    rounded = made.encoder(family)
    for factor in (1.0, 0.5):  # the weights move
        flat.assign(flat.flat_P * factor)
        rounded.load_state_dict(model.encoder.state_dict())
        for parameter in rounded.parameters():
            parameter.data = parameter.data.bfloat16()
        with torch.inference_mode():
            hidden_TH = twin.following(flat)(batch)
            expected_TH = EndpointModel(rounded, torch.nn.Identity(), 0.0).eval()(batch)
            full_TH = model(batch)
        assert hidden_TH.dtype == torch.float32
        assert torch.equal(hidden_TH, expected_TH)
        assert not torch.equal(hidden_TH, full_TH)
        torch.testing.assert_close(hidden_TH, full_TH, atol=0.2, rtol=0.1)
    assert twin.following(flat).head is model.head
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


# A cell.


class Allowed:
    """Allows differences of so much, and notes what type encoders compute in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tolerance: int) -> None:
        monkeypatch.setattr(precision, "TOLERANCE", Fraction(tolerance))
        self.events: list[object] = []
        score_point, check = CellEvaluator._model_at, evaluator_module.check_corner

        def model_at(evaluator: CellEvaluator, point: Point, scope: str) -> Any:
            model = score_point(evaluator, point, scope)
            self.events.append(next(model.encoder.parameters()).dtype)
            return model

        def checked(*arguments: Any) -> None:
            self.events.append("check")
            check(*arguments)

        monkeypatch.setattr(CellEvaluator, "_model_at", model_at)
        monkeypatch.setattr(evaluator_module, "check_corner", checked)


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_corners_are_checked_in_float32_then_points_are_compared_then_scored_in_half(
    tiny: Tiny, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = Allowed(monkeypatch, 1)
    evaluator = CellEvaluator(tiny.context)
    scoring = evaluator.load(half_job(tiny, task))
    assert (scoring.device, scoring.dtype) == ("cpu", "bfloat16")
    full, half = torch.float32, torch.bfloat16
    assert allowed.events == [full, "check"] * 3 + [full] * len(COMPARED) + [half] * len(COMPARED)
    allowed.events.clear()
    scores = evaluator.score_point(WHOLE)
    evaluator.predict_point(WHOLE)
    assert allowed.events == [half, half]
    whole = CellEvaluator(tiny.context)
    assert whole.load(tiny.cell(task)) == Scoring("cpu")
    differing = [
        score.loss != other.loss for score, other in zip(scores, whole.score_point(WHOLE), strict=True)
    ]
    assert all(differing)
    assert measure(evaluator._held().model.layout, evaluator._held().endpoints) == whole.geometry()
    evaluator.score_in_full()
    assert evaluator.score_point(WHOLE) == whole.score_point(WHOLE)


def test_a_cell_that_half_precision_would_change_is_scored_in_full(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    Allowed(monkeypatch, -1)
    evaluator, whole = CellEvaluator(tiny.context), CellEvaluator(tiny.context)
    scoring = evaluator.load(half_job(tiny, "parsing"))
    assert scoring.dtype == "float32"
    assert scoring.why.endswith("; -1.0 is allowed")
    whole.load(tiny.cell("parsing"))
    assert evaluator.score_point(WHOLE) == whole.score_point(WHOLE)
    assert evaluator.predict_point(WHOLE) == whole.predict_point(WHOLE)


class Stopping(LocalPool):
    """Dies before the third chunk."""

    def score(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, list[Score]]]:
        yield from super().score(chunks[:2])
        raise RuntimeError("killed")


def test_files_say_what_was_used_and_why_and_never_mix_types(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tiny.copied(tmp_path / "store")
    job = half_job(own, "pos")
    assert job.id != own.cell("pos").id

    def run(pool: Callable[..., LocalPool], tolerance: int) -> None:
        monkeypatch.setattr(precision, "TOLERANCE", Fraction(tolerance))
        for _ in score_surface(job, own.context, pool(own.context), points_per_chunk=4):
            pass

    with pytest.raises(RuntimeError, match="killed"):
        run(Stopping, 1)
    parts = own.store.parts_path(job)
    (first, *_) = own.store.names(parts)
    metadata = own.store.read_table(f"{parts}/{first}").schema.metadata
    assert metadata[b"xltray.dtype"] == b"bfloat16"
    # Goes on where half precision is refused: nothing of what is there is kept.
    run(LocalPool, -1)
    table = own.store.read_table(own.store.surface_path(job))
    assert table.schema.metadata[b"xltray.dtype"] == b"float32"
    assert b"differ from float32 by at most" in table.schema.metadata[b"xltray.dtype_reason"]
    geometry = own.store.read_table(own.store.geometry_path(job)).schema.metadata
    assert geometry[b"xltray.dtype"] == b"float32"
    full = own.store.read_table(own.store.surface_path(own.cell("pos")))
    assert table.drop_columns("cell").equals(full.drop_columns("cell"))
    assert b"xltray.dtype_reason" not in full.schema.metadata


def test_half_precision_is_kept_by_a_run_that_goes_on(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tiny.copied(tmp_path / "store")
    job = half_job(own, "pos")
    monkeypatch.setattr(precision, "TOLERANCE", Fraction(1))
    with pytest.raises(RuntimeError, match="killed"):
        list(score_surface(job, own.context, Stopping(own.context), points_per_chunk=4))
    seen = [progress.done for progress in score_surface(job, own.context, LocalPool(own.context))]
    assert seen[0] == 4 + 4
    metadata = own.store.read_table(own.store.surface_path(job)).schema.metadata
    assert metadata[b"xltray.dtype"] == b"bfloat16"
