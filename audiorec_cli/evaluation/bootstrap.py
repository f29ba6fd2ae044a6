"""How sure a mean over users is: percentile intervals by resampling the users (Efron, 1979)."""

from typing import NamedTuple

import numpy as np

WEIGHTS_AT_A_TIME = 2**24


class Mean(NamedTuple):
    """A mean over users and the limits of its 95 % interval."""

    mean: float
    low: float
    high: float


def bootstrapped_means(columns, *, resamples, seed):
    """Mean of each column over the users, with a 95 % bootstrap interval.

    columns : (n_users, n_columns) float, nan where a user has no figure
    resamples : how often as many users are drawn anew, with replacement; all columns share the
        draws, so the interval of a difference is that of the column of differences
    Returns one Mean a column, of nan for a column without any figure.
    """
    n_users = len(columns)
    known = np.isfinite(columns)
    both = np.hstack([np.where(known, columns, 0), known])
    rng = np.random.default_rng(seed)
    step = max(1, WEIGHTS_AT_A_TIME // n_users)
    sums = [
        _drawn(rng, min(step, resamples - done), n_users) @ both
        for done in range(0, resamples, step)
    ]
    drawn = _mean_of(np.concatenate(sums))
    means = _mean_of(both.sum(axis=0, keepdims=True))[0]
    known_somewhere = ~np.isnan(drawn).all(axis=0)
    limits = np.full((2, columns.shape[1]), np.nan)
    limits[:, known_somewhere] = np.nanpercentile(drawn[:, known_somewhere], (2.5, 97.5), axis=0)
    return [Mean(*map(float, figures)) for figures in zip(means, *limits, strict=True)]


def _drawn(rng, n, n_users):
    """How often each user is drawn in each of n resamples: (n, n_users) float64."""
    draws = (rng.integers(n_users, size=n_users) for _ in range(n))
    return np.array([np.bincount(draw, minlength=n_users) for draw in draws], dtype=np.float64)


def _mean_of(sums_and_counts):
    sums, counts = np.split(sums_and_counts, 2, axis=1)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
