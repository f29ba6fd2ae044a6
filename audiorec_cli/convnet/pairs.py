"""Pairs of tracks that the same listeners play, straight from the log."""

import numpy as np

from audiorec_cli.errors import AudiorecError


class SharedListeners:
    """How strongly listeners bind tracks to one another, and partners drawn by it.

    plays : (n_users, n_tracks) CSR, of the log
    train, others : rows of its tracks to learn from, and to compare with these; a row may come
        again, as where the songs of an artist share one
    A listener of n training tracks binds two tracks by 1/n, so that listeners of everything do not
    decide. The strength of a training track for another track is the sum of that over the listeners
    of both, by the root of the sum for it over all training tracks, so that what everybody plays
    does not come first everywhere.
    """

    def __init__(self, plays, train, others=()):
        self.rows = np.unique(np.concatenate([train, others]).astype(np.int64))
        self._played = _ones(plays[:, self.rows].T)
        self._is_trained = is_trained = np.isin(self.rows, train)
        n_played = is_trained @ self._played
        weights = np.divide(1, n_played, out=np.zeros(len(n_played)), where=n_played > 0)
        self._weighted = self._played.multiply(weights).tocsr()
        # nobody is bound to itself
        bound = np.where(is_trained, self._weighted @ np.maximum(n_played - 1, 0), 0)
        self._scale = np.divide(1, np.sqrt(bound), out=np.zeros(len(bound)), where=bound > 0)
        self._first, self._second = self._steps(is_trained, n_played, weights)

    def _steps(self, is_trained, n_played, weights):
        """From a track to its listeners and on to their training tracks, by strength together."""
        first, second = self._played.copy(), self._played.T.tocsr()
        track = np.repeat(np.arange(len(self.rows)), np.diff(first.indptr))
        leads_on = n_played[first.indices] > is_trained[track]
        reached = self._scale @ self._played
        first.data = leads_on * (weights * reached)[first.indices]
        second.data = self._scale[second.indices]
        return _Draw(first), _Draw(second)

    @property
    def has_partner(self):
        """(k,) bool, of `rows`: whether another one, a training track, shares a listener."""
        return self._first.totals > 0

    @property
    def binds_all_alike(self):
        """Whether each listener plays all training tracks or none, so that all are one taste."""
        played = self._played[self._is_trained]
        return bool((played.getnnz(axis=0) % played.shape[0] == 0).all())

    def places(self, rows):
        """Where rows (k,) of the log stand in `rows`: (k,) int64."""
        return np.searchsorted(self.rows, rows)

    def strengths(self, places, others):
        """Strength of others, (m,) places of training tracks, for places (k,): (k, m) float32."""
        bound = (self._weighted[places] @ self._played[others].T).toarray()
        return (bound * self._scale[others]).astype(np.float32)

    def partners(self, places, rng):
        """For each place (k,), which has a partner, another training track, drawn by strength.

        Returns (k,) places.
        """
        drawn, wanted = places.copy(), np.arange(len(places))
        while len(wanted):
            own = places[wanted]
            drawn[wanted] = self._second.draw(self._first.draw(own, rng), rng)
            wanted = wanted[drawn[wanted] == own]
        return drawn


def with_partners(plays, train, validation):
    """Which tracks a contrast can learn from, and which it can be validated on.

    plays : (n_users, n_tracks) CSR; train, validation : rows of the log's tracks (k,), (m,)
    Returns (k,) and (m,) bool: whether some listener of it plays another training track. Raises
    AudiorecError where none is left.
    """
    every = SharedListeners(plays, train)
    learnt = every.has_partner[every.places(train)]
    if not learnt.any():
        raise AudiorecError(
            f"no listener of the log plays two of the {len(train)} tracks to train on, so nothing "
            "tells which belong together: add tracks to the library, or take a log of more plays"
        )
    shared = SharedListeners(plays, train[learnt], validation)
    if shared.binds_all_alike:
        raise AudiorecError(
            f"every two of the {learnt.sum()} tracks to train on share as many listeners, so "
            "nothing tells which belong together: take a log of more listeners"
        )
    validates = shared.has_partner[shared.places(validation)]
    if not validates.any():
        raise AudiorecError(
            f"none of the {len(validation)} tracks to validate on shares a listener with those to "
            "train on: ask for more with --validation"
        )
    return learnt, validates


def _ones(plays):
    played = plays.tocsr().astype(np.float64)
    played.data[:] = 1
    return played


class _Draw:
    """Columns of a CSR drawn for its rows, in proportion to what is stored there."""

    def __init__(self, matrix):
        self._matrix = matrix
        self._reached = np.concatenate([[0.0], np.cumsum(matrix.data)])
        self.totals = matrix.sum(axis=1).A1

    def draw(self, rows, rng):
        """A column (k,) for each row (k,), none of which is empty."""
        start, end = self._matrix.indptr[rows], self._matrix.indptr[rows + 1]
        low, high = self._reached[start], self._reached[end]
        at = low + rng.random(len(rows)) * (high - low)
        place = np.searchsorted(self._reached, at, side="right") - 1
        return self._matrix.indices[np.clip(place, start, end - 1)]


class Partners:
    """Draws training excerpts of the partners of tracks.

    shared : SharedListeners; tracks : (n,) places of the training excerpts' tracks
    """

    def __init__(self, shared, tracks):
        self.tracks, self._shared = tracks, shared
        self._by_track = np.argsort(tracks, kind="stable")
        self._sorted = tracks[self._by_track]

    def draw(self, tracks, rng):
        """(k,) a training excerpt for each of these places (k,), which have partners."""
        partners = self._shared.partners(tracks, rng)
        first, end = (np.searchsorted(self._sorted, partners, side) for side in ("left", "right"))
        return self._by_track[rng.integers(first, end)]


class PairSampler:
    """The order of an epoch: excerpts and their partners in turn, drawn anew for each epoch.

    n : excerpts of an epoch, an even number, no more than twice as many as there are
    Each excerpt comes as often with a partner, however often it is one itself. Set `epoch` before
    each pass; what it gives depends on seed and epoch alone.
    """

    def __init__(self, partners, n, *, seed):
        self.epoch, self._n, self._seed, self._partners = 0, n, seed, partners

    def __len__(self):
        return self._n

    def __iter__(self):
        anchors = self._anchors()
        # other numbers than those of anchors and crops
        seeds = np.random.SeedSequence(self._seed, spawn_key=(self.epoch,))
        tracks = self._partners.tracks[anchors]
        partners = self._partners.draw(tracks, np.random.default_rng(seeds))
        for number, (anchor, partner) in enumerate(zip(anchors, partners, strict=True), start=1):
            yield self.epoch, int(anchor)
            # an excerpt that comes again in an epoch is cropped otherwise
            yield self.epoch, int(partner), number

    def _anchors(self):
        """Excerpts (n / 2,): all of them shuffled, time and again, from where epochs before end."""
        n_excerpts, n_pairs = len(self._partners.tracks), self._n // 2
        rounds, places = np.divmod(self.epoch * n_pairs + np.arange(n_pairs), n_excerpts)
        orders = {
            number: np.random.default_rng((self._seed, number)).permutation(n_excerpts)
            for number in set(rounds.tolist())
        }
        return np.array([orders[number][i] for number, i in zip(rounds, places, strict=True)])
