"""Latent factors of tracks and listeners from a log of plays."""

from dataclasses import asdict, dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from threadpoolctl import threadpool_limits

from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import Factors

SMALLEST_NORM = 1e-6  # of the largest
DIVERGED = "the factors came to no numbers: ask for fewer with --factors, or a smaller --alpha"


@dataclass(frozen=True)
class AlsSettings:
    """Settings of weighted matrix factorization; n_factors is [A]'s, the rest chosen here.

    alpha, epsilon : of the confidence c = 1 + α · log(1 + r / ε) in plays r [B]
    regularization : λ of [C], not scaled by the number of plays
    iterations : sweeps over both sides
    """

    n_factors: int = 40
    alpha: float = 2.0
    epsilon: float = 1.0
    regularization: float = 1.0
    iterations: int = 20
    seed: int = 0


def confidence(plays, settings):
    """Confidence c = 1 + α · log(1 + r / ε) of the plays r that were logged ([B], section 3).

    plays : CSR, any shape, positive where stored
    Returns CSR of the same shape and type; unlogged plays keep an implied confidence of 1.
    """
    weighted = plays.copy()
    weighted.data = 1 + settings.alpha * np.log1p(plays.data / settings.epsilon)
    return weighted.astype(np.float32)


def fit_als(log, settings, *, on_sweep=lambda: None):
    """Fit factors to Plays by alternating least squares, solved exactly ([C], equations 4 and 5).

    on_sweep : called after each sweep over both sides
    Returns Factors: track factors of unit norm with the norm kept, user factors as they are.
    Tracks that the fit leaves without a direction, and their plays, are not in it.
    Raises AudiorecError when the log is too small for so many factors.
    """
    n_users, n_tracks = log.plays.shape
    if n_users < 2:
        raise AudiorecError(
            "the log has one listener, and taste needs several to differ: name a column that "
            "splits the history, such as a session or a playlist, with --group-by"
        )
    if n_tracks < 2:
        raise AudiorecError("the log has one track, which is like no other: name another log")
    if settings.n_factors > min(n_users, n_tracks):
        raise AudiorecError(
            f"{settings.n_factors} factors need as many listeners and tracks, and the log has "
            f"{n_users} and {n_tracks}: ask for fewer with --factors {min(n_users, n_tracks) // 2}"
        )
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=settings.n_factors,
            regularization=settings.regularization,
            alpha=1.0,  # implicit takes the stored value as the whole confidence
            iterations=settings.iterations,
            use_cg=False,
            random_state=settings.seed,
        )
        try:
            model.fit(
                confidence(log.plays, settings),
                show_progress=False,
                callback=lambda *_: on_sweep(),
            )
        except ModelFitError as error:
            raise AudiorecError(DIVERGED) from error
    return _of_unit_norm(log, model.item_factors, model.user_factors, settings)


def _of_unit_norm(log, track_factors, user_factors, settings):
    """Factors of the tracks that have a direction.

    A few tracks that share no listener with the rest can shrink to nothing in a fit of low rank.
    """
    norm = np.linalg.norm(track_factors, axis=1)
    if not (np.isfinite(norm).all() and np.isfinite(user_factors).all() and norm.any()):
        raise AudiorecError(DIVERGED)
    rows = np.flatnonzero(norm > SMALLEST_NORM * norm.max())
    return Factors(
        log=log.take(rows),
        track_factors=track_factors[rows] / norm[rows, None],
        norm=norm[rows],
        user_factors=user_factors,
        is_test=np.zeros(len(rows), dtype=bool),
        params={"model": "als", **asdict(settings)},
    )
