"""The summary of results: its numbers, and the sentences that say what they show."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import made_figures
import matplotlib
import numpy as np
import pandas as pd
import pytest
from made_results import (
    Cell,
    Truth,
    row_of,
    write_cell,
    write_plan,
)

from analysis import findings
from analysis.read import Results, load
from analysis.summary import summarise
from analysis.tables import AnalysisError

matplotlib.use("Agg")

# Fixtures: pytest looks for them in this module.
shared, results = made_figures.shared, made_figures.results


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
