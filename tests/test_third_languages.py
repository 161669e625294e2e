"""Languages that a cell is scored on besides its own two."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file
from tiny import POINTS, Tiny, make_tiny, run_job

from analysis import trajectories
from analysis.read import load
from analysis.style import Drawing
from xltray.cells import open_cell
from xltray.endpoints import build_model, load_dev_set, open_encoder
from xltray.evaluator import LocalPool
from xltray.inputs import check_names
from xltray.jobs import SurfaceJob, load_job
from xltray.reads import splits
from xltray.started import write_plan
from xltray.surface import score_surface


@pytest.fixture(scope="module")
def three(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny sweep, with one of its cells scored on a third language and on one of its own."""
    root = tmp_path_factory.mktemp("third") / "store"
    shutil.copytree(tiny.root, root)
    shutil.rmtree(root / "surfaces")
    shutil.rmtree(root / "geometry")
    made = make_tiny(root, third_languages=["qad", "qac"])
    run_job(made.cell(), made.context)
    return made


def rows(of: Tiny, job: SurfaceJob) -> pd.DataFrame:
    table: pd.DataFrame = of.store.read_table(of.store.surface_path(job)).to_pandas()
    return table


def test_only_cells_are_named_otherwise(tiny: Tiny, three: Tiny) -> None:
    kinds = ("pretrain", "finetune")
    assert [job.id for kind in kinds for job in three.plan.of_kind(kind)] == [
        job.id for kind in kinds for job in tiny.plan.of_kind(kind)
    ]
    cell = three.cell()
    assert cell.id != tiny.cell().id
    assert cell.languages == ("qaa", "qab", "qac", "qad")
    assert three.cell(target="qad").languages == ("qaa", "qad", "qac"), "its own are scored anyway"
    assert load_job(cell.model_dump_json()) == cell
    assert cell.cost > tiny.cell().cost
    # Two cells a task; four languages where qad is a third one, three where it is the target.
    assert three.plan.evaluations == 2 * (4 + 3) * POINTS * 3


def test_the_cells_own_rows_are_what_they_were(tiny: Tiny, three: Tiny) -> None:
    found, expected = rows(three, three.cell()), rows(tiny, tiny.cell())
    own = found[found["eval_role"] != "other"].drop(columns="cell").reset_index(drop=True)
    pd.testing.assert_frame_equal(own, expected.drop(columns="cell"))
    third = found[found["eval_role"] == "other"]
    assert third.groupby("eval_language").size().to_dict() == {"qac": 3 * POINTS, "qad": 3 * POINTS}


def test_third_languages_are_scored_as_an_endpoint_of_theirs_is(tiny: Tiny, three: Tiny) -> None:
    """The bilingual corner on qad: the score of the same weights on the dev set of an endpoint of qad."""
    bilingual = three.cell().bilingual_endpoint
    encoder = open_encoder(bilingual.encoder, three.context)
    model = build_model(bilingual, encoder, "cpu")
    model.load_state_dict(load_file(three.root / "endpoints" / bilingual.id / "model.safetensors"))
    evaluation = load_dev_set(tiny.endpoint("pos", "qad"), "qad", encoder, three.context).score(model)
    found = rows(three, three.cell()).query("scope == 'all' and a_src == 0 and a_tgt == 0")
    (qad,) = found[found["eval_language"] == "qad"].itertuples()
    assert (qad.correct, qad.gold, qad.examples) == (
        evaluation.counts["accuracy"].correct,
        evaluation.counts["accuracy"].gold,
        30,
    )
    assert 0 < qad.correct < qad.gold


def test_a_run_killed_after_a_chunk_gives_the_same_rows(three: Tiny, tmp_path: Path) -> None:
    again = three.copied(tmp_path / "store")
    job = again.cell()
    (again.root / again.store.surface_path(job)).unlink()
    steps = iter(score_surface(job, again.context, LocalPool(again.context), points_per_chunk=4))
    for _ in range(3):
        next(steps)
    del steps  # as when the process is killed
    run_job(job, again.context)
    pd.testing.assert_frame_equal(rows(again, job), rows(three, job))


def test_an_open_cell_scores_them_too(three: Tiny) -> None:
    write_plan(three.plan, three.store)
    found = open_cell(three.root, three.cell().id).evaluate([(0, 1)])
    stored = rows(three, three.cell()).query("scope == 'all' and a_src == 0 and a_tgt == 1")
    assert found["eval_language"].tolist() == ["qaa", "qab", "qac", "qad"]
    assert found["correct"].tolist() == stored["correct"].tolist()


def test_their_paths_are_drawn(three: Tiny) -> None:
    (figure,) = [one for one in trajectories.draw(load(three.root)) if isinstance(one, Drawing)]
    legend = {text.get_text() for axes in figure.figure.axes for text in axes.texts} | {
        str(line.get_label()) for axes in figure.figure.axes for line in axes.lines
    }
    assert any("qac" in text for text in legend)
    assert any("qad" in text for text in legend)


def test_their_dev_sets_alone_are_read_and_their_names_checked(three: Tiny) -> None:
    assert {split.role for split in splits(three.sweep) if split.language == "qac"} == {"dev"}
    wrong = three.sweep.model_copy(update={"third_languages": ("qaz",)})
    (problem, *_) = check_names(wrong)
    assert (problem.where, problem.found) == ("third_languages", "'qaz'")
