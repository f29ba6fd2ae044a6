"""Intervals of means over users."""

import numpy as np
import pytest

from audiorec_cli.evaluation.bootstrap import bootstrapped_means


def test_the_interval_is_that_of_the_normal_law():
    values = np.random.default_rng(0).normal(3, 2, size=(400, 1))
    (mean,) = bootstrapped_means(values, resamples=4000, seed=0)
    error = values.std() / 20
    assert mean.mean == pytest.approx(values.mean())
    assert mean.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert mean.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    rng = np.random.default_rng(1)
    samples = rng.exponential(size=(200, 300))
    held = [low <= 1 <= high for _, low, high in bootstrapped_means(samples, resamples=500, seed=2)]
    assert 0.89 < np.mean(held) < 0.99


def test_a_pair_that_always_differs_alike_is_sure_of_it():
    rng = np.random.default_rng(0)
    one = rng.normal(size=300)
    columns = np.column_stack([one, one + 0.1, one + 0.1 - one])
    first, second, difference = bootstrapped_means(columns, resamples=200, seed=0)
    assert first.high > second.low
    assert difference == pytest.approx((0.1, 0.1, 0.1))


def test_users_without_a_figure_do_not_count():
    columns = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    mean, nothing = bootstrapped_means(columns, resamples=100, seed=0)
    assert mean.mean == 2
    assert 1 <= mean.low <= mean.high <= 3
    assert np.isnan(nothing).all()


def test_blocks_of_resamples_change_nothing(monkeypatch):
    columns = np.random.default_rng(0).normal(size=(50, 2))
    whole = bootstrapped_means(columns, resamples=100, seed=7)
    monkeypatch.setattr("audiorec_cli.evaluation.bootstrap.WEIGHTS_AT_A_TIME", 350)
    np.testing.assert_allclose(bootstrapped_means(columns, resamples=100, seed=7), whole, rtol=1e-9)
    other = bootstrapped_means(columns, resamples=100, seed=8)
    assert not np.allclose(other, whole, rtol=1e-9)
