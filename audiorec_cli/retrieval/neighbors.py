"""Nearest neighbours among factors of unit norm."""

import numpy as np

HEAP = 64  # scores of which only the highest is looked at again, as a rule


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


def nearest_others(rows, factors, k):
    """The k rows of `factors` nearest by cosine to each of these rows (m,), itself left out.

    factors : as in `cosines`; k < n
    Returns rows (m, k) int64 and cosines (m, k) float32, in no order. The m × n cosines are made.
    """
    scores = factors[rows] @ factors.T
    scores[np.arange(len(rows)), rows] = -np.inf
    found = _highest(scores, k)
    return found, np.take_along_axis(scores, found, axis=1)


def _highest(scores, k):
    """The columns of the k highest of each row: (m, k), in no order.

    Every n_heaps-th column is in one heap. The k highest are in the heaps whose highest are so,
    or behind the last whole heap: most of the others are looked at once and never moved.
    """
    n = scores.shape[1]
    n_heaps = n // HEAP
    if n_heaps < 2 * k:
        return np.argpartition(scores, n - k, axis=1)[:, n - k :]
    whole = n_heaps * HEAP
    tops = scores[:, :whole].reshape(-1, HEAP, n_heaps).max(axis=1)
    heaps = np.argpartition(tops, n_heaps - k, axis=1)[:, n_heaps - k :]
    members = heaps[:, :, None] + n_heaps * np.arange(HEAP)
    rest = np.broadcast_to(np.arange(whole, n), (len(scores), n - whole))
    columns = np.hstack([members.reshape(len(scores), -1), rest])
    among = np.take_along_axis(scores, columns, axis=1)
    places = np.argpartition(among, among.shape[1] - k, axis=1)[:, -k:]
    return np.take_along_axis(columns, places, axis=1)


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
