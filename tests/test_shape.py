"""Barriers, straightness and flatness of surfaces whose formula is known; how many seeds a claim needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from made_full import PLANE
from made_results import EXAMPLES, Cell, Truth, write_cell

from analysis import examples, seeds, shape, table_files
from analysis.__main__ import main
from analysis.claims import LEAST_SEEDS
from analysis.measures import prepare
from analysis.read import load
from analysis.tables import AnalysisError
from analysis.texts import Table

CELL = Cell("mbert", "pos", "en", "de", 1)


def measured(folder: Path, truth: Truth, **options: object) -> pd.Series:
    write_cell(folder, CELL, truth, **options)
    return shape.measure(load(folder)).iloc[0]


def test_a_dip_is_the_barrier_of_its_line_alone(tmp_path: Path) -> None:
    row = measured(tmp_path, Truth(dip=0.2))
    assert row["barrier_src_source"] == row["departure_src_source"] == pytest.approx(0.2)
    assert row["barrier_src_target"] == pytest.approx(0, abs=1e-12)
    assert row["barrier_tgt_source"] == pytest.approx(0, abs=1e-12)
    assert row["r2_src_target"] == pytest.approx(1)


def test_a_barrier_is_below_the_straight_line_and_not_below_an_end() -> None:
    alphas = np.array([0.0, 0.5, 1.0])
    below = shape.departure(alphas, np.array([0.2, 0.4, 1.0]))
    assert below.barrier == pytest.approx(0.2), "rising throughout, and yet below the line"
    above = shape.departure(alphas, np.array([0.2, 0.9, 1.0]))
    assert (above.barrier, above.largest) == pytest.approx((0.0, 0.3))


def test_flatness_of_a_slope_is_known(tmp_path: Path) -> None:
    # Without a fall: the target score depends on a_src alone, from 0.9 at 0 down by 0.4 a unit, cut at 1.
    row = measured(tmp_path, Truth(zero_shot=0.5, fall=0.0), plane=PLANE)
    columns = np.array([float(x) for x in PLANE])
    best = 0.9 + 0.4 * 0.25
    scores = np.minimum(1.0, 0.9 - 0.4 * columns)
    assert scores.max() == pytest.approx(best)
    assert row["area_target"] == pytest.approx((scores >= 0.95 - 1e-12).mean())
    assert row["near_source_only_target"] == 0.0
    # Rings around a model are symmetric, so a slope cancels: no drop at all where nothing is cut off.
    assert row["drop_source_only_target"] == pytest.approx(0, abs=1e-9)
    assert row["area_source"] < 1


def test_a_bowl_drops_by_its_height_at_the_radius(tmp_path: Path) -> None:
    def bowl(rows: pd.DataFrame) -> pd.DataFrame:
        apart = np.hypot(rows["a_src"] - 1, rows["a_tgt"])
        return rows.assign(value=0.9 - 0.1 * apart**2)

    row = measured(tmp_path, Truth(), plane=PLANE, keep=bowl)
    # The ring takes points at 0.45 to 0.55: their mean square distance is near 0.25.
    assert row["drop_source_only_target"] == pytest.approx(0.025, abs=0.002)
    assert row["near_source_only_target"] == 1.0
    assert row["near_bilingual_target"] < 0.5


def test_a_plane_without_any_score_is_not_flat(tmp_path: Path) -> None:
    row = measured(tmp_path, Truth(), plane=PLANE, keep=lambda rows: rows.assign(value=0.0))
    assert np.isnan([row["area_target"], row["near_bilingual_target"]]).all()
    assert row["drop_bilingual_target"] == 0


def test_level_curves_have_no_straightness(tmp_path: Path) -> None:
    """Source: 0.9 to 0.86, nothing but a level line with a dip; target: a rise of 40 points."""
    row = measured(tmp_path, Truth(source=0.9, bilingual=0.86, dip=0.02))
    assert np.isnan(row["r2_src_source"])
    assert row["barrier_src_source"] == pytest.approx(0.02)
    assert row["r2_src_target"] == pytest.approx(1)
    (table, *_) = shape.tables(shape.measure(load(tmp_path)))
    assert "R² (where its ends differ by more than 5 points)" in table.title
    assert table.header == ["task", "encoder", "line", "scored on", "barrier", "departure", "R²"]
    lines = {tuple(row[2:4]): row[4:] for row in table.rows}
    assert lines["from source-only", "source"] == ["2.0", "2.0", "–"]
    assert lines["from source-only", "target"] == ["0.0", "0.0", "1.00"]


def test_planes_have_a_row_for_each_language_scored(tmp_path: Path) -> None:
    write_cell(tmp_path, CELL, plane=PLANE)
    measured_once = shape.measure(load(tmp_path))
    (_, table) = shape.tables(measured_once)
    assert [row[2] for row in table.rows] == ["source", "target"]
    heads = dict(zip(table.header, table.rows[1], strict=True))
    row = measured_once.iloc[0]
    assert heads["good, near source-only"] == f"{100 * row['near_source_only_target']:.1f}"
    assert heads["drop from bilingual"] == f"{100 * row['drop_bilingual_target']:.1f}"


def test_what_is_not_whole_has_no_value(tmp_path: Path) -> None:
    def with_a_hole(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[~((rows["a_src"] == 0.5) & (rows["a_tgt"] == 0))]

    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0), plane=PLANE)
    write_cell(tmp_path, CELL, plane=PLANE, keep=with_a_hole)
    whole, holed = shape.measure(load(tmp_path)).sort_values("seed").to_dict("records")
    assert np.isfinite(whole["barrier_src_source"])
    assert np.isnan([holed["barrier_src_source"], holed["area_target"]]).all()
    assert np.isfinite(holed["barrier_tgt_source"])


# Seeds


@pytest.mark.parametrize(
    ("deviation", "margin", "number"), [(0.0, 0.01, LEAST_SEEDS), (1.0, 1.0, 7), (1.0, 0.01, None)]
)
def test_seeds_follow_students_t(deviation: float, margin: float, number: int | None) -> None:
    # 7 seeds: 2.447 / sqrt(7) = 0.925; 6: 2.571 / sqrt(6) = 1.050.
    assert seeds.seeds_for(deviation, margin) == number


def test_needs_come_from_means_of_seeds(tmp_path: Path) -> None:
    for target, zero_shot in (("de", 0.5), ("zh", 0.7)):
        for seed in range(3):
            truth = Truth(zero_shot=zero_shot, noise_target=0.1)
            write_cell(tmp_path, Cell("mbert", "pos", "en", target, seed), truth)
    (need,) = [one for one in seeds.needs(prepare(load(tmp_path)), ["mbert"]) if one.part.key == "2a"]
    assert (need.effect, need.deviation, need.had) == pytest.approx((0.3, 0.1, 3))
    assert need.margin == pytest.approx(0.25)
    # Two seeds reach 0.9, three 4.303 x 0.1 / 1.73 = 0.248.
    assert need.seeds == 3


def test_a_seed_that_is_missing_somewhere_costs_as_few_cells_as_can_be(tmp_path: Path) -> None:
    """Seed 2 is there for one pair only; it goes, rather than the five pairs that lack it."""
    for target in ("de", "zh", "fr", "es", "ru", "hi"):
        for seed in range(3 if target == "de" else 2):
            write_cell(tmp_path, Cell("mbert", "pos", "en", target, seed), Truth(noise_target=0.1))
    found = seeds.needs(prepare(load(tmp_path)), ["mbert"])
    (need,) = [one for one in found if one.part.key == "2a"]
    assert (need.used, need.there, need.had) == (6, 6, 2)
    assert need.effect == pytest.approx(0.45)
    table = seeds.table(found)
    assert "if there were at least 6 pairs; variance over seeds only" in table.title
    assert table.rows[0][table.header.index("tasks x pairs used")] == "6 of 6"


def test_a_pair_that_lacks_seeds_is_left_out_rather_than_the_seeds() -> None:
    every = pd.DataFrame({0: [1.0, 2.0, 3.0], 1: [1.0, 2.0, 3.0], 2: [1.0, 2.0, np.nan]})
    assert seeds.fullest(every).equals(every.iloc[:2]), "2 x 3 cells, and more seeds than 3 x 2"
    assert seeds.fullest(every[[0]]).empty
    assert seeds.fullest(pd.DataFrame({0: [1.0, np.nan], 1: [np.nan, 1.0]})).empty


# Examples and other tables


def test_examples_come_from_surfaces_and_endpoints(tmp_path: Path) -> None:
    write_cell(tmp_path, CELL)
    results = load(tmp_path)
    counts = examples.counts(tmp_path, results)
    assert counts == {("en", "pos", "dev"): {EXAMPLES}, ("de", "pos", "dev"): {EXAMPLES}}
    assert "no count of training examples for pos de, pos en" in examples.missing(counts, results)[0]
    for name, task, said in (
        ("a", "pos", {"en": {"train": 7, "dev": EXAMPLES}}),
        ("b", "pos", {"de": {"train": 5, "dev": EXAMPLES}}),
        ("c", "ner", {"en": {"train": 99, "dev": 99}}),
        ("old", "pos", None),
    ):
        folder = tmp_path / "endpoints" / name
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(json.dumps({"task": task}))
        (folder / "DONE.json").write_text(json.dumps({} if said is None else {"examples": said}))
    (tmp_path / "endpoints" / "broken").mkdir()
    (tmp_path / "endpoints" / "broken" / "DONE.json").write_text("[")
    counts = examples.counts(tmp_path, load(tmp_path))
    assert examples.missing(counts, results) == []
    rows = examples.table(counts).rows
    assert rows == [
        ["German", "train", "5"],
        ["German", "dev", str(EXAMPLES)],
        ["English", "train", "7"],
        ["English", "dev", str(EXAMPLES)],
    ]


def test_third_languages_are_not_trained_on(tmp_path: Path) -> None:
    def with_third(rows: pd.DataFrame) -> pd.DataFrame:
        third = rows[rows["eval_role"] == "target"].assign(eval_role="other", eval_language="fr")
        return pd.concat([rows, third])

    write_cell(tmp_path, CELL, keep=with_third)
    results = load(tmp_path)
    counts = examples.counts(tmp_path, results)
    assert ("fr", "pos", "dev") in counts
    assert "no count of training examples for pos de, pos en (" in examples.missing(counts, results)[0]


def test_only_endpoints_that_the_cells_were_made_of_count(tmp_path: Path) -> None:
    cell = write_cell(tmp_path, CELL)
    for name, number in (("mine", 7), ("other", 99)):
        folder = tmp_path / "endpoints" / name
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(json.dumps({"task": "pos"}))
        (folder / "DONE.json").write_text(json.dumps({"examples": {"en": {"train": number}}}))
    assert examples.counts(tmp_path, load(tmp_path))["en", "pos", "train"] == {7, 99}
    path = next((tmp_path / "surfaces").rglob("*.parquet"))
    rows = pq.ParquetFile(path).read()
    said = {"xltray.cell": cell, "xltray.endpoint.source": "mine"}
    pq.write_table(rows.replace_schema_metadata({**rows.schema.metadata, **said}), path)
    assert examples.counts(tmp_path, load(tmp_path))["en", "pos", "train"] == {7}


def test_latex_is_escaped_and_has_as_many_columns_as_cells() -> None:
    text = table_files.latex([("pos", Table("50% of a_b", ["name", "value"], [["x & y", "1.0 ± 0.2"]]))], "t")
    assert r"\begin{tabular}{@{}lr@{}}" in text
    assert r"x \& y & 1.0\,$\pm$\,0.2 \\" in text
    assert r"\caption{50\% of a\_b.}" in text
    assert r"\label{tab:t-pos}" in text


def test_results_files_hold_the_scores(tmp_path: Path) -> None:
    for seed in range(3):
        write_cell(tmp_path, Cell("mbert", "pos", "en", "de", seed), Truth(noise_target=0.03))
    assert main([str(tmp_path)]) == 0
    figures = tmp_path / "figures"
    (row,) = pd.read_csv(figures / "results.csv").to_dict("records")
    assert row["source_only_on_target_mean"] == pytest.approx(0.5)
    assert row["source_only_on_target_sd"] == pytest.approx(0.03)
    assert r"50.0\,$\pm$\,3.0" in (figures / "results.tex").read_text(encoding="utf-8")
    assert "50.0 ± 3.0" in (figures / "results.md").read_text(encoding="utf-8")
    captions = (figures / "captions.md").read_text(encoding="utf-8")
    assert {path.stem for path in figures.glob("*.pdf")} == {
        line.split("**")[1].removesuffix(".pdf") for line in captions.splitlines() if line.startswith("**")
    }


# Choosing


def test_encoders_and_tasks_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [
        write_cell(tmp_path, Cell(encoder, task, "en", "de", 0))
        for encoder in ("mbert", "xlmr")
        for task in ("pos", "ner")
    ]
    plan = tmp_path / "sweeps" / "s" / "plan.json"
    plan.parent.mkdir(parents=True)
    absent = ["pos-en-zh-s0-xlmr-0123abcd", "ner-en-zh-s0-xlmr", "pos-en-zh-s0-mbert"]
    plan.write_text(json.dumps({"surfaces": [*ids, *absent], "controls": []}))
    chosen = load(tmp_path, encoders=["xlmr"], tasks=["pos"])
    assert set(chosen.surfaces["cell"]) == set(chosen.geometry["cell"]) == {"pos-en-de-s0-xlmr"}
    assert chosen.known == ("mbert", "xlmr"), "so that xlmr keeps its colour"
    assert "Only cells of --encoders xlmr, --tasks pos." in chosen.notes
    assert "No surface yet for 1 of 2 planned cells: pos-en-zh-s0-xlmr-0123abcd." in chosen.notes
    with pytest.raises(AnalysisError, match=r"--tasks xnli: no such task in these results\. There: ner, pos"):
        load(tmp_path, tasks=["xnli"])
    assert main([str(tmp_path), "--encoders", "bert"]) == 2
    assert "There: mbert, xlmr" in capsys.readouterr().err
