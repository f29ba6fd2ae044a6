"""Logistic matrix factorization."""

from implicit.cpu.lmf import LogisticMatrixFactorization

from audiorec_cli.listening.counts import counted


def fit_lmf(plays, settings, *, on_step=lambda: None):
    """Fit factors whose products are the log-odds that a listener plays a track [D].

    Against the tracks that a listener played implicit sets others, drawn by the number of their
    listeners and his or her own among them: at most f + 2, however many are asked for. It draws
    otherwise with each number of threads: here it has one.
    It gives both sides a bias besides, in the last two columns. That of tracks is popularity,
    which unit norm is there to take away, and that of listeners moves no ranking: both are left
    out.

    plays : (n_users, n_tracks) CSR; on_step : called after each step of both sides
    Returns track factors (n_tracks, f) and user factors (n_users, f), float32.
    """
    model = LogisticMatrixFactorization(
        factors=settings.n_factors,
        learning_rate=settings.learning_rate,
        regularization=settings.regularization,
        iterations=settings.iterations,
        num_threads=1,
        random_state=settings.seed,
    )
    model.fit(counted(plays, settings.counts), show_progress=False, callback=lambda *_: on_step())
    return model.item_factors[:, :-2], model.user_factors[:, :-2]
