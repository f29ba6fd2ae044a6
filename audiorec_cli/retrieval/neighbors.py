"""Nearest neighbours among factors of unit norm."""

import numpy as np


def unit(factors):
    """Rows scaled to unit norm, float32; rows of zeros stay."""
    norm = np.linalg.norm(factors, axis=-1, keepdims=True)
    return np.divide(factors, norm, out=np.zeros(factors.shape), where=norm > 0).astype(np.float32)


def cosines(query, factors):
    """Cosine of each row of `factors` with a direction.

    query : (n_factors,) float, any length but zero; factors : (n, n_factors) float32, unit norm
    Returns (n,) float32.
    """
    return factors @ (query / np.linalg.norm(query)).astype(factors.dtype)


def nearest(query, factors, k):
    """The k rows of `factors` nearest to a direction by cosine, the nearest first.

    query, factors : as in `cosines`
    Returns rows (k,) int64 and cosines (k,) float32; k is cut to n. Equal cosines keep row order.
    """
    scores = cosines(query, factors)
    k = min(k, len(scores))
    candidates = np.argpartition(-scores, k - 1)[:k] if k < len(scores) else np.arange(k)
    rows = candidates[np.lexsort((candidates, -scores[candidates]))]
    return rows, scores[rows]


def usage_coordinates(track_factors, user_factors):
    """Tracks on axes where cosines are those of usage patterns: what is predicted of all listeners.

    track_factors : (n, n_factors), user_factors : (n_users, n_factors), real
    A usage pattern is X·y for the user factors X [B]. Its cosines depend on XᵀX alone, so no
    tracks × users matrix is made. Returns (n, n_factors) float32, unit norm, or zero where y is.
    """
    user_factors = np.asarray(user_factors, dtype=np.float64)
    squares, axes = np.linalg.eigh(user_factors.T @ user_factors)
    return unit(track_factors @ (axes * np.sqrt(np.maximum(squares, 0))))


def confidence(deviation):
    """How sure a prediction of unit norm is: its share of the squared length to be expected.

    deviation : (…, n_factors), of each factor; the sum of their squares and 1 is what to expect
    Returns (…) between 0 and 1, which is certainty.
    """
    return 1 / (1 + np.sum(np.square(deviation, dtype=np.float64), axis=-1))
