"""Putting a list together: from the best down, what its rules allow."""

from collections import Counter

import numpy as np

SMALLEST_ANGLE = 1e-4  # radians, between directions that are told apart


class Chooser:
    """A list of rows that grows by those that its rules allow.

    limits : (key, n) pairs: at most n rows of the same key(row), as many as there are of None
    is_duplicate : whether two rows are the same recording; None where that does not matter
    """

    def __init__(self, limits=(), is_duplicate=None):
        self.rows, self._taken = [], set()
        self._limits = [(key, n, Counter()) for key, n in limits]
        self._is_duplicate = is_duplicate

    def take(self, row, *, counts=True):
        """Put a row in the list whatever the rules say.

        counts : whether limits count it; that no row, and no duplicate of it, comes in again does
            not hang on that
        """
        self.rows.append(row)
        self._taken.add(row)
        for key, _, counted in self._limits:
            counted[key(row)] += counts

    def offer(self, row):
        """Put a row in the list if the rules allow it, and say whether they did."""
        if row in self._taken:
            return False
        for key, n, counted in self._limits:
            value = key(row)
            if value is not None and counted[value] >= n:
                return False
        if self._is_duplicate and any(self._is_duplicate(row, other) for other in self.rows):
            return False
        self.take(row)
        return True

    def fill(self, rows, n):
        """Offer rows, the best first, until n of them are in the list; returns those."""
        chosen = []
        for row in rows:
            if len(chosen) == n:
                break
            if self.offer(row):
                chosen.append(row)
        return chosen


def waypoints(start, end, k):
    """k directions in even steps from one to another, both among them, along the great circle.

    start, end : (n_factors,) of unit norm, not opposite; k : 2 or more
    Returns (k, n_factors). Raises ValueError where they are opposite, for every way is as short.
    Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985.
    """
    angle = np.arccos(np.clip(np.dot(start, end), -1, 1))
    if np.pi - angle < SMALLEST_ANGLE:
        raise ValueError("opposite directions")
    steps = np.linspace(0, 1, k)[:, None]
    if angle < SMALLEST_ANGLE:
        return (1 - steps) * start + steps * end
    return (np.sin((1 - steps) * angle) * start + np.sin(steps * angle) * end) / np.sin(angle)
