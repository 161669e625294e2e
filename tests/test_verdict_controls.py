"""Verdicts beside a control, and of half of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_results import UNEVEN, Cell, Truth, write_cell
from made_verdicts import LARGE, NO, PAIRS, SMALL, TARGETS, UNKNOWN, YES, found, store, verdict

from analysis import verdict_words
from analysis.read import load
from analysis.verdicts import Contrast, judge, overall


def controlled(folder: Path, **control: object) -> Path:
    store(folder)
    return store(folder, "random", truth={"zero_shot": 0.2}, **control)


def test_controls_are_no_part_of_verdicts_but_beside_them(tmp_path: Path) -> None:
    controlled(tmp_path, angle=80.0)
    judgements = judge(load(tmp_path))
    assert {j.subject for j in judgements} == {"mbert", ""}
    rise, source, turn = (found(tmp_path, key).comparison for key in ("2a", "1", "5b"))
    assert rise is not None
    assert source is not None
    assert turn is not None
    assert (rise.control, rise.finding.verdict, rise.contrast) == ("random", YES, Contrast.DIFFERS)
    assert rise.difference == pytest.approx(-0.3)
    assert rise.interval == pytest.approx((-0.3, -0.3))
    assert (source.finding.verdict, source.contrast) == (YES, Contrast.NO_DIFFERENCE)
    assert (turn.finding.verdict, turn.difference) == (NO, -25.0)
    note = verdict_words.control_note(judgements, ["random"])
    assert "1 (source stays high, mbert)" in note
    assert "2a" not in note


def test_a_difference_is_taken_over_common_cells(tmp_path: Path) -> None:
    """The encoder's rises differ from pair to pair; the control lacks the pairs where they are small."""
    store(tmp_path, spread=0.03)
    store(tmp_path, "random", pairs=PAIRS[:6], spread=0.03)
    comparison = found(tmp_path, "2a").comparison
    assert comparison is not None
    assert (comparison.difference, comparison.cells) == (0.0, 18)
    assert comparison.contrast is Contrast.NO_DIFFERENCE


def test_too_few_common_pairs_cannot_tell_a_difference(tmp_path: Path) -> None:
    store(tmp_path)
    store(tmp_path, "random", pairs=PAIRS[:2], angle=90.0)
    store(tmp_path / "none", pairs=PAIRS[:6])
    store(tmp_path / "none", "random", pairs=PAIRS[6:])
    for folder, cells in ((tmp_path, 6), (tmp_path / "none", 0)):
        comparison = found(folder, "5b").comparison
        assert comparison is not None
        assert (comparison.contrast, comparison.cells) == (Contrast.UNKNOWN, cells)


def test_the_control_nearest_in_size_is_taken_and_two_of_them_for_sizes(tmp_path: Path) -> None:
    for encoder, size in (("mbert", SMALL), ("xlmr", LARGE), ("a-random", LARGE), ("b-random", SMALL)):
        store(tmp_path, encoder, parameters=size, plane=UNEVEN)
    by_subject = {j.subject: j.comparison for j in judge(load(tmp_path)) if j.part.key in ("1", "3")}
    assert {subject: c.control for subject, c in by_subject.items() if c is not None} == {
        "mbert": "b-random",
        "xlmr": "a-random",
        "xlmr against mbert": "a-random against b-random",
    }


def test_without_a_control_it_is_said_what_stays_open(tmp_path: Path) -> None:
    note = verdict_words.control_note(judge(load(store(tmp_path))), [])
    assert "no randomly initialised control" in note
    assert "stays open" in note


# Half of a sweep


def test_incomplete_curves_and_missing_geometry_do_not_count(tmp_path: Path) -> None:
    store(tmp_path)
    cell = Cell("mbert", "pos", "en", "de", 0)
    write_cell(tmp_path, cell, Truth(dip=0.5), keep=lambda rows: rows[rows["alpha"] != 0.25], angle=None)
    (tmp_path / "geometry" / "encoder=mbert" / "task=pos" / f"{cell.id}.parquet").unlink()
    for key in ("1", "2c", "5b"):
        finding = found(tmp_path, key).finding
        assert (finding.cells, finding.pairs, finding.verdict) == (3 * TARGETS - 1, TARGETS, YES)


@pytest.mark.parametrize("lost", ["surfaces", "geometry"])
def test_half_a_store_is_judged_as_far_as_it_goes(tmp_path: Path, lost: str) -> None:
    store(tmp_path / "made")
    kept = "geometry" if lost == "surfaces" else "surfaces"
    (tmp_path / "made" / kept).rename(tmp_path / kept)
    verdicts = overall(judge(load(tmp_path)))
    known = {5} if kept == "geometry" else {1, 2, 4}
    assert {claim for claim, one in verdicts.items() if one is YES} == known


def test_a_store_of_controls_only_or_of_one_point_cannot_tell(tmp_path: Path) -> None:
    store(tmp_path / "controls", "random")
    write_cell(tmp_path / "point", Cell("mbert", "pos", "en", "de", 0), alphas=(1,), angle=None)
    write_cell(tmp_path / "scope", Cell("mbert", "pos", "en", "de", 0), scopes=("head",), angle=None)
    for name in ("controls", "point", "scope"):
        judgements = judge(load(tmp_path / name))
        assert set(overall(judgements).values()) == {UNKNOWN}
        verdict_words.frame(judgements)


def test_a_model_that_scores_nothing_is_no_error(tmp_path: Path) -> None:
    store(tmp_path, truth={"zero_shot": 0.0, "bilingual": 0.0, "source": 0.0}, ratio=0.0)
    assert verdict(tmp_path, "2a") is NO
    assert verdict(tmp_path, "5a") is UNKNOWN


def test_seeds_and_pairs_of_different_numbers(tmp_path: Path) -> None:
    store(tmp_path)
    write_cell(tmp_path, Cell("mbert", "pos", "en", "vi", 0), Truth())
    finding = found(tmp_path, "2a").finding
    assert (finding.cells, finding.pairs, finding.verdict) == (3 * TARGETS + 1, TARGETS + 1, YES)
    assert found(tmp_path, "4").finding.cells == 3 * TARGETS


def test_encoder_and_control_with_one_seed_in_common_have_no_variance_to_compare(tmp_path: Path) -> None:
    """As with half of a sweep, or --learned-only: each has two seeds of a pair, and they share one."""
    lost = {"mbert": 2, "random": 0}
    for encoder in lost:
        for number, (source, target) in enumerate(PAIRS):
            for seed in range(3):
                if number and seed == lost[encoder]:
                    continue
                truth = Truth(noise_source=0.002, noise_target=0.02)
                write_cell(tmp_path, Cell(encoder, "pos", source, target, seed), truth)
    comparison = found(tmp_path, "4").comparison
    assert comparison is not None
    # Of the first pair, both have all three seeds.
    assert (comparison.contrast, comparison.cells, comparison.difference) == (Contrast.UNKNOWN, 3, 0.0)
    for encoder, seed in (("mbert", 2), ("random", 0)):
        (tmp_path / f"surfaces/encoder={encoder}/task=pos/pos-en-ar-s{seed}-{encoder}.parquet").unlink()
    four = found(tmp_path, "4")
    comparison = four.comparison
    assert comparison is not None
    assert (comparison.contrast, comparison.cells) == (Contrast.UNKNOWN, 0)
    assert verdict_words.against(comparison, four.part).endswith("; no pair with two seeds in common")


def test_an_encoder_without_a_measure_is_named_and_leaves_its_claim_open(tmp_path: Path) -> None:
    store(tmp_path)
    store(tmp_path, "xlmr", angle=None)
    judgements = judge(load(tmp_path))
    assert found(tmp_path, "5b", subject="mbert").finding.verdict is YES
    missing = found(tmp_path, "5b", subject="xlmr").finding
    assert (missing.verdict, missing.why, missing.cells) == (UNKNOWN, "no norms and angles", 0)
    assert overall(judgements)[5] is UNKNOWN
    assert "Cannot tell 5a xlmr, 5b xlmr: no norms and angles." in verdict_words.notes(judgements, [])
    # What compares two encoders is of neither.
    assert {j.subject for j in judgements if j.part.key == "3"} == {""}
