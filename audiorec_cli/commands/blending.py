"""How much listening weighs against sound, of tracks with few listeners."""

from dataclasses import replace

import numpy as np

from audiorec_cli import console
from audiorec_cli.commands.joining import listened
from audiorec_cli.errors import AudiorecError

TRUST = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # that are tried
KNOWN = (1, 3, 10, 30)  # listeners of a track, at which they are tried
N_DRAWS = 5
FEWEST_ITEMS = 3
FEW_ITEMS = 15  # which leave the choice to chance
MOST_ITEMS = 1000
MOST_USERS = 2000
REMEDY = "set C yourself, such as --blend-at 3, or train with more by --validation"


def chosen_trust(predicted, factors, validation, *, seed=0):
    """The trust in sound with which it and listening together rank validation tracks best.

    predicted : Predictions; factors : Factors; validation : track_ids
    Of each item all plays but those of 1, 3, 10 and 30 listeners are hidden, drawn five times; the
    one of TRUST with the highest AUC per listener, mean over these numbers, is taken. The
    listeners' factors have not seen the items, of which MOST_ITEMS are drawn. Raises AudiorecError
    where there are too few of them.
    """
    from audiorec_cli.evaluation.candidates import candidates_of
    from audiorec_cli.listening.folding import require_als

    require_als(factors, "--blend without --blend-at")
    wanted, ids = set(validation), predicted.tracks.track_id
    known = listened(predicted.tracks, factors)
    rows = np.array([row for row, track_id in enumerate(ids) if track_id in wanted], dtype=int)
    rows = rows[~known.is_new[rows]]
    items = candidates_of(factors.log, rows, known.log_rows[rows])
    if len(items.items) > MOST_ITEMS:
        drawn = np.random.default_rng(seed).permutation(len(items.items))[:MOST_ITEMS]
        items = items.take(np.sort(drawn))
    by_sound = items.item_factors(predicted.predicted_factors[items.tracks])
    unseen = without_items(factors, items.items)
    columns = []
    with console.progress("blend", total=len(KNOWN), unit="comparisons") as advance:
        for n in KNOWN:
            columns.append(_auc_of_blends(unseen, items, by_sound, n, seed))
            advance()
    figures = [list(column.values()) for column in columns if column]
    n_items = f"{console.counted(len(items.items), 'validation track')} with listeners"
    if not figures:
        raise AudiorecError(f"{n_items} cannot tell how to --blend: {REMEDY}")
    if len(items.items) < FEW_ITEMS:
        console.note(f"C is chosen by no more than {n_items}: {REMEDY}")
    return TRUST[int(np.argmax(np.mean(figures, axis=0)))]


def _auc_of_blends(unseen, items, by_sound, n, seed):
    """{trust: mean AUC} of the items that have enough listeners; empty where those are too few.

    unseen : Factors whose listeners have not seen the items
    """
    from audiorec_cli.evaluation.revealing import auc_by_model, with_listeners

    truth = unseen.log.plays[:, items.items]
    enough = with_listeners(truth, n)
    if np.count_nonzero(enough) < FEWEST_ITEMS:
        return {}
    rng = np.random.default_rng(seed)
    evaluated = rng.permutation(items.users)[:MOST_USERS]
    auc = auc_by_model(
        unseen.user_factors,
        truth[:, enough],
        n,
        lambda known: blends_of(known, unseen, by_sound[enough], n, TRUST),
        evaluated=evaluated,
        n_draws=N_DRAWS,
        seed=seed,
    )
    if any(np.isnan(column).all() for column in auc.values()):
        return {}  # everybody played the same of them
    return {trust: float(np.nanmean(column)) for trust, column in auc.items()}


def blends_of(known, factors, by_sound, n, trusts):
    """Where items of which n listeners are known lie, for each trust: {trust: (k, n_factors)}.

    known : (n_users, k) CSR of their plays; by_sound : (k, n_factors) unit norm
    """
    from audiorec_cli.listening.folding import fold_in_tracks
    from audiorec_cli.retrieval.neighbors import unit
    from audiorec_cli.retrieval.recommendation import blended

    by_listening = unit(fold_in_tracks(known.T.tocsr(), factors))
    listeners = np.full(len(by_sound), n)
    return {trust: blended(by_listening, by_sound, listeners, trust) for trust in trusts}


def without_items(factors, items):
    """Factors whose listeners have not seen the plays of these items (k,), rows of the log."""
    from audiorec_cli.listening.folding import fold_in_listeners

    affected = np.flatnonzero(factors.log.plays[:, items].getnnz(axis=1))
    is_left_out = np.isin(factors.log.plays[affected].indices, items)
    plays = factors.log.plays[affected].astype(np.float32)
    plays.data[is_left_out] = 0
    plays.eliminate_zeros()
    user_factors = factors.user_factors.copy()
    user_factors[affected] = fold_in_listeners(plays, factors)
    return replace(factors, user_factors=user_factors)
