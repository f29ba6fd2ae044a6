"""Listeners, or tracks, that come after the fit: placed by one step of it, the other side fixed."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.als import confidence
from audiorec_cli.listening.settings import settings_of
from audiorec_cli.records import Plays

LEAST_PENALTY = 1e-9  # of the mean square of a factor: without a penalty there may be no solution


def require_als(factors, what):
    """Refuse Factors of another model than "als": one step of that is no step of theirs."""
    model = factors.params.get("model")
    if model != "als":
        called = f"of the model {model}" if model else "of no known model"
        raise AudiorecError(
            f"{what} takes factors of the model als, and these are {called}: make such with "
            "'audiorec factorize LOG --model als', and train and predict with them"
        )


def fold_in_listeners(plays, factors):
    """Factors of listeners by their plays of the tracks that Factors know.

    plays : (m, n_tracks) CSR, in the order of the log's tracks, positive where stored
    factors : Factors of the model "als"
    For a listener of the log with all his or her plays they are nearly those of the fit.
    Returns (m, n_factors) float32, zero for a listener without a play of a track that was fitted.
    """
    settings = settings_of(factors.params)
    weighted = confidence(plays, settings)
    return least_squares(weighted, factors.fitted_track_factors, settings.regularization)


def with_tracks(factors, tracks, log_rows, directions):
    """Factors that know more tracks, as if the fit had met them where their sound puts them.

    tracks : LoggedTracks; log_rows : (k,) where the log has them, held out, -1 for nowhere
    directions : (k, n_factors) unit norm
    They are as long as the track that a listener played is on average, so that they count as much.
    Returns Factors, and the row of each track in their log, (k,) int64.
    """
    is_more = log_rows < 0
    log, n = factors.log, len(factors.log.tracks)
    rows = np.where(is_more, n + np.cumsum(is_more) - 1, log_rows)
    totals = np.zeros((n + is_more.sum(), factors.track_factors.shape[1]), dtype=np.float32)
    totals[:n] = factors.track_factors
    np.add.at(totals, rows, directions)
    length = np.linalg.norm(totals, axis=1, keepdims=True)
    totals /= np.where(length > 0, length, 1)
    norm, is_test = (
        np.r_[values, np.zeros(is_more.sum(), values.dtype)]
        for values in (factors.norm, factors.is_test)
    )
    listeners = np.where(factors.is_held_out, 0, log.tracks.listeners)
    # where the fit has met nothing there is no length to compare with
    usual = np.average(factors.norm, weights=listeners) if listeners.any() else 1.0
    norm[rows] = usual * totals[rows].any(axis=1)
    wider = csr_matrix(
        (log.plays.data, log.plays.indices, log.plays.indptr), (len(log.user_id), len(totals))
    )
    logged = log.tracks.followed_by(tracks.take(np.flatnonzero(is_more)))
    known = replace(
        factors,
        log=Plays(log.user_id, logged, wider),
        track_factors=totals,
        norm=norm,
        is_test=is_test,
    )
    return known, rows


def fold_in_tracks(plays, factors):
    """Factors of tracks by the plays of the listeners that Factors know, not normalised.

    plays : (k, n_users) CSR, in the order of the log's listeners, positive where stored
    factors : Factors of the model "als"
    Returns (k, n_factors) float32, zero for a track that none of them played.
    """
    settings = settings_of(factors.params)
    return least_squares(confidence(plays, settings), factors.user_factors, settings.regularization)


class Contributions:
    """How much each play of a listener adds to what a track is worth to him or her.

    factors : Factors of the model "als"
    """

    def __init__(self, factors):
        self._settings = settings_of(factors.params)
        self._fitted = factors.fitted_track_factors.astype(np.float64)
        self._common = _common(self._fitted, self._settings.regularization)

    def of(self, plays, directions):
        """The contributions of each play, (k, n_played), in the order of plays.indices.

        plays : (1, n_tracks) CSR of one listener; directions : (k, n_factors), of tracks
        The worth of a direction d is the sum over the tracks played, of
        dᵀ(YᵀCY + λI)⁻¹yⱼ · cⱼ ([C], section 5).
        """
        weight = confidence(plays, self._settings).data.astype(np.float64)
        own = self._fitted[plays.indices]
        normal = self._common + own.T @ ((weight - 1)[:, None] * own)
        return np.linalg.solve(normal, directions.T).T @ own.T * weight


def least_squares(confidence, factors, regularization):
    """The exact step of weighted matrix factorization for one side ([C], equation 4).

    confidence : (m, n) CSR, c of what was played; elsewhere it is 1, and the preference 0
    factors : (n, n_factors) Y of the other side, which stays as it is
    Returns (m, n_factors) float32: (YᵀCY + λI)⁻¹ YᵀCp for each row, zero for one without plays.
    """
    factors = np.asarray(factors, dtype=np.float64)
    common = _common(factors, regularization)
    solved = np.zeros((confidence.shape[0], factors.shape[1]), dtype=np.float32)
    for row in np.flatnonzero(np.diff(confidence.indptr)):
        played = slice(*confidence.indptr[row : row + 2])
        weight = confidence.data[played].astype(np.float64)
        own = factors[confidence.indices[played]]
        solved[row] = np.linalg.solve(common + own.T @ ((weight - 1)[:, None] * own), weight @ own)
    return solved


def _common(factors, regularization):
    """YᵀY + λI, which can be inverted whatever λ is."""
    gram, n_factors = factors.T @ factors, factors.shape[1]
    least = LEAST_PENALTY * (np.trace(gram) / n_factors or 1)
    return gram + max(regularization, least) * np.eye(n_factors)
