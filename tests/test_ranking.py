"""The figures of a ranking are those of the papers, and of a public implementation."""

import numpy as np
import pytest
import pytrec_eval
from scipy.sparse import csr_matrix, random_array
from sklearn.metrics import roc_auc_score

from audiorec_cli.evaluation import ranking
from audiorec_cli.evaluation.ranking import average_precision, rank_candidates


def figures(scores, truth, is_tail=None, seed=0):
    scores, truth = np.asarray(scores, float), np.asarray(truth)
    tail = np.zeros(truth.shape[1], bool) if is_tail is None else np.asarray(is_tail)
    return rank_candidates(lambda rows: scores[rows], csr_matrix(truth), tail, seed=seed)


def of_one(scores, truth, **options):
    return {n: v[0] for n, v in figures([scores], [truth], **options).of_users.items()}


def test_a_perfect_ranking_and_its_reverse():
    scores, truth = np.arange(30, 0, -1), np.arange(30) < 3
    assert of_one(scores, truth) == pytest.approx(
        {"auc": 1, "map": 1, "ndcg": 1, "recall": 1, "tail": 0}
    )
    worst = of_one(-scores, truth)
    assert worst["auc"] == worst["ndcg"] == worst["recall"] == 0
    assert worst["map"] == pytest.approx((1 / 28 + 2 / 29 + 3 / 30) / 3)


def test_equal_scores_tell_nothing():
    rng = np.random.default_rng(0)
    truth = rng.random((4000, 20)) < 0.3
    truth[:, 0] = True
    all_equal = figures(np.zeros(truth.shape), truth)
    np.testing.assert_array_equal(all_equal.of_users["auc"], 0.5)
    # in any fixed order of equals a user's hits are as many as by chance, but for the candidates
    # that come first: so the order is drawn, and another seed gives another
    assert all_equal.coverage == 0.5
    other = figures(np.zeros(truth.shape), truth, seed=1)
    assert not np.array_equal(all_equal.of_users["ndcg"], other.of_users["ndcg"])


def test_a_user_who_played_all_or_none_has_no_auc():
    figures_of = figures(np.eye(3), [[1, 1, 1], [0, 0, 0], [0, 1, 1]]).of_users
    assert np.isnan(figures_of["auc"]).tolist() == [True, True, False]
    assert np.isnan(figures_of["map"]).tolist() == [False, True, False]


def test_the_tail_and_the_coverage_of_the_top_10():
    scores = np.arange(40, 0, -1)
    is_tail = np.arange(40) % 5 == 0
    assert of_one(scores, np.arange(40) < 1, is_tail=is_tail)["tail"] == pytest.approx(0.2)
    both = figures([scores, np.roll(scores, 5)], np.eye(2, 40))
    assert both.coverage == pytest.approx(15 / 40)


def test_average_precision_is_cut_as_in_the_challenge():
    ranks = np.array([1, 3, 4, 6])
    assert average_precision(ranks, cut=3) == pytest.approx((1 + 2 / 3) / 3)
    assert average_precision(ranks, cut=6) == pytest.approx((1 + 2 / 3 + 3 / 4 + 4 / 6) / 4)


@pytest.mark.parametrize("levels", [4, 10**6])
@pytest.mark.parametrize("n_candidates", [7, 300])
def test_figures_agree_with_trec_eval_ties_included(levels, n_candidates):
    rng = np.random.default_rng(levels)
    scores = rng.integers(levels, size=(25, n_candidates)).astype(float)
    truth = random_array((25, n_candidates), density=0.2, rng=rng).toarray() > 0
    truth[:, 3] = True
    ours = figures(scores, truth, seed=5).of_users
    # trec_eval ranks equal scores by descending name: named in our order they fall as ours do
    ties = np.random.default_rng(5).permutation(n_candidates)
    names = {int(c): f"{n_candidates - place:05}" for place, c in enumerate(ties)}
    run = {str(u): {names[i]: s for i, s in enumerate(row)} for u, row in enumerate(scores)}
    relevant = {
        str(u): {names[i]: int(t) for i, t in enumerate(row)} for u, row in enumerate(truth)
    }
    measures = {"map_cut.500": "map", "ndcg_cut.10": "ndcg", "recall.20": "recall"}
    if n_candidates <= 20:
        assert np.isnan(ours["recall"]).all()
        del measures["recall.20"]
    theirs = pytrec_eval.RelevanceEvaluator(relevant, set(measures)).evaluate(run)
    for measure, name in measures.items():
        expected = [theirs[str(user)][measure.replace(".", "_")] for user in range(25)]
        np.testing.assert_allclose(ours[name], expected, atol=1e-6)
    some = [u for u in range(25) if not truth[u].all()]
    np.testing.assert_allclose(
        ours["auc"][some], [roc_auc_score(truth[u], scores[u]) for u in some], atol=1e-12
    )


def test_blocks_of_users_change_nothing_and_bound_the_memory(monkeypatch):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(50, 40))
    truth = rng.random((50, 40)) < 0.2
    whole = figures(scores, truth)
    monkeypatch.setattr(ranking, "SCORES_AT_A_TIME", 3 * 40)
    asked = []

    def scores_of(rows):
        asked.append(len(rows))
        return scores[rows]

    blocks = rank_candidates(scores_of, csr_matrix(truth), np.zeros(40, bool), seed=0)
    assert max(asked) == 3
    assert sum(asked) == 50
    assert blocks.coverage == whole.coverage
    for name, values in whole.of_users.items():
        np.testing.assert_array_equal(values, blocks.of_users[name])
