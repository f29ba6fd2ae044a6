"""Tracks that sound like nothing that is listened to where they are."""

import math

import numpy as np

from audiorec_cli.retrieval.neighbors import nearest_others

N_NEIGHBORS = 10  # by listening, that tell what a track should sound like
NEAR = 0.25  # of the tracks at most: the others are no neighbours
SHRINKAGE = 0.3  # of the covariance, towards one of equal variance in all directions
ENOUGH = 3.0  # tracks a feature, for that; with fewer it is shrunk more
CORE = 0.75  # share of the tracks whose deviations the covariance is taken of
STEPS = 10  # in which that core is found
NARROWEST = 0.1  # of the median interquartile range of a description's features
LEAST = 1e-6  # share that is told from nothing
DEVIATIONS = 1.4826  # median absolute deviations in a standard deviation of a normal distribution
FEWEST = 20  # tracks that tell how far off is usual
ROWS_AT_A_TIME = 256


def outlier_scores(listened, descriptions, weights=None):
    """How far each track sounds from the tracks that are nearest to it by listening.

    listened : (n, n_factors) float, unit norm, or zero where listening tells nothing
    descriptions : of the tracks' sound, arrays (n, n_features); a row that is not finite where the
        sound is not known
    weights : how much each description counts, however many features it has; None for all alike
    What a track should sound like is the median, in each feature, of its N_NEIGHBORS nearest by
    listening, of fewer in a small library. The distance from it is Mahalanobis's, under the
    covariance of the most usual deviations, shrunk: the minimum regularized covariance determinant
    of Boudt, Rousseeuw, Vanduffel and Verdonck (2020), from one start.
    Returns (n,) float64: how many robust standard deviations the logarithm of the distance is above
    the median of all tracks; NaN where listening or the sound is not known, and for all tracks
    where that leaves fewer than FEWEST.
    """
    known = np.asarray(listened).any(axis=1)
    for description in descriptions:
        known = known & np.isfinite(description).all(axis=1)
    scores = np.full(len(known), np.nan)
    if known.sum() >= FEWEST:
        pairs = zip(weights or [1] * len(descriptions), descriptions, strict=True)
        sound = np.hstack([weight * _standardised(each[known]) for weight, each in pairs])
        deviations = sound - _expected(sound, np.asarray(listened)[known])
        scores[known] = _robust_z(_log(_distances(deviations)))
    return scores


def _standardised(features):
    """Features around 0, of about equal spread, together of one weight however many they are."""
    features = np.asarray(features, dtype=np.float64)
    low, middle, high = np.percentile(features, (25, 50, 75), axis=0)
    spread = high - low
    # a feature that hardly ever differs must not outweigh the others where it does
    spread = np.maximum(spread, NARROWEST * np.median(spread))
    spread = np.where(spread > 0, spread, features.std() or 1)
    return (features - middle) / spread / np.sqrt(features.shape[1])


def _expected(sound, listened):
    """The median sound of each track's nearest by listening, itself left out."""
    k = min(N_NEIGHBORS, math.ceil(NEAR * (len(sound) - 1)))
    expected = np.empty_like(sound)
    for first in range(0, len(sound), ROWS_AT_A_TIME):
        rows = np.arange(first, min(first + ROWS_AT_A_TIME, len(sound)))
        expected[rows] = np.median(sound[nearest_others(rows, listened, k)[0]], axis=1)
    return expected


def _distances(deviations):
    """Mahalanobis distance of each row from the middle of the most usual ones: (n,)."""
    distances, shrinkage = np.linalg.norm(deviations, axis=1), _shrinkage(*deviations.shape)
    for _ in range(STEPS):
        in_core = distances <= np.quantile(distances, CORE)
        core = deviations[in_core]
        middle = core.mean(axis=0)
        variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(core, rowvar=False, ddof=0)))
        variances = np.maximum(variances, 0)
        variances = (1 - shrinkage) * variances + shrinkage * variances.mean()
        if not variances.all():  # the usual tracks sound just as expected
            return np.linalg.norm(deviations - middle, axis=1)
        squares = np.sum(((deviations - middle) @ axes) ** 2 / variances, axis=1)
        # without its own part in the covariance, by the formula of Sherman and Morrison: else what
        # is not in the core would seem farther off
        own = np.where(in_core, (1 - shrinkage) / len(core), 0)
        distances = np.sqrt(squares / np.maximum(1 - own * squares, LEAST))
    return distances


def _shrinkage(n, n_features):
    """How much to shrink the covariance of n tracks."""
    return 1 - (1 - SHRINKAGE) * min(1, n / (ENOUGH * n_features))


def _log(distances):
    """Logarithms: those of distances are more evenly spread around their middle."""
    least = LEAST * (np.median(distances) or distances.max() or 1)
    return np.log(np.maximum(distances, least))


def _robust_z(values):
    deviations = values - np.median(values)
    spread = DEVIATIONS * np.median(np.abs(deviations)) or deviations.std()
    return deviations / spread if spread else deviations
