"""Latent factors of tracks and listeners from a log of plays, by any of the models."""

import importlib
from dataclasses import asdict, replace

import numpy as np
from implicit.recommender_base import ModelFitError
from threadpoolctl import threadpool_limits

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.als import confidence
from audiorec_cli.listening.concatenation import concatenate
from audiorec_cli.listening.settings import AlsSettings, model_of, settings_of
from audiorec_cli.records import Factors

__all__ = ["AlsSettings", "confidence", "fit_again", "fit_factors", "settings_of"]

SMALLEST_NORM = 1e-6  # of the largest
NO_SOLUTION = (
    "least squares have no single solution for this log: give a --regularization above 0, or ask "
    "for fewer with --factors"
)
DIVERGED = (
    "the factors came to no numbers: ask for fewer with --factors, a smaller --alpha or a smaller "
    "--learning-rate"
)


def fit_factors(log, settings, *, held_out=None, on_step=lambda *log_likelihood: None):
    """Fit factors to Plays by the model that the settings belong to.

    held_out : (n_tracks,) bool, tracks that the fit must not see; None for none
    on_step : called after each step, by vector-exp with the log-likelihood per counted play
    Returns Factors in the order of the log's tracks: track factors of unit norm with the norm kept,
    zero for those held out; user factors as they are, zero where every play was held out.
    Tracks that the fit leaves without a direction, and their plays, are not in it.
    Raises AudiorecError when the log is too small for so many factors.
    """
    held_out = np.zeros(len(log.tracks), dtype=bool) if held_out is None else held_out
    seen = log.plays[:, ~held_out].sorted_indices()
    _require_enough(seen.shape, settings.n_factors, " left by --holdout" * bool(held_out.any()))
    try:
        with threadpool_limits(1, "blas"):  # implicit warns and crawls with more
            fitted, user_factors = _fit_of(settings)(seen, settings, on_step=on_step)
    except ModelFitError as error:
        raise AudiorecError(DIVERGED) from error
    except ValueError as error:
        if "posv" not in str(error):
            raise
        raise AudiorecError(NO_SOLUTION) from error
    user_factors[np.diff(seen.indptr) == 0] = 0
    track_factors = np.zeros((len(held_out), settings.n_factors), dtype=np.float32)
    track_factors[~held_out] = fitted
    return _of_unit_norm(log, track_factors, user_factors, held_out, settings)


def fit_again(factors, held_out=None, *, on_step=lambda *log_likelihood: None):
    """Fit the model of Factors anew to their log, with the settings that they were made with.

    held_out : (n_tracks,) bool, tracks that the fit must not see; None for none, whatever the
        factors given held out
    Returns Factors as fit_factors does; what was concatenated is fitted part by part.
    """
    parts = factors.params.get("parts")
    if parts is not None:
        fitted = [
            fit_again(replace(factors, params=part), held_out, on_step=on_step) for part in parts
        ]
        return concatenate(fitted)
    settings = settings_of(factors.params)
    fitted = fit_factors(factors.log, settings, held_out=held_out, on_step=on_step)
    kept = {name: value for name, value in factors.params.items() if name != "holdout"}
    return replace(fitted, params={**kept, **fitted.params})


def _fit_of(settings):
    """The function that fits the settings' model; torch is imported for none but its own."""
    name = model_of(settings).replace("-", "_")
    return getattr(importlib.import_module(f"audiorec_cli.listening.{name}"), f"fit_{name}")


def _require_enough(shape, n_factors, left):
    n_users, n_tracks = shape
    if n_users < 2:
        raise AudiorecError(
            "the log has one listener, and taste needs several to differ: "
            "split the history with --group-by session, or by a column with --group-by COLUMN"
        )
    if n_tracks < 2:
        raise AudiorecError(
            f"the log has {'one' if n_tracks else 'no'} track{left}, and likeness takes two: "
            "name another log" + ", or a smaller share" * bool(left)
        )
    if n_factors > min(shape):
        raise AudiorecError(
            f"{n_factors} factors need as many listeners and tracks, and the log has "
            f"{n_users} and {n_tracks}{left}: ask for fewer with --factors {min(shape) // 2}"
        )


def _of_unit_norm(log, track_factors, user_factors, held_out, settings):
    """Factors of the tracks that have a direction, and of those held out.

    A few tracks that share no listener with the rest can shrink to nothing in a fit of low rank.
    """
    norm = np.linalg.norm(track_factors, axis=1)
    if not (np.isfinite(norm).all() and np.isfinite(user_factors).all() and norm.any()):
        raise AudiorecError(DIVERGED)
    has_direction = norm > SMALLEST_NORM * norm.max()
    rows = np.flatnonzero(has_direction | held_out)
    user_factors[log.plays[:, has_direction].getnnz(axis=1) == 0] = 0
    unit = track_factors[rows] / np.where(has_direction, norm, 1)[rows, None]
    return Factors(
        log=log.take(rows),
        track_factors=unit,
        norm=norm[rows],
        user_factors=user_factors,
        is_test=held_out[rows],
        params={"model": model_of(settings), **asdict(settings)},
    )
