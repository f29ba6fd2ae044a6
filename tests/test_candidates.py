"""Who is ranked for whom, and how models are set side by side."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from audiorec_cli.evaluation.candidates import candidates_of
from audiorec_cli.evaluation.contest import Contest, scores_of_factors, scores_of_popularity
from audiorec_cli.records import LoggedTracks, Plays


@pytest.fixture
def log():
    """Four users and four artists: the last of each has nothing to do with the rest."""
    plays = csr_matrix(np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 5.0]]))
    none = [""] * 4
    tracks = LoggedTracks(list("abcd"), none, none, none, none, np.ones(4), np.ones(4, int))
    return Plays(list("uvwx"), tracks, plays.astype(np.float32))


def test_the_songs_of_an_artist_are_one_candidate(log):
    candidates = candidates_of(log, np.array([7, 8, 9]), np.array([1, 0, 1]))
    assert candidates.items.tolist() == [0, 1]
    assert candidates.users.tolist() == [0, 1, 2]
    assert candidates.truth.toarray().tolist() == [[1, 1], [1, 0], [1, 0]]
    factors = candidates.item_factors(np.array([[3.0, 0], [0, 2.0], [0, 5.0]]))
    np.testing.assert_allclose(factors, [[0, 1], [0.5**0.5, 0.5**0.5]], rtol=1e-6)
    assert candidates.item_means(np.array([1.0, 2.0, 4.0])).tolist() == [2.0, 2.5]


def test_items_of_few_listeners_are_left_out_with_their_users(log):
    candidates = candidates_of(log, np.arange(4), np.arange(4), min_listeners=2)
    assert candidates.items.tolist() == [0]
    assert candidates.users.tolist() == [0, 1, 2]
    assert candidates_of(log, np.arange(4), np.arange(4)).users.tolist() == [0, 1, 2, 3]


def test_the_tail_is_the_half_with_the_fewest_listeners(log):
    candidates = candidates_of(log, np.arange(4), np.arange(4))
    assert candidates.listeners.tolist() == [3, 1, 1, 1]
    assert candidates.is_tail.tolist() == [False, True, True, False]


def test_what_fits_beats_what_does_not_and_a_user_counts_once(log):
    contest = Contest(4, seed=0, resamples=100)
    candidates = candidates_of(log, np.arange(4), np.arange(4))
    factors = np.eye(4, dtype=np.float32)
    for _ in range(2):
        contest.enter("fits", candidates, scores_of_factors(log.plays.toarray(), factors))
        contest.enter("misfits", candidates, scores_of_factors(-log.plays.toarray(), factors))
        contest.enter("popularity", candidates, scores_of_popularity(candidates.listeners))
    scores = contest.scores()
    assert scores["fits"].figures["auc"] == (1, 1, 1)
    assert scores["misfits"].figures["auc"] == (0, 0, 0)
    # three candidates tie behind the first: u and v each lose half a pair of two, x all but ties
    assert scores["popularity"].figures["auc"].mean == pytest.approx((0.75 + 0.75 + 1 + 1 / 3) / 4)
    difference = contest.differences("fits", ["misfits"])["misfits"]
    assert difference["auc"] == (1, 1, 1)
    assert difference["ndcg"].low > 0


def test_a_user_of_several_rounds_counts_with_their_mean(log):
    contest = Contest(4, seed=0, resamples=100)
    for items, sign in (((0, 1), 1), ((0, 2), -1)):
        candidates = candidates_of(log, np.array(items), np.array(items))
        taste = sign * log.plays.toarray()[np.ix_(candidates.users, items)]
        contest.enter("model", candidates, scores_of_factors(taste, np.eye(2)))
    # u has an AUC in the second round alone, v in the first, w in both: one is right, one wrong
    assert contest.scores()["model"].figures["auc"].mean == pytest.approx((0 + 1 + 0.5) / 3)


def test_differences_are_those_of_each_user():
    contest = Contest(40, seed=0, resamples=200)
    rng = np.random.default_rng(0)
    plays = csr_matrix((rng.random((40, 30)) < 0.3).astype(np.float32))
    none = [""] * 30
    tracks = LoggedTracks(
        [f"t{i}" for i in range(30)], none, none, none, none, np.ones(30), np.ones(30, int)
    )
    log = Plays([f"u{i}" for i in range(40)], tracks, plays)
    candidates = candidates_of(log, np.arange(30), np.arange(30))
    taste = rng.normal(size=(40, 5)), rng.normal(size=(30, 5))
    contest.enter("one", candidates, scores_of_factors(*taste))
    contest.enter("same order", candidates, scores_of_factors(2 * taste[0], taste[1]))
    auc = contest.scores()["one"].figures["auc"]
    assert auc.low < auc.mean < auc.high
    assert contest.differences("one", ["same order"])["same order"]["auc"] == (0, 0, 0)
