"""Which tracks are ranked for which users, and what these users really played of them."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Candidates:
    """The items of a log that are ranked, and the users who played at least one of them.

    items : (n,) rows of the log's tracks, ascending
    tracks : (k,) rows of the library's tracks, and their places (k,) among the items: an item may
        have several, as an artist has songs
    users : (m,) rows of the log's users; truth : (m, n) CSR, their plays of the items
    listeners : (n,) int64, how many users played each item
    """

    items: np.ndarray
    tracks: np.ndarray
    places: np.ndarray
    users: np.ndarray
    truth: csr_matrix
    listeners: np.ndarray

    @property
    def is_tail(self):
        """(n,) bool: the half of the items with the fewest listeners."""
        order = np.argsort(self.listeners, kind="stable")
        is_tail = np.zeros(len(order), dtype=bool)
        is_tail[order[: len(order) // 2]] = True
        return is_tail

    def item_factors(self, track_factors):
        """Factors of the items: the mean direction of their tracks.

        track_factors : (k, n_factors), of `tracks`, any length
        Returns (n, n_factors) float32, unit norm, or zero where there is no direction.
        """
        totals = np.zeros((len(self.items), track_factors.shape[1]))
        np.add.at(totals, self.places, of_unit_norm(track_factors))
        return of_unit_norm(totals).astype(np.float32)

    def item_means(self, values):
        """Mean of a value of each track (k,) over the tracks of each item: (n,) float64."""
        return np.bincount(self.places, values) / np.bincount(self.places)

    def take(self, places):
        """These items only, by their places, ascending, and the users who played one of them."""
        place_of = np.full(len(self.items), -1)
        place_of[places] = np.arange(len(places))
        kept = place_of[self.places] >= 0
        truth = self.truth[:, places]
        heard = np.flatnonzero(truth.getnnz(axis=1))
        return Candidates(
            self.items[places],
            self.tracks[kept],
            place_of[self.places[kept]],
            self.users[heard],
            truth[heard],
            self.listeners[places],
        )


def candidates_of(log, tracks, items, *, min_listeners=1):
    """Candidates from the tracks of a library that a network never trained on.

    log : Plays; tracks : (k,) rows of the library; items : (k,) the log's rows that they match
    min_listeners : items with fewer are left out, as too little is known of who likes them
    """
    names, places = np.unique(items, return_inverse=True)
    plays = log.plays[:, names]
    listeners = plays.getnnz(axis=0)
    everyone = np.arange(plays.shape[0])
    whole = Candidates(names, tracks, places, everyone, plays, listeners)
    return whole.take(np.flatnonzero(listeners >= min_listeners))


def of_unit_norm(factors):
    """Rows scaled to unit norm, float64; rows of zeros stay."""
    norm = np.linalg.norm(factors, axis=1, keepdims=True)
    return np.divide(factors, norm, out=np.zeros(factors.shape), where=norm > 0)
