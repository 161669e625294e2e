from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_results import UNEVEN, write_plan
from made_verdicts import LARGE, NO, PAIRS, SMALL, TARGETS, UNKNOWN, YES, found, store, verdict

from analysis import verdict_words
from analysis.__main__ import main
from analysis.claims import CLAIMS, PARTS
from analysis.measures import prepare
from analysis.read import load
from analysis.statistics import largest_setback
from analysis.verdicts import Judgement, Verdict, judge, overall

Change = Callable[[pd.DataFrame], pd.DataFrame]


def without_scope_head(rows: pd.DataFrame) -> pd.DataFrame:
    """The task layer alone does nothing: every point scores what the bilingual model does."""
    return rows.assign(value=rows["value"].where(rows["scope"] != "head", 0.9))


def shaped(shape: Callable[[pd.Series], pd.Series]) -> Change:
    """Bend the target's curve between the two models; its ends stay."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        bent = rows["on_src_line"] & rows["alpha"].between(0, 1) & (rows["eval_role"] == "target")
        ends = rows[bent].groupby("alpha")["value"].first()
        start, end = ends.loc[0.0], ends.loc[1.0]
        rows.loc[bent, "value"] = start + (end - start) * shape(rows.loc[bent, "alpha"])
        return rows

    return change


# Each verdict where the claim is true, false, and where there is too little


@pytest.fixture(scope="module")
def true_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All claims hold, for a small and a large encoder."""
    folder = tmp_path_factory.mktemp("true")
    options = {"plane": UNEVEN, "scopes": ("all", "encoder", "head"), "keep": without_scope_head}
    store(folder, "mbert", parameters=SMALL, **options)
    return store(folder, "xlmr", parameters=LARGE, truth={"zero_shot": 0.7}, **options)


@pytest.fixture(scope="module")
def true_judgements(true_store: Path) -> list[Judgement]:
    return judge(load(true_store))


def test_all_claims_are_supported_where_they_are_true(true_judgements: list[Judgement]) -> None:
    assert overall(true_judgements) == dict.fromkeys(CLAIMS, YES)
    assert {j.part.key for j in true_judgements} == {part.key for part in PARTS}
    for one in true_judgements:
        assert one.finding.verdict is YES, one
        assert (one.finding.cells, one.finding.pairs, one.finding.seeds) == (3 * TARGETS, TARGETS, 3)
        assert one.finding.interval.low <= one.finding.effect <= one.finding.interval.high
        assert one.comparison is None


FALSE: dict[str, dict[str, object]] = {
    "1": {"truth": {"dip": 0.1}},
    "2a": {"truth": {"zero_shot": 0.85, "noise_target": 0.0}, "spread": 0.002},
    "2b": {"keep": shaped(lambda a: a - 0.8 * (a == 0.5))},
    "2c": {"keep": shaped(lambda a: a**3)},
    "4": {"truth": {"noise_source": 0.02, "noise_target": 0.005}},
    "5a": {"ratio": 0.8},
    "5b": {"angle": 75.0},
    "6a": {
        "scopes": ("all", "encoder"),
        "keep": lambda rows: rows.assign(value=rows["value"].where(rows["scope"] == "all", 0.6)),
    },
    "6b": {"scopes": ("all", "head")},
}


@pytest.mark.parametrize("key", FALSE)
def test_each_claim_is_not_supported_where_it_is_false(tmp_path: Path, key: str) -> None:
    store(tmp_path, **FALSE[key])
    judgements = judge(load(tmp_path))
    (one,) = [j for j in judgements if j.part.key == key and j.task is None]
    assert one.finding.verdict is NO
    assert overall(judgements)[one.part.claim] is NO


@pytest.mark.parametrize(("zero_shot", "expected"), [(0.7, YES), (0.3, NO), (0.5, NO)])
def test_the_larger_encoder_is_flatter_or_it_is_not(
    tmp_path: Path, zero_shot: float, expected: Verdict
) -> None:
    store(tmp_path, "zz-small", parameters=SMALL, plane=UNEVEN)
    store(tmp_path, "aa-large", parameters=LARGE, plane=UNEVEN, truth={"zero_shot": zero_shot})
    one = found(tmp_path, "3")
    assert one.subject == "aa-large against zz-small"
    assert one.finding.verdict is expected


def test_an_encoder_of_unknown_size_does_not_turn_the_others_round(tmp_path: Path) -> None:
    """By name, the one without a size stands between them."""
    store(tmp_path, "a-large", parameters=LARGE, plane=UNEVEN, truth={"zero_shot": 0.7})
    store(tmp_path, "b-unknown", angle=None, plane=UNEVEN)
    store(tmp_path, "c-small", parameters=SMALL, plane=UNEVEN)
    one = found(tmp_path, "3")
    assert (one.subject, one.finding.verdict) == ("a-large against c-small", YES)


def test_sizes_that_do_not_differ_or_planes_of_corners_cannot_tell(tmp_path: Path) -> None:
    store(tmp_path / "same", "a", plane=UNEVEN)
    store(tmp_path / "same", "b", plane=UNEVEN)
    for encoder, size in (("a", SMALL), ("b", LARGE)):
        store(tmp_path / "corners", encoder, plane=(0, 1), alphas=UNEVEN, parameters=size)
    for name in ("same", "corners"):
        one = found(tmp_path / name, "3")
        assert (one.finding.verdict, one.subject, one.finding.cells) == (UNKNOWN, "", 0)
        assert "different sizes" in one.finding.why


@pytest.mark.parametrize(
    ("pairs", "seeds", "why"),
    [
        (PAIRS[:5], 3, "5 language pairs, 6 are needed; so far the interval lies inside the range"),
        (PAIRS[:1], 3, "1 language pair, 6 are needed; so far the effect lies inside the range"),
        (PAIRS, 2, "0 pairs with 3 seeds, 6 are needed; so far the interval lies inside the range"),
    ],
)
def test_too_few_pairs_or_seeds_cannot_tell(
    tmp_path: Path, pairs: list[tuple[str, str]], seeds: int, why: str
) -> None:
    store(tmp_path, pairs=pairs, seeds=seeds)
    judgements = judge(load(tmp_path))
    assert set(overall(judgements).values()) == {UNKNOWN}
    (one,) = [j for j in judgements if j.part.key == "2a" and j.task is None]
    assert one.finding.why == why
    # Without the third seed, the others' mean is half a deviation lower at zero-shot.
    rise = 0.4 - 0.01 * (len(pairs) - 1) / 2 + (0.01 if seeds == 2 else 0.0)
    assert one.finding.effect == pytest.approx(rise)


def test_an_interval_across_the_threshold_cannot_tell(tmp_path: Path) -> None:
    """Rises from 1 to 10 points: the mean is above 5, but another sample of pairs might not be."""
    store(tmp_path, spread=0.015, truth={"zero_shot": 0.8, "noise_target": 0.0})
    finding = found(tmp_path, "2a").finding
    assert finding.interval.low < 0.05 < finding.effect < finding.interval.high
    assert (finding.verdict, finding.why) == (UNKNOWN, "the interval lies across the edge of the range")


def test_one_part_that_is_false_makes_the_claim_not_supported(tmp_path: Path) -> None:
    store(tmp_path, angle=75.0)
    judgements = judge(load(tmp_path))
    assert verdict(tmp_path, "5a") is YES
    assert overall(judgements)[5] is NO
    assert overall(judgements)[6] is UNKNOWN


def test_one_task_is_judged_by_itself(tmp_path: Path) -> None:
    store(tmp_path, tasks=("pos",))
    store(tmp_path, tasks=("ner",), truth={"dip": 0.1})
    assert found(tmp_path, "1", "pos").finding.verdict is YES
    assert found(tmp_path, "1", "ner").finding.verdict is NO
    assert found(tmp_path, "1").finding.effect == pytest.approx(0.05, abs=0.002)


def test_a_seed_that_does_not_rise_counts_for_smoothness(tmp_path: Path) -> None:
    """One seed of three falls back and ends where it began; the share is of the pair's mean rise."""

    def falls_back(rows: pd.DataFrame) -> pd.DataFrame:
        on_target = (rows["eval_role"] == "target") & rows["on_src_line"] & (rows["seed"] == 0)
        flat = rows["value"].where(~on_target, 0.5)
        return rows.assign(value=flat - 0.12 * (on_target & (rows["alpha"] == 0.5)))

    store(tmp_path, spread=0.0, truth={"noise_target": 0.0, "noise_source": 0.0}, keep=falls_back)
    one = found(tmp_path, "2b").finding
    rise = (0.4 + 0.4 + 0.0) / 3
    assert one.cells == 3 * TARGETS
    assert one.effect == pytest.approx(0.12 / rise / 3)


# Numbers, found by other means


def rows_at(folder: Path, alpha: float, role: str, scope: str = "all") -> pd.DataFrame:
    rows = pd.read_parquet(folder / "surfaces")
    chosen = rows["on_src_line"] & (rows["alpha"] == alpha) & (rows["eval_role"] == role)
    return rows[chosen & (rows["scope"] == scope)].set_index(["encoder", "source", "target", "seed"])


def test_effects_are_those_of_the_stored_rows(true_store: Path, true_judgements: list[Judgement]) -> None:
    effects = {(j.part.key, j.subject): j.finding.effect for j in true_judgements if j.task is None}
    start, end = (rows_at(true_store, alpha, "target")["value"] for alpha in (0.0, 1.0))
    on_source = rows_at(true_store, 0.0, "source")["value"]
    for encoder in ("mbert", "xlmr"):
        assert effects["2a", encoder] == pytest.approx((end - start)[encoder].mean())
        groups = [level.groupby(["source", "target"]).var() for level in (start[encoder], on_source[encoder])]
        on_target, on_source_too = (group.mean() ** 0.5 for group in groups)
        share = on_target / (on_target + on_source_too)
        assert effects["4", encoder] == pytest.approx(share) == pytest.approx(20 / 22)
        assert effects["2b", encoder] == pytest.approx(0.0, abs=1e-9)
        assert effects["2c", encoder] == pytest.approx(1.0)
        assert effects["5b", encoder] == 55.0
        assert effects["6a", encoder] == 0.0
    # The source line of seed 0 rises by 0.002, that of seed 2 falls by it.
    assert effects["1", "mbert"] == pytest.approx(0.002 / 3, rel=0.01)
    rows = pd.read_parquet(true_store / "surfaces")
    planes = rows[rows["on_plane"] & (rows["eval_role"] == "target") & (rows["scope"] == "all")]
    by_encoder = (planes["value"] / 0.9).groupby(planes["encoder"], observed=True).mean()
    assert effects["3", "xlmr against mbert"] == pytest.approx(by_encoder["xlmr"] - by_encoder["mbert"])


def test_norms_are_long_over_short_and_head_alone_counts_the_worse_language(tmp_path: Path) -> None:
    store(tmp_path, ratio=0.8, scopes=("all", "head"), truth={"noise_target": 0.0}, spread=0.0)
    assert found(tmp_path, "5a").finding.effect == pytest.approx(1.25)
    assert found(tmp_path, "6b").finding.effect == pytest.approx(0.4)


def test_encoder_alone_is_weighted_by_stretches_of_alpha(tmp_path: Path) -> None:
    def lower(rows: pd.DataFrame) -> pd.DataFrame:
        moved = (rows["scope"] == "encoder") & (rows["eval_role"] == "target") & (rows["alpha"] == 0.0)
        return rows.assign(value=rows["value"] - 0.2 * moved)

    store(tmp_path, scopes=("all", "encoder"), keep=lower)
    # Alphas are quarters: the end stands for an eighth.
    assert found(tmp_path, "6a").finding.effect == pytest.approx(0.2 / 8)


def test_largest_setback_by_hand() -> None:
    assert largest_setback(np.array([0.1, 0.5, 0.3, 0.9, 0.8])) == pytest.approx(0.2)
    assert largest_setback(np.array([0.1, 0.2, 0.2])) == 0.0


def test_verdicts_are_the_same_every_time(true_store: Path, true_judgements: list[Judgement]) -> None:
    again = verdict_words.frame(judge(load(true_store)))
    pd.testing.assert_frame_equal(again, verdict_words.frame(true_judgements))


# Words


def test_the_documented_thresholds_are_those_in_force() -> None:
    text = (Path(__file__).parents[1] / "docs" / "verdicts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d\w?) \|(?:[^|]*\|){2} ([^|]*) \|", text, flags=re.MULTILINE)
    documented = {key: re.findall(r"(below|above|to)? ?(\d+(?:\.\d+)?)", rule) for key, rule in rows}
    assert list(documented) == [part.key for part in PARTS]
    for part in PARTS:
        numbers = [float(number) / part.unit.scale for _, number in documented[part.key]]
        limits = [limit for limit in (part.above, part.below) if np.isfinite(limit)]
        assert numbers == pytest.approx(limits), part.key
        words = documented[part.key][0][0]
        assert len(limits) == 2 or (words == "above") == np.isfinite(part.above)


def test_the_command_prints_and_writes_the_verdicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(tmp_path, "mbert", tasks=("pos", "ner"), pairs=PAIRS[:2])
    write_plan(tmp_path, "mine", sorted(path.stem for path in (tmp_path / "surfaces").rglob("*.parquet")))
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for claim in CLAIMS:
        assert f"Claim {claim}: cannot tell." in said
    assert "2 language pairs, 6 are needed" in said
    assert "none was decided" in said
    table = pd.read_csv(tmp_path / "figures" / "verdicts.csv")
    assert set(table["verdict"]) == {"cannot tell"}
    assert table.groupby("part")["task"].agg(set)["2a"] == {"all", "pos", "ner"}


def test_decided_comparisons_are_counted(true_judgements: list[Judgement]) -> None:
    note = verdict_words.comparisons_note(true_judgements)
    assert f"{len(true_judgements)} of them decided" in note
    assert f"about {0.05 * len(true_judgements):.1f} of those wrong" in note


def test_material_is_measured_on_complete_cells_only(true_store: Path) -> None:
    material = prepare(load(true_store))
    assert len(material.cells) == 2 * 3 * TARGETS
    assert material.parameters("xlmr") == LARGE
    assert np.isnan(material.parameters("absent"))
