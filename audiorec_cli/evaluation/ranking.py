"""How well scores rank the tracks that each listener played: the figures of [B] and more."""

from typing import NamedTuple

import numpy as np

MAP_CUT = 500  # recommendations a user, as in [B] and the Million Song Dataset Challenge
NDCG_CUT = 10
RECALL_CUT = 20
SCORES_AT_A_TIME = 2**21
FIGURES = ("auc", "map", "ndcg", "recall", "tail")


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
    truth.eliminate_zeros()
    in_a_top = np.zeros(n_candidates, dtype=bool)
    figures = np.full((n_users, len(FIGURES)), np.nan)
    step = max(1, SCORES_AT_A_TIME // n_candidates)
    for start in range(0, n_users, step):
        users = np.arange(start, min(start + step, n_users))
        for user, scores in zip(users, scores_of(users)[:, ties], strict=True):
            played = truth.indices[truth.indptr[user] : truth.indptr[user + 1]]
            ascending = np.sort(scores)
            top = _top(scores, ascending)
            in_a_top[top] = True
            figures[user, -1] = is_tail[top].mean()
            if len(played):
                figures[user, :-1] = _figures_of_played(scores, ascending, played)
    return Figures(dict(zip(FIGURES, figures.T, strict=True)), float(in_a_top.mean()))


def _top(scores, ascending):
    """The candidates that come first, NDCG_CUT of them; of equal scores the first."""
    k = min(NDCG_CUT, len(scores))
    high = np.flatnonzero(scores >= ascending[-k])
    return high[np.argsort(-scores[high], kind="stable")][:k]


def _figures_of_played(scores, ascending, played):
    """AUC, average precision, nDCG and recall of one user, who played these candidates."""
    own = scores[played]
    # how many scores are lower, and how many are no higher, itself among them
    lower, not_higher = (np.searchsorted(ascending, own, side) for side in ("left", "right"))
    ranks = len(scores) - not_higher + 1
    for i in np.flatnonzero(not_higher - lower > 1):
        ranks[i] += np.count_nonzero(scores[: played[i]] == own[i])
    ranks.sort()
    return (
        _auc((lower + not_higher - 1) / 2, len(scores)),
        average_precision(ranks),
        _ndcg(ranks),
        # where all candidates are within the cut it says nothing
        np.mean(ranks <= RECALL_CUT) if len(scores) > RECALL_CUT else np.nan,
    )


def _auc(n_below, n_candidates):
    """Share of the pairs of a played and an unplayed candidate in the right order, ties half.

    n_below : (n_played,), how many candidates stand below each, equals counted half
    """
    n = len(n_below)
    n_pairs = n * (n_candidates - n)
    return (n_below.sum() - n * (n - 1) / 2) / n_pairs if n_pairs else np.nan


def average_precision(ranks, cut=MAP_CUT):
    """Average precision at a cut: Σ P(k) · hit(k) / min(n_played, cut), k up to the cut ([B]).

    ranks : (n_played,) ascending, from 1, at least one
    """
    within = ranks[ranks <= cut]
    return (np.arange(1, len(within) + 1) / within).sum() / min(len(ranks), cut)


def _ndcg(ranks):
    best = np.arange(1, min(len(ranks), NDCG_CUT) + 1)
    return (1 / np.log2(1 + ranks[ranks <= NDCG_CUT])).sum() / (1 / np.log2(1 + best)).sum()
