"""Reading results and the command; summary, figures and statistics have tests of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import made_figures
import matplotlib
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
    row_of,
    write_cell,
    write_plan,
)

from analysis.__main__ import main
from analysis.read import load
from analysis.tables import AnalysisError, NothingThereError

matplotlib.use("Agg")

# Fixtures: pytest looks for them in this module.
shared = made_figures.shared


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


def test_a_task_of_your_own_needs_no_entry_if_it_has_one_metric(tmp_path: Path) -> None:
    cell = Cell("mbert", "intents", "en", "de", 0)
    write_cell(tmp_path, cell, keep=lambda rows: rows.assign(metric="mcc"))
    assert set(load(tmp_path).surfaces["metric"]) == {"mcc"}

    def with_known(rows: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([rows.assign(metric="mcc"), rows.assign(metric="f1")])

    write_cell(tmp_path, cell, keep=with_known)
    assert set(load(tmp_path).surfaces["metric"]) == {"f1"}
    write_cell(tmp_path, cell, keep=lambda rows: with_known(rows).replace({"metric": {"f1": "brier"}}))
    with pytest.raises(
        AnalysisError, match=r"task intents: found the metrics brier, mcc; expected one, .*names\.py"
    ):
        load(tmp_path)


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


@pytest.mark.slow
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


@pytest.mark.slow
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
