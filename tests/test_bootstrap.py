from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_verdicts import PAIRS, TARGETS
from scipy import stats

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
from analysis.statistics import bootstrap_band


def test_quantiles_of_t_are_those_of_scipy() -> None:
    for freedom in range(1, 40):
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
