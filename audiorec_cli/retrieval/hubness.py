"""Hubs, tracks that are near everything, and how to keep them out of every list."""

import numpy as np

from audiorec_cli.retrieval.neighbors import nearest_others

N_NEIGHBORS = 10  # that tell how dense it is around a track
POOL = 2000  # of the nearest tracks are ranked anew: far ones come into no list
ROWS_AT_A_TIME = 256


class LocalScaling:
    """Cosines against how dense it is at both ends: cross-domain similarity local scaling.

    coordinates : (n, n_factors) float32, unit norm
    The score of two tracks is 2 cos(x, y) - r(x) - r(y), where r is a track's mean cosine with its
    N_NEIGHBORS nearest (Conneau et al., "Word translation without parallel data", ICLR 2018).
    """

    def __init__(self, coordinates):
        self._coordinates = coordinates
        self._density = np.full(len(coordinates), np.nan, np.float32)

    def rank(self, cosines):
        """The rows by their score, the highest first, given their cosines with a direction.

        cosines : (n,). Returns (n,) int64; behind the POOL nearest by cosine, in that order.
        The direction's own r is the same for all, so it changes nothing.
        """
        by_cosine = np.argsort(-cosines, kind="stable")
        pool = by_cosine[:POOL]
        scores = 2 * cosines[pool] - self.density(pool)
        return np.concatenate([pool[np.argsort(-scores, kind="stable")], by_cosine[POOL:]])

    def density(self, rows):
        """The mean cosine of these rows with their nearest tracks: (len(rows),) float32."""
        unknown = rows[np.isnan(self._density[rows])]
        for first in range(0, len(unknown), ROWS_AT_A_TIME):
            block = unknown[first : first + ROWS_AT_A_TIME]
            self._density[block] = self._mean_of_nearest(block)
        return self._density[rows]

    def _mean_of_nearest(self, rows):
        k = min(N_NEIGHBORS, len(self._coordinates) - 1)
        if k < 1:
            return np.zeros(len(rows), np.float32)
        _, cosines = nearest_others(rows, self._coordinates, k)
        return cosines.mean(axis=1)
