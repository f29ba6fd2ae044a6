"""How well items are ranked of which few listeners are known: the others are what is foretold."""

import numpy as np
from scipy.sparse import csc_matrix
from scipy.stats import rankdata

FEWEST_HIDDEN = 5  # listeners of an item who are left to foretell


def with_listeners(truth, n):
    """(k,) bool: the items that have n listeners to be known and FEWEST_HIDDEN left.

    truth : (n_users, k) CSR, positive where the user played the item
    """
    return truth.getnnz(axis=0) >= n + FEWEST_HIDDEN


def revealed(truth, n, rng):
    """The plays of n listeners of each item, drawn at random: CSR of the shape of `truth`."""
    columns = truth.tocsc()
    chosen = [
        first + rng.permutation(last - first)[:n]
        for first, last in zip(columns.indptr, columns.indptr[1:], strict=False)
    ]
    places = np.concatenate(chosen).astype(np.int64)
    indptr = np.concatenate([[0], np.cumsum([len(own) for own in chosen])])
    known = csc_matrix((columns.data[places], columns.indices[places], indptr), truth.shape)
    return known.tocsr()


def auc_by_model(users, truth, n, coordinates_of, *, evaluated, n_draws, seed):
    """AUC of each evaluated user's ranking of items of which n listeners are known, by each model.

    users : (n_users, n_factors), which have not seen the items; truth : (n_users, k) CSR of plays
    coordinates_of : gives {model: (k, n_factors)} from the plays that are known, CSR as `truth`
    evaluated : (m,) rows of users. An item that a user is known to have played is not ranked for
        him or her.
    Returns {model: (m,)}, means over the draws; nan for a user with nothing to foretell.
    """
    figures = {}
    for draw in range(n_draws):
        known = revealed(truth, n, np.random.default_rng((seed, n, draw)))
        played = truth[evaluated].toarray() > 0
        is_known = known[evaluated].toarray() > 0
        for model, coordinates in coordinates_of(known).items():
            scores = users[evaluated] @ coordinates.T
            figures.setdefault(model, []).append(auc(scores, played, is_known))
    return {model: _mean(np.array(draws)) for model, draws in figures.items()}


def auc(scores, played, left_out):
    """Share of the pairs of an item played and one not played in the right order, ties half.

    scores : (m, k), of m users; played, left_out : (m, k) bool, the latter not ranked
    Returns (m,); nan for a user without a pair.
    """
    ranks = rankdata(np.where(left_out, -np.inf, scores), axis=1)  # those left out come first
    positive = played & ~left_out
    n_positive, n_left_out = positive.sum(axis=1), left_out.sum(axis=1)
    n_pairs = n_positive * (scores.shape[1] - n_left_out - n_positive)
    in_order = (ranks * positive).sum(axis=1) - n_positive * (n_left_out + (n_positive + 1) / 2)
    return np.divide(in_order, n_pairs, out=np.full(len(scores), np.nan), where=n_pairs > 0)


def _mean(draws):
    known = np.isfinite(draws).sum(axis=0)
    total = np.nansum(draws, axis=0)
    return np.divide(total, known, out=np.full(total.shape, np.nan), where=known > 0)
