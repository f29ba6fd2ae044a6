"""Listeners, or tracks, that come after the fit: placed by one step of it, the other side fixed."""

import numpy as np

from audiorec_cli.listening.als import confidence
from audiorec_cli.listening.settings import AlsSettings, settings_of


def fold_in_listeners(plays, factors):
    """Factors of listeners by their plays of the tracks that Factors know.

    plays : (m, n_tracks) CSR, in the order of the log's tracks, positive where stored
    For a listener of the log with all his or her plays they are nearly those of the fit. Of models
    other than "als" the least squares of AlsSettings' defaults come near.
    Returns (m, n_factors) float32, zero for a listener without a play of a track that was fitted.
    """
    return _folded_in(plays, factors.fitted_track_factors, factors.params)


def fold_in_tracks(plays, factors):
    """Factors of tracks by the plays of the listeners that Factors know, not normalised.

    plays : (k, n_users) CSR, in the order of the log's listeners, positive where stored
    Returns (k, n_factors) float32, zero for a track that none of them played.
    """
    return _folded_in(plays, factors.user_factors, factors.params)


def contributions(plays, factors, directions):
    """How much each play of a listener adds to what a direction is worth to him or her.

    plays : (1, n_tracks) CSR of one listener, as above; directions : (k, n_factors)
    The worth of a direction d is the sum over the tracks played, of dᵀ(YᵀCY + λI)⁻¹yⱼ · cⱼ ([C],
    section 5). Returns (k, n_played), in the order of plays.indices.
    """
    settings = _settings(factors.params)
    weight = confidence(plays, settings).data.astype(np.float64)
    fitted = factors.fitted_track_factors.astype(np.float64)
    own = fitted[plays.indices]
    normal = fitted.T @ fitted + settings.regularization * np.eye(fitted.shape[1])
    normal += own.T @ ((weight - 1)[:, None] * own)
    return np.linalg.solve(normal, directions.T).T @ own.T * weight


def _folded_in(plays, factors, params):
    settings = _settings(params)
    return least_squares(confidence(plays, settings), factors, settings.regularization)


def _settings(params):
    return settings_of(params) if params.get("model") == "als" else AlsSettings()


def least_squares(confidence, factors, regularization):
    """The exact step of weighted matrix factorization for one side ([C], equation 4).

    confidence : (m, n) CSR, c of what was played; elsewhere it is 1, and the preference 0
    factors : (n, n_factors) Y of the other side, which stays as it is
    Returns (m, n_factors) float32: (YᵀCY + λI)⁻¹ YᵀCp for each row, zero for one without plays.
    """
    factors = np.asarray(factors, dtype=np.float64)
    common = factors.T @ factors + regularization * np.eye(factors.shape[1])
    solved = np.zeros((confidence.shape[0], factors.shape[1]), dtype=np.float32)
    for row in np.flatnonzero(np.diff(confidence.indptr)):
        played = slice(*confidence.indptr[row : row + 2])
        weight = confidence.data[played].astype(np.float64)
        own = factors[confidence.indices[played]]
        solved[row] = np.linalg.solve(common + own.T @ ((weight - 1)[:, None] * own), weight @ own)
    return solved
