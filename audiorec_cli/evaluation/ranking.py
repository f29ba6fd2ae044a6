"""How well scores rank the tracks that each listener played: the figures of [B] and more."""

from typing import NamedTuple

import numpy as np

MAP_CUT = 500  # recommendations a user, as in [B] and the Million Song Dataset Challenge
NDCG_CUT = 10
RECALL_CUT = 20
SCORES_AT_A_TIME = 2**21


class Figures(NamedTuple):
    """What a ranking of the candidates is worth to each user.

    of_users : name → (n_users,) float64: "auc", "map", "ndcg", "recall" and "tail", the share of
        the least-played half in the top 10; nan where a figure has no meaning for a user
    coverage : share of the candidates that stand in the top 10 of some user, 0 to 1
    """

    of_users: dict[str, np.ndarray]
    coverage: float


def rank_candidates(scores_of, truth, is_tail, *, seed):
    """Figures of a ranking of the candidates for every user, in blocks of users.

    scores_of : gives the scores (k, n_candidates) of k users by their rows (k,), higher is better
    truth : (n_users, n_candidates) CSR, non-zero where the user played the candidate
    is_tail : (n_candidates,) bool, the least-played half
    seed : of the order in which equal scores are ranked, one for all users
    Memory does not grow with the number of users but for the figures themselves.
    """
    n_users, n_candidates = truth.shape
    ties = np.random.default_rng(seed).permutation(n_candidates)
    truth, is_tail = truth[:, ties].astype(bool), is_tail[ties]
    in_a_top = np.zeros(n_candidates, dtype=bool)
    blocks, step = [], max(1, SCORES_AT_A_TIME // n_candidates)
    for start in range(0, n_users, step):
        rows = np.arange(start, min(start + step, n_users))
        scores, relevant = scores_of(rows)[:, ties], truth[rows].toarray()
        order = np.argsort(-scores, axis=1, kind="stable")
        hits = np.take_along_axis(relevant, order, axis=1)
        tops = order[:, :NDCG_CUT]
        in_a_top[tops] = True
        blocks.append(
            {
                "auc": _auc(scores, relevant),
                "map": average_precision(hits),
                "ndcg": _ndcg(hits),
                "recall": _recall(hits),
                "tail": is_tail[tops].mean(axis=1),
            }
        )
    of_users = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    return Figures(of_users, float(in_a_top.mean()))


def average_precision(hits, cut=MAP_CUT):
    """Average precision at a cut: Σ P(k) · hit(k) / min(positives, cut), k up to the cut ([B]).

    hits : (n_users, n_candidates) bool, in the order of the ranking
    Returns (n_users,) float64, nan for a user without a positive.
    """
    top = hits[:, :cut]
    precision = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    best = np.minimum(hits.sum(axis=1), cut)
    return _ratio((precision * top).sum(axis=1), best)


def _ndcg(hits):
    top = hits[:, :NDCG_CUT]
    discounts = 1 / np.log2(np.arange(2, top.shape[1] + 2))
    ideal = np.concatenate([[0], np.cumsum(discounts)])
    return _ratio(top @ discounts, ideal[np.minimum(hits.sum(axis=1), top.shape[1])])


def _recall(hits):
    return _ratio(hits[:, :RECALL_CUT].sum(axis=1), hits.sum(axis=1))


def _auc(scores, relevant):
    """Share of the pairs of a played and an unplayed candidate in the right order, ties half."""
    ascending = np.sort(scores, axis=1)
    n_positive = relevant.sum(axis=1)
    below = np.empty(len(scores))
    for row, (candidates, is_positive) in enumerate(zip(scores, relevant, strict=True)):
        positive = candidates[is_positive]
        sides = [np.searchsorted(ascending[row], positive, side) for side in ("left", "right")]
        # the rank of a positive among all candidates, counted from 0; the mean rank of equals
        below[row] = (sides[0] + sides[1] - 1).sum() / 2
    pairs_of_positives = n_positive * (n_positive - 1) / 2
    return _ratio(below - pairs_of_positives, n_positive * (scores.shape[1] - n_positive))


def _ratio(part, whole):
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
