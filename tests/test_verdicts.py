from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_results import UNEVEN, Cell, Truth, write_cell, write_plan
from scipy import stats

from analysis import verdict_words
from analysis.__main__ import main
from analysis.bootstrap import (
    Sample,
    clustered_weights,
    estimate,
    expanded_interval,
    mean,
    percentile_interval,
    row_weights,
    share_of_deviation,
    t_quantile,
)
from analysis.claims import CLAIMS, PARTS
from analysis.measures import prepare
from analysis.read import load
from analysis.statistics import bootstrap_band, largest_setback
from analysis.verdicts import Contrast, Judgement, Verdict, judge, overall

YES, NO, UNKNOWN = Verdict.SUPPORTED, Verdict.NOT_SUPPORTED, Verdict.UNKNOWN
PAIRS = [("en", target) for target in ("ar", "de", "es", "fr")] + [("ar", t) for t in ("de", "hi", "zh")]
TARGETS = len(PAIRS)
SMALL, LARGE = 1000, 9000

Change = Callable[[pd.DataFrame], pd.DataFrame]


def store(
    folder: Path,
    encoder: str = "mbert",
    *,
    pairs: list[tuple[str, str]] = PAIRS,
    seeds: int = 3,
    tasks: tuple[str, ...] = ("pos",),
    spread: float = 0.01,
    truth: dict[str, float] | None = None,
    **options: object,
) -> Path:
    """Cells whose zero-shot scores differ by ``spread`` from pair to pair."""
    values = {"zero_shot": 0.5, "noise_source": 0.002, "noise_target": 0.02} | (truth or {})
    for task, (number, (source, target)), seed in itertools.product(tasks, enumerate(pairs), range(seeds)):
        made = Truth(**values | {"zero_shot": values["zero_shot"] + spread * number})
        write_cell(folder, Cell(encoder, task, source, target, seed), made, **options)
    return folder


def found(folder: Path, key: str, task: str | None = None, subject: str | None = None) -> Judgement:
    chosen = [j for j in judge(load(folder)) if j.part.key == key and j.task == task]
    (one,) = [j for j in chosen if subject in (None, j.subject)]
    return one


def verdict(folder: Path, key: str) -> Verdict:
    return found(folder, key).finding.verdict


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


def test_quantiles_of_t_are_those_of_scipy() -> None:
    for freedom in range(5, 40):
        assert t_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-3)


def clusters() -> tuple[pd.DataFrame, np.ndarray]:
    generator = np.random.default_rng(3)
    cells = pd.DataFrame(
        [(s, t, seed, task) for s, t in PAIRS for seed in range(3) for task in ("pos", "ner")],
        columns=["source", "target", "seed", "task"],
    )
    return cells, generator.normal(size=len(cells))


def test_the_clustered_bootstrap_is_the_one_described() -> None:
    """Drawn in plain loops, with other random numbers: the same spread and quantiles."""
    cells, values = clusters()
    drawn = mean(clustered_weights(cells), Sample(values[:, None], np.zeros(len(cells), int)))
    of = {
        (s, t, d): values[(cells["source"] == s) & (cells["target"] == t) & (cells["seed"] == d)]
        for s, t in PAIRS
        for d in range(3)
    }
    generator = np.random.default_rng(99)
    slow = []
    for _ in range(4000):
        seeds = {source: generator.integers(3, size=3) for source in ("en", "ar")}
        chosen = [PAIRS[number] for number in generator.integers(TARGETS, size=TARGETS)]
        slow.append(np.mean([of[s, t, int(d)] for s, t in chosen for d in seeds[s]]))
    assert drawn.std() == pytest.approx(np.std(slow), rel=0.06)
    np.testing.assert_allclose(
        np.quantile(drawn, [0.025, 0.5, 0.975]), np.quantile(slow, [0.025, 0.5, 0.975]), atol=0.04
    )


def test_tasks_of_a_pair_and_seed_are_drawn_together_and_order_changes_nothing() -> None:
    cells, _ = clusters()
    weights = clustered_weights(cells, draws=50)
    np.testing.assert_array_equal(weights[:, cells["task"] == "pos"], weights[:, cells["task"] == "ner"])
    assert set(weights[:, (cells["source"] == "en") & (cells["task"] == "pos")].sum(axis=1) % 3) == {0}
    shuffled = cells.sample(frac=1, random_state=0)
    again = clustered_weights(shuffled, draws=50)
    np.testing.assert_array_equal(again, weights[:, shuffled.index])


def test_the_expanded_interval_covers_more_nearly_what_it_says() -> None:
    generator = np.random.default_rng(5)
    cells = pd.DataFrame([("en", target, 0) for target in "abcdef"], columns=["source", "target", "seed"])
    weights = clustered_weights(cells, draws=1000)
    expanded = plain = 0
    for _ in range(400):
        drawn = mean(weights, Sample(generator.normal(size=(6, 1)), np.zeros(6, int)))
        low, high = expanded_interval(drawn, 6)
        expanded += low < 0 < high
        low, high = percentile_interval(drawn, 6)
        plain += low < 0 < high
    assert plain / 400 < 0.88 < expanded / 400 < 0.97


def test_the_share_of_deviation_is_scaled_by_neither_draws_nor_zeros() -> None:
    generator = np.random.default_rng(7)
    pairs = [(f"s{n}", f"t{n}") for n in range(60)]
    cells = pd.DataFrame(
        [(*pair, d) for pair in pairs for d in range(3)], columns=["source", "target", "seed"]
    )
    values = generator.normal(size=(180, 2)) * [1.0, 3.0]
    sample = Sample(values, np.repeat(np.arange(60), 3))
    deviations = np.sqrt(values.reshape(60, 3, 2).var(axis=1, ddof=1).mean(axis=0))
    exact = deviations[1] / deviations.sum()
    assert estimate(share_of_deviation, sample) == pytest.approx(exact)
    drawn = share_of_deviation(clustered_weights(cells, draws=2000), sample)
    assert np.mean(drawn) == pytest.approx(exact, rel=0.02)
    one = Sample(np.array([[0.1, 0.7], [0.1, 0.4], [0.1, 0.4]]), np.zeros(3, int))
    weights = np.array([[3.0, 0.0, 0.0], [1.0, 2.0, 0.0], [0.0, 1.0, 2.0]])
    np.testing.assert_array_equal(share_of_deviation(weights, one), [np.nan, 1.0, np.nan])


def test_the_row_bootstrap_is_that_of_the_figures() -> None:
    _, values = clusters()
    sample = Sample(values[:, None], np.zeros(len(values), int))
    drawn = mean(row_weights(np.arange(len(values))), sample)
    band = bootstrap_band(values[:, None], draws=4000)
    assert percentile_interval(drawn, len(values)) == pytest.approx((band.low[0], band.high[0]), abs=1e-8)


def test_verdicts_are_the_same_every_time(true_store: Path, true_judgements: list[Judgement]) -> None:
    again = verdict_words.frame(judge(load(true_store)))
    pd.testing.assert_frame_equal(again, verdict_words.frame(true_judgements))


# Controls


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


def test_without_a_control_it_is_said_what_stays_open(true_judgements: list[Judgement]) -> None:
    assert "no randomly initialised control" in verdict_words.control_note(true_judgements, [])
    assert "stays open" in verdict_words.control_note(true_judgements, [])


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
