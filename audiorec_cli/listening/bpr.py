"""Bayesian personalised ranking."""

from implicit.cpu.bpr import BayesianPersonalizedRanking


def fit_bpr(plays, settings, *, on_step=lambda: None):
    """Fit factors that rank what a listener played above what he or she did not [J].

    implicit draws the tracks not played by their number of listeners, heeds no number of plays,
    and lets several threads overwrite each other: with one, the same seed gives the same factors.
    It gives tracks a bias besides, in a last column that is constant for listeners. The bias is
    popularity, which unit norm is there to take away, so it is left out.

    plays : (n_users, n_tracks) CSR; on_step : called after each pass
    Returns track factors (n_tracks, f) and user factors (n_users, f), float32.
    """
    model = BayesianPersonalizedRanking(
        factors=settings.n_factors,
        learning_rate=settings.learning_rate,
        regularization=settings.regularization,
        iterations=settings.iterations,
        num_threads=1,
        random_state=settings.seed,
    )
    model.fit(plays, show_progress=False, callback=lambda *_: on_step())
    return model.item_factors[:, :-1], model.user_factors[:, :-1]
