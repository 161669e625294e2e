"""The arithmetic behind figures and summary."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics import bootstrap_band, largest_drop, mean_over_cells, range_band, straightness


def test_the_band_covers_the_true_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    hits = 0
    for trial in range(300):
        cells = 0.5 + 0.1 * generator.standard_normal((30, 1))
        band = bootstrap_band(cells, draws=400, seed=trial)
        hits += bool(band.low[0] <= 0.5 <= band.high[0])
    assert 0.89 <= hits / 300 <= 0.98


def test_the_band_resamples_cells_not_points() -> None:
    """Two cells that differ by a constant: every draw's mean does too, so the band is parallel."""
    offsets = np.array([0.0, 0.1, 0.25, 0.4])[:, None]
    band = bootstrap_band(offsets + np.linspace(0, 1, 7)[None, :])
    np.testing.assert_allclose(np.diff(band.low), 1 / 6)
    np.testing.assert_allclose(np.diff(band.high), 1 / 6)
    assert band.high[0] > band.low[0]


def test_one_cell_has_no_band_and_gaps_are_left_out() -> None:
    one = np.array([[0.1, 0.2]])
    assert np.isnan(bootstrap_band(one).low).all()
    assert np.isnan(range_band(one).low).all()
    gappy = np.array([[0.2, np.nan, np.nan], [0.4, 0.6, np.nan]])
    np.testing.assert_allclose(mean_over_cells(gappy), [0.3, 0.6, np.nan])
    band = bootstrap_band(gappy)
    assert (band.low[0], band.high[0]) == pytest.approx((0.2, 0.4))
    assert np.isnan(band.low[1:]).all()
    np.testing.assert_allclose(range_band(gappy).high, [0.4, np.nan, np.nan])


def test_largest_drop_and_straightness_by_hand() -> None:
    assert largest_drop(np.array([0.9, 0.7, 0.95])) == pytest.approx(0.2)
    assert largest_drop(np.array([0.5, 0.7, 0.9])) == 0.0
    alphas = np.array([0.0, 0.1, 0.5, 1.0])
    assert straightness(alphas, 0.3 + 0.5 * alphas) == pytest.approx(1.0)
    # Ends 0 and 1, middle 1: weights 1/4 1/2 1/4, mean 3/4, total 3/16, residual 1/2 * 1/4.
    assert straightness(np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 1.0])) == pytest.approx(1 / 3)
    assert np.isnan(straightness(alphas, np.full(4, 0.7)))


def test_straightness_does_not_gain_from_points_crowded_at_the_ends() -> None:
    def bent(alphas: np.ndarray) -> float:
        return straightness(alphas, np.sqrt(alphas))

    even = np.linspace(0, 1, 201)
    crowded = np.sort(np.append(np.linspace(0, 1, 21), np.linspace(0.95, 1, 400)))
    assert bent(crowded) == pytest.approx(bent(even), abs=0.05)
