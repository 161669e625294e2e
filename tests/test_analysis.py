"""Reading results, the summary and the command; figures and statistics have tests of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import made_figures
import matplotlib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from made_results import (
    FEW_ALPHAS,
    PAPER_ALPHAS,
    TRUTH,
    UNEVEN,
    Cell,
    Truth,
    write_cell,
    write_plan,
)

from analysis import findings
from analysis.__main__ import main
from analysis.read import Results, load
from analysis.summary import summarise
from analysis.tables import AnalysisError, NothingThereError

matplotlib.use("Agg")

# Fixtures: pytest looks for them in this module.
shared, results = made_figures.shared, made_figures.results


def row_of(table: pd.DataFrame, encoder: str, task: str = "pos", target: str = "de") -> pd.Series:
    chosen = (table["encoder"] == encoder) & (table["task"] == task) & (table["target"] == target)
    return table[chosen].iloc[0]


# Reading


def test_scores_are_normalised_by_the_same_cells_bilingual_model(tmp_path: Path) -> None:
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1), Truth(source=0.9, bilingual=0.8, zero_shot=0.4))
    write_cell(tmp_path, Cell("mbert", "pos", "en", "zh", 1), Truth(source=0.9, bilingual=0.6, zero_shot=0.3))
    rows = load(tmp_path).surfaces
    start = rows[rows["corner"] == "source-only"].set_index(["target", "eval_role"])["relative"]
    assert start["de", "source"] == pytest.approx(0.9 / 0.8)
    assert start["de", "target"] == pytest.approx(0.5)
    assert start["zh", "source"] == pytest.approx(1.5)
    assert set(rows.loc[rows["corner"] == "bilingual", "relative"]) == {1.0}


def test_only_primary_metrics_and_the_two_languages_are_kept(tmp_path: Path) -> None:
    def with_other(rows: pd.DataFrame) -> pd.DataFrame:
        other = rows[rows["eval_role"] == "target"].assign(eval_role="other", eval_language="fr")
        return pd.concat([rows, other])

    write_cell(tmp_path, Cell("mbert", "parsing", "en", "de", 0), keep=with_other)
    rows = load(tmp_path).surfaces
    assert set(rows["metric"]) == {"las"}
    assert set(rows["eval_role"]) == {"source", "target"}


def test_a_row_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    cell = Cell("mbert", "pos", "en", "de", 0)
    write_cell(tmp_path, cell, keep=lambda rows: pd.concat([rows, rows.head(1)]))
    with pytest.raises(AnalysisError, match=f"two rows for one score in: {cell.id}"):
        load(tmp_path)


def test_cells_under_way_are_passed_over(tmp_path: Path) -> None:
    done, under_way = (Cell("mbert", "pos", "en", "de", seed) for seed in (0, 1))
    write_cell(tmp_path, under_way, angle=None)
    folder = tmp_path / "surfaces" / "encoder=mbert" / "task=pos"
    (folder / f"_{under_way.id}.parts").mkdir()
    (folder / f"{under_way.id}.parquet").rename(folder / f"_{under_way.id}.parts" / "all-00000-8.parquet")
    with pytest.raises(NothingThereError):
        load(tmp_path)
    write_cell(tmp_path, done)
    assert set(load(tmp_path).surfaces["cell"]) == {done.id}


def test_two_cells_for_the_same_thing_need_a_sweep(tmp_path: Path) -> None:
    cell = Cell("mbert", "pos", "en", "de", 0)
    first = write_cell(tmp_path, cell, Truth(bilingual=0.9))
    second = write_cell(tmp_path, cell, Truth(bilingual=0.7), name="other-settings")
    with pytest.raises(AnalysisError, match="--sweep NAME") as caught:
        load(tmp_path)
    assert first in str(caught.value)
    assert second in str(caught.value)
    write_plan(tmp_path, "one", [first])
    assert set(load(tmp_path).surfaces["cell"]) == {first}
    write_plan(tmp_path, "two", [second])
    with pytest.raises(AnalysisError, match="one, two"):
        load(tmp_path)
    assert set(load(tmp_path, "two").surfaces["cell"]) == {second}
    assert set(load(tmp_path, "two").geometry["cell"]) == {second}


def test_several_sweeps_without_a_choice_use_all_cells_and_say_so(tmp_path: Path) -> None:
    cells = [write_cell(tmp_path, Cell("mbert", "pos", "en", "de", seed)) for seed in (0, 1)]
    write_plan(tmp_path, "one", cells[:1])
    write_plan(tmp_path, "two", cells[1:])
    loaded = load(tmp_path)
    assert set(loaded.surfaces["cell"]) == set(cells)
    assert "all sweeps together (one, two)" in loaded.notes[0]
    with pytest.raises(AnalysisError, match="Sweeps there: one, two"):
        load(tmp_path, "three")


def test_cells_of_different_grids_are_refused(tmp_path: Path) -> None:
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0), alphas=FEW_ALPHAS)
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1), alphas=PAPER_ALPHAS)
    with pytest.raises(AnalysisError, match="different grids"):
        load(tmp_path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    whole = write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0), scopes=("all", "encoder"))
    partial = write_cell(
        tmp_path,
        Cell("mbert", "pos", "en", "de", 1),
        angle=None,
        keep=lambda rows: rows[(rows["eval_role"] == "source") | (rows["point"] < 5)],
    )
    write_cell(tmp_path, Cell("mbert", "pos", "en", "zh", 0), Truth(bilingual=0.0))
    notes = "\n".join(load(tmp_path).notes)
    assert "mbert pos en → zh seed 1" in notes
    assert f"Scope 'all': points missing from 1 cell: {partial} (source 17, target 5 of 17)" in notes
    assert f"Scope 'encoder' is missing from 2 cells: {partial}" in notes
    assert f"No norm ratio or angle for 1 cell: {partial}" in notes
    assert "no bilingual score above 0" in notes
    write_plan(tmp_path, "all", [whole, "not-run-yet"])
    assert "No surface yet for 1 of 2 planned cells: not-run-yet." in load(tmp_path).notes


def test_nothing_there_is_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(NothingThereError):
        load(tmp_path)
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0))
    write_plan(tmp_path, "empty", ["not-run-yet"])
    with pytest.raises(NothingThereError, match="'empty'"):
        load(tmp_path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    cell = Cell("mbert", "pos", "en", "de", 0)
    write_cell(tmp_path, cell, keep=lambda rows: rows.drop(columns="on_plane"))
    with pytest.raises(AnalysisError, match="on_plane"):
        load(tmp_path)


# Summary


def test_the_summary_finds_what_the_store_was_made_of(results: Results) -> None:
    table = summarise(results)
    assert len(table) == 8
    row = row_of(table, "mbert", "parsing", "zh")
    assert row["seeds"] == 3
    assert row["source_only_on_source_mean"] == pytest.approx(0.9)
    assert row["source_only_on_target_mean"] == pytest.approx(0.5)
    assert row["source_only_on_target_sd"] == pytest.approx(0.03)
    assert row["bilingual_on_source_mean"] == row["bilingual_on_target_mean"] == pytest.approx(0.88)
    assert row["target_only_on_target_mean"] == pytest.approx(0.9)
    assert row["target_only_on_source_mean"] == pytest.approx(0.5)
    assert row["target_rise_mean"] == pytest.approx(0.38)
    assert row["target_linearity_mean"] == pytest.approx(1.0)
    assert row["source_drop_mean"] == pytest.approx(0.02)
    assert row["source_drop_max"] == pytest.approx(0.03)
    assert row["zero_shot_variance_source"] == pytest.approx(0.01**2)
    assert row["zero_shot_variance_ratio"] == pytest.approx(9.0)
    assert row["angle_mean"] == pytest.approx(55.0)
    assert row["norm_ratio_mean"] == pytest.approx(1.0)


def test_a_dip_between_the_models_is_the_drop_and_extrapolation_is_not(tmp_path: Path) -> None:
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1), Truth(dip=0.2, fall=3.0))
    row = summarise(load(tmp_path)).iloc[0]
    assert row["source_drop_mean"] == pytest.approx(0.2)
    assert np.isnan(row["source_drop_sd"])
    sentences = " ".join(findings.findings(summarise(load(tmp_path)), ()))
    assert "the effect shows in 0 of 1 pair" in sentences
    assert "does not show where the source score falls too: English → German" in sentences
    assert "one seed only" in sentences


def test_a_target_that_does_not_rise_is_said(tmp_path: Path) -> None:
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1), Truth(zero_shot=0.88))
    sentences = " ".join(findings.findings(summarise(load(tmp_path)), ()))
    assert "hardly rises: English → German" in sentences


def test_a_source_that_rises_is_said(tmp_path: Path) -> None:
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1), Truth(source=0.85, bilingual=0.9))
    text = " ".join(findings.findings(summarise(load(tmp_path)), ()))
    assert "The source score rises as well, by up to 5.0 points (English → German)" in text
    assert "norm ratio of 1.00 and an angle of 55°" in text
    level = tmp_path / "level"
    write_cell(level, Cell("mbert", "pos", "en", "de", 1), Truth(source=0.88, bilingual=0.9))
    assert "rises as well" not in " ".join(findings.findings(summarise(load(level)), ()))


@pytest.mark.parametrize(("noise", "pairs"), [(0.0115, 0), (0.013, 1)])
def test_a_variance_is_clearly_larger_from_half_as_much_again(
    tmp_path: Path, noise: float, pairs: int
) -> None:
    for seed in range(3):
        write_cell(
            tmp_path,
            Cell("mbert", "pos", "en", "de", seed),
            Truth(noise_source=0.01, noise_target=noise),
        )
    text = " ".join(findings.findings(summarise(load(tmp_path)), ()))
    assert f"clearly larger (variance at least 1.5 times as large) in {pairs} of 1 pair." in text


def test_other_scopes_stay_out_of_the_summary(tmp_path: Path) -> None:
    def worse_encoder(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(value=rows["value"].where(rows["scope"] == "all", 0.1))

    cell = Cell("mbert", "pos", "en", "de", 1)
    write_cell(tmp_path, cell, scopes=("all", "encoder"), keep=worse_encoder)
    assert summarise(load(tmp_path)).iloc[0]["bilingual_on_target_mean"] == pytest.approx(0.9)


PLANE = (Fraction(0), Fraction(1))


@pytest.mark.parametrize(("larger", "verdict"), [("flat", "flatter"), ("steep", "less flat")])
def test_larger_and_smaller_encoders_are_compared_on_the_target_plane(
    tmp_path: Path, larger: str, verdict: str
) -> None:
    for encoder, fall in (("flat", 0.1), ("steep", 0.6)):
        write_cell(
            tmp_path,
            Cell(encoder, "pos", "en", "de", 1),
            Truth(zero_shot=0.9, fall=fall),
            plane=PLANE,
            parameters=2000 if encoder == larger else 1000,
        )
    (smaller,) = {"flat", "steep"} - {larger}
    results = load(tmp_path)
    (text,) = (s for s in findings.findings(summarise(results), results.controls) if "larger" in s)
    # Three corners as good as the bilingual model; (1, 1) falls: 0.8 or 0.3 of 0.9.
    kept = {"flat": (3 + 8 / 9) / 4, "steep": (3 + 3 / 9) / 4}
    assert f"the larger encoder {larger} is {verdict} than {smaller}" in text
    assert f"keep {100 * kept[larger]:.1f}%" in text
    assert f"those of {smaller} {100 * kept[smaller]:.1f}%" in text


def test_encoders_of_one_size_and_controls_are_not_compared_by_size(tmp_path: Path) -> None:
    for encoder, parameters in (("one", 1000), ("other", 1000), ("toy-random", 2000)):
        write_cell(tmp_path, Cell(encoder, "pos", "en", "de", 1), Truth(), plane=PLANE, parameters=parameters)
    results = load(tmp_path)
    assert not any("larger encoder" in s for s in findings.findings(summarise(results), results.controls))


def test_encoders_that_differ_by_chance_are_called_as_flat(tmp_path: Path) -> None:
    for encoder, fall, parameters in (("small", 0.1, 1000), ("large", 0.102, 2000)):
        truth = Truth(zero_shot=0.9, fall=fall)
        write_cell(tmp_path, Cell(encoder, "pos", "en", "de", 1), truth, plane=PLANE, parameters=parameters)
    results = load(tmp_path)
    (text,) = (s for s in findings.findings(summarise(results), results.controls) if "larger encoder" in s)
    assert "large is as flat as small" in text
    assert "flatter in 0 of 1 pair" in text


@pytest.mark.parametrize(("constant", "said"), [(0.52, True), (0.5, False), (None, False)])
def test_a_zero_shot_score_that_a_constant_answer_reaches_is_said(
    tmp_path: Path, constant: float | None, said: bool
) -> None:
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1), Truth(zero_shot=0.51))
    known = {} if constant is None else {("pos", "de"): constant, ("pos", "en"): 0.9}
    text = " ".join(findings.findings(summarise(load(tmp_path)), (), (), known))
    sentence = "no better than that of one constant answer: English → German (51.0 against 52.0)"
    assert (sentence in text) == ("constant answer" in text) == said


def control_sentences(folder: Path, control: Truth) -> str:
    write_cell(folder, Cell("mbert", "pos", "en", "de", 1), Truth(zero_shot=0.6))
    write_cell(folder, Cell("toy-random", "pos", "en", "de", 1), control)
    results = load(folder)
    return " ".join(findings.findings(summarise(results), results.controls))


def test_a_control_that_behaves_the_same_is_said(tmp_path: Path) -> None:
    text = control_sentences(tmp_path, Truth(zero_shot=0.2))
    assert "control toy-random behaves the same as mbert in 1 of 1 pair" in text
    assert "no evidence" in text
    assert "60.0 for mbert, 20.0 for toy-random, a difference of 40.0 points" in text


def test_a_control_with_the_same_zero_shot_score_is_said(tmp_path: Path) -> None:
    assert "no clear gain over an untrained encoder" in control_sentences(tmp_path, Truth(zero_shot=0.58))
    better = control_sentences(tmp_path / "better", Truth(zero_shot=0.62))
    assert "62.0 for toy-random: no gain over an untrained encoder" in better


def test_a_control_without_the_effect_is_said(tmp_path: Path) -> None:
    text = control_sentences(tmp_path, Truth(dip=0.3))
    assert "control toy-random does not show the effect in any of 1 pair" in text
    assert "behaves the same" not in text


def test_without_a_control_the_summary_says_what_that_means(results: Results) -> None:
    assert (
        "There is no randomly initialised control"
        in findings.findings(summarise(results), results.controls)[-1]
    )


def test_without_a_word_in_the_plan_names_tell_the_controls_and_notes_say_so(tmp_path: Path) -> None:
    first, second = (
        write_cell(tmp_path, Cell(encoder, "pos", "en", "de", 1)) for encoder in ("a-Random", "own")
    )
    taken = 'Encoders with "random" in their names are taken as controls: a-Random'
    assert load(tmp_path).controls == {"a-Random"}
    assert f"{taken} (there is no plan.json)." in load(tmp_path).notes
    write_plan(tmp_path, "old", [first])
    assert load(tmp_path).controls == {"a-Random"}
    assert f"{taken} (a plan.json does not list its controls)." in load(tmp_path).notes
    write_plan(tmp_path, "new", [second], controls=["own"])
    assert load(tmp_path).controls == {"a-Random"}, "one of two plans does not say"
    assert load(tmp_path, "new").controls == {"own"}
    write_plan(tmp_path, "old", [first], controls=["a-Random"])
    assert load(tmp_path).controls == {"a-Random", "own"}
    write_plan(tmp_path, "new", [second], controls=[])
    assert load(tmp_path, "new").controls == set(), "a plan that lists none is believed"


@pytest.mark.parametrize("controls", ["random", [1], None])
def test_controls_that_are_no_list_of_names_are_refused(tmp_path: Path, controls: object) -> None:
    cell = write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1))
    write_plan(tmp_path, "s", [cell])
    (tmp_path / "sweeps" / "s" / "plan.json").write_text(
        json.dumps({"surfaces": [cell], "controls": controls})
    )
    with pytest.raises(AnalysisError, match=r"plan\.json: expected .* a list 'controls'"):
        load(tmp_path)


# The command


def test_the_command_writes_everything_and_says_what_it_found(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(shared), "--out", str(out)]) == 0
    names = {"lines", "lines-pos", "lines-parsing", "lines-by-pair-en", "variance", "planes", "layers"}
    names |= {"pair-en-de", "pair-en-zh", "geometry"}
    names |= {f"plane-{task}-en-{target}" for task in ("pos", "parsing") for target in ("de", "zh")}
    expected = {f"{name}.{ending}" for name in names for ending in ("png", "pdf")}
    assert {path.name for path in out.iterdir()} == expected | {
        "summary.md",
        "summary.csv",
        "verdicts.csv",
        "report.html",
        "captions.md",
        "files.json",
        "shape.csv",
        *(f"{name}.{ending}" for name in ("results", "examples") for ending in ("csv", "tex", "md")),
    }
    assert all(path.stat().st_size > 10_000 for path in out.glob("*.png"))
    text = (out / "summary.md").read_text(encoding="utf-8")
    said = capsys.readouterr().out
    sentences = [line for line in text.split("\n") if line.startswith("- ")]
    assert len(sentences) > 10
    assert all(sentence in said for sentence in sentences)
    assert "|" not in said
    assert "50.0 ± 3.0" in text
    written = pd.read_csv(out / "summary.csv")
    assert row_of(written, "xlmr")["target_rise_mean"] == pytest.approx(0.38)


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    for target in ("de", "zh"):
        for seed in (0, 1):
            write_cell(tmp_path, Cell("mbert", "pos", "en", target, seed), TRUTH, plane=UNEVEN)
    written = []
    for name, seed in (("first", "1"), ("second", "2")):
        command = [sys.executable, "-m", "analysis", str(tmp_path), "--out", str(tmp_path / name)]
        environment = {"PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed, "PYTHONIOENCODING": "utf-8"}
        subprocess.run(
            command, check=True, env=environment, cwd=Path(__file__).parents[1], capture_output=True
        )
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert len(written[0]) == 35
    assert written[0] == written[1]
    assert not any(b"CreationDate" in data for data in written[0].values())


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 3
    assert "no results" in capsys.readouterr().err
    assert not (tmp_path / "figures").exists()
    cell = Cell("mbert", "pos", "en", "de", 0)
    write_cell(tmp_path, cell)
    assert main([str(tmp_path), "--sweep", "absent"]) == 2
    write_cell(tmp_path, cell, name="again")
    assert main([str(tmp_path)]) == 2
    assert "--sweep NAME" in capsys.readouterr().err
    write_plan(tmp_path, "mine", ["again"])
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "figures" / "lines.pdf").exists()


def test_a_broken_plan_is_an_error_that_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0))
    write_plan(tmp_path, "mine", [])
    (tmp_path / "sweeps" / "mine" / "plan.json").write_text("[1", encoding="utf-8")
    assert main([str(tmp_path)]) == 2
    assert "plan.json" in capsys.readouterr().err


def test_geometry_alone_is_drawn(tmp_path: Path) -> None:
    write_cell(tmp_path / "made", Cell("mbert", "pos", "en", "de", 0))
    (tmp_path / "made" / "geometry").rename(tmp_path / "geometry")
    assert main([str(tmp_path)]) == 0
    assert {path.name for path in (tmp_path / "figures").glob("*.png")} == {"geometry.png", "layers.png"}
    assert "No evaluated models yet" in (tmp_path / "figures" / "summary.md").read_text(encoding="utf-8")


def test_the_analysis_loads_neither_torch_nor_ray_nor_the_sweeps_code() -> None:
    code = (
        "import sys, analysis.__main__; "
        "print(sorted({'torch', 'ray', 'transformers', 'xltray', 'scipy', 'analysis'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.strip() == "['analysis']"


@pytest.mark.parametrize("damage", ["junk", "flip"])
def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    for seed in (0, 1):
        write_cell(tmp_path, Cell("mbert", "pos", "en", "de", seed))
    victim = sorted((tmp_path / "surfaces").rglob("*.parquet"))[1]
    content = bytearray(b"junk")
    if damage == "flip":
        pq.write_table(pq.ParquetFile(victim).read(), victim, write_page_checksum=True)
        pages = pq.ParquetFile(victim).metadata.row_group(0)
        (value,) = (
            column
            for column in map(pages.column, range(pages.num_columns))
            if column.path_in_schema == "value"
        )
        # In the last page of the column, where it gives another number.
        content = bytearray(victim.read_bytes())
        content[
            (value.dictionary_page_offset or value.data_page_offset) + value.total_compressed_size - 1
        ] ^= 1
    victim.write_bytes(content)
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert str(victim) in said
    assert "Delete it and run the sweep again" in said


def test_a_later_run_of_less_removes_what_it_did_not_draw_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in ("pos", "ner"):
        write_cell(tmp_path, Cell("mbert", task, "en", "de", 0))
    out = tmp_path / "figures"
    assert main([str(tmp_path)]) == 0
    own = {"lines-mine.png", "notes.txt"}
    for name in own:
        (out / name).write_text("mine")
    (tmp_path / "outside.png").write_text("mine")
    before = {path.name for path in out.iterdir()}
    # A list that somebody wrote into deletes nothing elsewhere.
    listed = json.loads((out / "files.json").read_text(encoding="utf-8"))
    assert set(listed) == before - own - {"report.html", "captions.md"} - {
        "summary.md",
        "summary.csv",
        "verdicts.csv",
    }
    (out / "files.json").write_text(json.dumps([*listed, "../outside.png", "never-there.png", 1]))
    capsys.readouterr()
    assert main([str(tmp_path), "--tasks", "pos"]) == 0
    assert {path.name for path in out.iterdir()} == before - {"lines-ner.png", "lines-ner.pdf"}
    assert "Removed what an earlier run left: lines-ner.pdf, lines-ner.png." in capsys.readouterr().out
    assert (tmp_path / "outside.png").exists()
    (out / "files.json").write_text("[")
    assert main([str(tmp_path)]) == 0
    assert {path.name for path in out.iterdir()} == before


def test_a_control_that_was_not_chosen_is_not_said_to_be_absent(tmp_path: Path) -> None:
    for encoder, task in (("mbert", "pos"), ("mbert", "ner"), ("random", "pos")):
        write_cell(tmp_path, Cell(encoder, task, "en", "de", 0))
    assert main([str(tmp_path), "--encoders", "mbert", "--tasks", "pos"]) == 0
    for name in ("summary.md", "report.html"):
        text = (tmp_path / "figures" / name).read_text(encoding="utf-8")
        assert text.count("The randomly initialised control was left out by --encoders: random.") == 2
        assert "no randomly initialised control" not in text
        assert "hold no cell of a" not in text
    # No control has a cell of this task, whatever is chosen.
    assert load(tmp_path, encoders=["mbert"], tasks=["ner"]).unchosen == set()
    assert load(tmp_path).unchosen == set()
