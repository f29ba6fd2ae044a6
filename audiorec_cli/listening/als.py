"""Weighted matrix factorization by alternating least squares."""

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares


def confidence(plays, settings):
    """Confidence of the plays r that were logged: 1 + α · log(1 + r / ε) [B] or 1 + α · r [C].

    plays : CSR, any shape, positive where stored; settings : AlsSettings
    Returns CSR of the same shape and type; unlogged plays keep an implied confidence of 1.
    """
    weighted = plays.copy()
    if settings.confidence == "linear":
        weighted.data = 1 + settings.alpha * plays.data
    else:
        weighted.data = 1 + settings.alpha * np.log1p(plays.data / settings.epsilon)
    return weighted.astype(np.float32)


def fit_als(plays, settings, *, on_step=lambda: None):
    """Fit factors by alternating least squares, solved exactly ([C], equations 4 and 5).

    plays : (n_users, n_tracks) CSR; on_step : called after each sweep over both sides
    Returns track factors (n_tracks, f) and user factors (n_users, f), float32.
    """
    model = AlternatingLeastSquares(
        factors=settings.n_factors,
        regularization=settings.regularization,
        alpha=1.0,  # implicit takes the stored value as the whole confidence
        iterations=settings.iterations,
        use_cg=False,
        random_state=settings.seed,
    )
    model.fit(confidence(plays, settings), show_progress=False, callback=lambda *_: on_step())
    return model.item_factors, model.user_factors
