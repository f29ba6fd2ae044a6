"""Tracks for listeners: where sound and listening put them, and which are the best."""

from typing import NamedTuple

import numpy as np

from audiorec_cli.retrieval.choosing import Chooser
from audiorec_cli.retrieval.neighbors import unit

SCORES_AT_A_TIME = 2**23
POOL = 2000  # of the best candidates, among which the diverse ones are looked for


def blended(listened, predicted, listeners, trust):
    """Directions of tracks by listening and by sound, listening weighing n / (n + trust).

    listened, predicted : (n, n_factors) unit norm; listened is zero where it tells nothing
    listeners : (n,), how many each track has, n above
    trust : in sound: how many listeners it is worth, so that 0 is listening alone for every track
        that has a listener, and infinity sound alone
    Returns (n, n_factors) float32, unit norm; zero where the two cancel each other out.
    """
    weight = _share_of_listening(listeners, trust)[:, None]
    return unit(weight * listened + (1 - weight) * predicted)


def sureness(listeners, trust, of_sound):
    """How much a cosine with a blended direction is worth: (n,), from `of_sound` to 1.

    listeners, trust : as in `blended`
    of_sound : the mean cosine of what is predicted with what listening gives, of tracks that were
        not trained on. A track that is predicted lies around its direction, so that the score to
        expect of it, were it listened to, is shorter by that much.
    """
    weight = _share_of_listening(listeners, trust)
    return weight + (1 - weight) * of_sound


def _share_of_listening(listeners, trust):
    weight = np.zeros(len(listeners))
    return np.divide(listeners, listeners + trust, out=weight, where=listeners > 0)


class Rules(NamedTuple):
    """What a list of recommendations has to be like.

    k : tracks in it; limits : as in Chooser; diversity : 0 for the best whatever they are like,
    towards 1 for tracks unlike each other
    """

    k: int
    limits: tuple = ()
    diversity: float = 0.0


class Recommender:
    """The best tracks for listeners, by the cosine of their factors.

    coordinates : (n, n_factors) float32 of unit norm, or zero for tracks never to be recommended
    is_candidate : (n,) bool, the tracks that may be
    sure : (n,), what a cosine with each is worth, which it is multiplied by; None for all the same
    """

    def __init__(self, coordinates, is_candidate, rules, sure=None):
        self._rows = np.flatnonzero(is_candidate & coordinates.any(axis=1))
        self._coordinates, self._rules = coordinates[self._rows], rules
        self._sure = 1 if sure is None else sure[self._rows].astype(np.float32)

    def best(self, listeners, heard):
        """Yield (rows, scores) for each listener, the best first, Rules.k at most.

        listeners : (m, n_factors), any norm but zero
        heard : gives, for a slice of the listeners, (…, n) CSR, stored where the listener is not to
            be given the track
        """
        step = max(1, SCORES_AT_A_TIME // max(1, len(self._rows)))
        for start in range(0, len(listeners), step):
            part = slice(start, start + step)
            scores = unit(listeners[part]) @ self._coordinates.T * self._sure
            block = heard(part)[:, self._rows]
            for own, first, last in zip(scores, block.indptr, block.indptr[1:], strict=False):
                own[block.indices[first:last]] = -np.inf
                chosen = self._chosen(own)
                yield self._rows[chosen], own[chosen]

    def _chosen(self, scores):
        """Places of the candidates that come into a list, given their scores."""
        k, limits, diversity = self._rules
        if not limits and not diversity:
            return highest(scores, k)
        chooser = Chooser([(lambda place, key=key: key(self._rows[place]), n) for key, n in limits])
        if not diversity:
            return chooser.fill(_in_order(scores), k)
        pool = highest(scores, max(POOL, k))
        chosen = self._diverse(pool, scores, chooser)
        if len(chosen) < k:  # the limits let in too few of the pool
            chosen += chooser.fill(
                highest(scores, len(scores))[len(pool) :].tolist(), k - len(chosen)
            )
        return chosen

    def _diverse(self, pool, scores, chooser):
        """The list by maximal marginal relevance.

        Each track is the one with the highest (1 − d) · score − d · cosine with the track nearest
        to it that is in the list (Carbonell and Goldstein, SIGIR 1998; their λ is 1 − d).
        """
        k, _, diversity = self._rules
        relevance, chosen = (1 - diversity) * scores[pool], []
        coordinates, nearest = self._coordinates[pool], np.full(len(pool), -np.inf)
        left = np.ones(len(pool), dtype=bool)
        while left.any() and len(chosen) < k:
            marginal = relevance - diversity * (nearest if chosen else 0)
            place = int(np.argmax(np.where(left, marginal, -np.inf)))
            left[place] = False
            if chooser.offer(int(pool[place])):
                chosen.append(int(pool[place]))
                nearest = np.maximum(nearest, coordinates @ coordinates[place])
        return chosen


def audience(direction, users, left_out, k):
    """The k listeners whose factors are nearest to a track's by cosine, the nearest first.

    direction : (n_factors,) of unit norm; users : (m, n_factors), any norm; those of whom
        nothing is known have zero and are in no audience
    left_out : (m,) bool, listeners who are not meant
    Returns rows (k,) and cosines (k,), fewer where there are no more.
    """
    scores = unit(users) @ direction
    scores[left_out | ~users.any(axis=1)] = -np.inf
    rows = highest(scores, k)
    return rows, scores[rows]


def highest(scores, k):
    """Places of the k highest finite scores, the highest first; equal ones keep their order."""
    places = np.arange(len(scores))
    if k < len(scores):
        lowest = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= lowest)
    places = places[np.isfinite(scores[places])]
    return places[np.lexsort((places, -scores[places]))][:k]


def _in_order(scores):
    """Yield the places of all finite scores, the highest first, without sorting more than asked."""
    given = 0
    for n in (POOL, len(scores)):
        yield from highest(scores, n)[given:].tolist()
        given = n
