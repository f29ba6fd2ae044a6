"""Lists for listeners: what is blended, ranked, left out, kept apart, and how c is chosen."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from audiorec_cli.errors import AudiorecError
from audiorec_cli.evaluation.revealing import auc_by_model, revealed, with_listeners
from audiorec_cli.listening.factorization import AlsSettings, fit_factors
from audiorec_cli.listening.folding import (
    Contributions,
    fold_in_listeners,
    fold_in_tracks,
    with_tracks,
)
from audiorec_cli.retrieval.recommendation import Recommender, Rules, audience, blended

EAST, NORTH, WEST = np.float32([1, 0]), np.float32([0, 1]), np.float32([-1, 0])


def compass(*degrees):
    """Directions of unit norm, (n, 2)."""
    radians = np.deg2rad(degrees)
    return np.column_stack([np.cos(radians), np.sin(radians)]).astype(np.float32)


def best(coordinates, rules, *, listener=EAST, heard=None, candidates=None):
    candidates = np.ones(len(coordinates), bool) if candidates is None else candidates
    heard = csr_matrix((1, len(coordinates))) if heard is None else heard
    recommender = Recommender(coordinates, candidates, rules)
    (answer,) = recommender.best(listener[None], lambda part: heard[part])
    return answer


@pytest.mark.parametrize(
    ("listeners", "c", "degrees"),
    [(0, 0, 90), (1, 0, 0), (0, 5, 90), (5, 5, 45), (3, np.inf, 90), (10**9, 5, 0)],
)
def test_listening_weighs_by_the_number_of_listeners(listeners, c, degrees):
    by_listening = EAST if listeners else np.zeros(2, np.float32)
    where = blended(by_listening[None], NORTH[None], np.array([listeners]), c)
    np.testing.assert_allclose(where, compass(degrees), atol=1e-6)


def test_what_cancels_out_has_no_direction_and_is_not_recommended():
    where = blended(EAST[None], WEST[None], np.array([2]), 2)
    assert not where.any()
    rows, _ = best(where, Rules(3))
    assert len(rows) == 0


def test_the_nearest_come_first_with_their_cosines():
    rows, scores = best(compass(90, 10, 180, 45), Rules(3), listener=5 * EAST)
    assert rows.tolist() == [1, 3, 0]
    np.testing.assert_allclose(scores, np.cos(np.deg2rad([10, 45, 90])), atol=1e-6)


def test_heard_tracks_and_those_that_are_no_candidates_are_left_out():
    heard = csr_matrix(([2.0], ([0], [1])), (1, 4))
    candidates = np.array([True, True, True, False])
    rows, _ = best(compass(90, 10, 180, 0), Rules(9), heard=heard, candidates=candidates)
    assert rows.tolist() == [0, 2]


def test_equal_scores_keep_their_order():
    rows, _ = best(compass(*[30] * 9), Rules(4))
    assert rows.tolist() == [0, 1, 2, 3]


def test_a_limit_counts_by_its_key():
    rules = Rules(4, limits=((lambda row: row % 2, 1),))
    assert best(compass(0, 10, 20, 30), rules)[0].tolist() == [0, 1]


def test_diversity_prefers_what_is_unlike_the_list():
    directions = compass(5, 6, -50)
    assert best(directions, Rules(2))[0].tolist() == [0, 1]
    assert best(directions, Rules(2, diversity=0.5))[0].tolist() == [0, 2]
    assert best(directions, Rules(3, diversity=0.01))[0].tolist() == [0, 1, 2]


def test_diversity_keeps_to_the_limits():
    rules = Rules(3, limits=((lambda row: row % 2, 1),), diversity=0.3)
    assert sorted(best(compass(0, 10, 20, 30), rules)[0].tolist()) == [0, 1]


def test_limits_that_the_best_do_not_fill_are_filled_from_behind(monkeypatch):
    monkeypatch.setattr("audiorec_cli.retrieval.recommendation.POOL", 4)
    rules = Rules(3, limits=((lambda row: row // 6, 1),), diversity=0.1)
    rows, _ = best(compass(*range(18)), rules)
    assert [row // 6 for row in rows] == [0, 1, 2]


def test_blocks_of_listeners_are_ranked_as_each_alone(monkeypatch):
    monkeypatch.setattr("audiorec_cli.retrieval.recommendation.SCORES_AT_A_TIME", 100)
    rng = np.random.default_rng(0)
    tracks, listeners = compass(*range(0, 360, 9)), rng.normal(size=(7, 2))
    heard = csr_matrix(rng.random((7, 40)) < 0.3)
    recommender = Recommender(tracks, np.ones(40, bool), Rules(5))
    answers = list(recommender.best(listeners, lambda part: heard[part]))
    assert len(answers) == 7
    for user, (rows, _) in enumerate(answers):
        alone = best(tracks, Rules(5), listener=listeners[user], heard=heard[user])
        assert rows.tolist() == alone[0].tolist()
        assert not heard[user, rows].nnz


def test_an_audience_is_who_lies_near_and_does_not_know_the_track():
    users = np.concatenate([compass(0, 80, 10, 40) * 3, np.zeros((1, 2))])
    knows_it = np.array([True, False, False, False, False])
    rows, scores = audience(EAST, users, knows_it, 9)
    assert rows.tolist() == [2, 3, 1]
    assert scores[0] == pytest.approx(np.cos(np.deg2rad(10)))


@pytest.fixture(scope="module")
def fitted():
    """Factors of a log of two tastes with some noise, and their settings."""
    from audiorec_cli.records import LoggedTracks, Plays

    rng = np.random.default_rng(1)
    m, n = 300, 120
    likely = np.where(np.arange(m)[:, None] % 3 == np.arange(n) % 3, 0.5, 0.05)
    plays = csr_matrix((rng.random((m, n)) < likely) * rng.integers(1, 30, (m, n)), dtype="f4")
    none = [""] * n
    ids = [f"t{i}" for i in range(n)]
    table = LoggedTracks(ids, none, none, none, none, np.ones(n), plays.getnnz(axis=0))
    log = Plays([f"u{u}" for u in range(m)], table, plays)
    return fit_factors(log, AlsSettings(n_factors=8, iterations=30))


def test_a_listener_folded_in_by_the_plays_of_the_log_lies_where_the_fit_put_them(fitted):
    folded = fold_in_listeners(fitted.log.plays, fitted)
    cosines = np.sum(folded * fitted.user_factors, axis=1) / (
        np.linalg.norm(folded, axis=1) * np.linalg.norm(fitted.user_factors, axis=1)
    )
    assert cosines.min() > 0.99


def test_a_track_folded_in_by_all_its_listeners_lies_where_the_fit_put_it(fitted):
    folded = fold_in_tracks(fitted.log.plays.T.tocsr(), fitted)
    np.testing.assert_allclose(folded, fitted.fitted_track_factors, atol=0.02)


def test_without_a_penalty_there_is_an_answer_still(fitted):
    params = {**fitted.params, "regularization": 0.0}
    lost = np.concatenate([fitted.user_factors, np.zeros((300, 1), np.float32)], axis=1)
    wide = np.concatenate([fitted.track_factors, np.zeros((120, 1), np.float32)], axis=1)
    singular = replace(fitted, params=params, user_factors=lost, track_factors=wide)
    folded = fold_in_listeners(fitted.log.plays, singular)
    assert np.isfinite(folded).all()
    assert not folded[:, -1].any()


@pytest.mark.parametrize("regularization", [np.nan, np.inf, -1.0])
def test_a_penalty_that_is_none_is_refused(fitted, regularization):
    spoilt = replace(fitted, params={**fitted.params, "regularization": regularization})
    with pytest.raises(AudiorecError, match=r"fitted with regularization .* make them again"):
        fold_in_listeners(fitted.log.plays, spoilt)


def test_without_plays_nothing_is_known(fitted):
    assert not fold_in_listeners(csr_matrix((1, 120), dtype=np.float32), fitted).any()


def test_tracks_placed_by_sound_count_as_those_of_the_fit(fitted):
    """Held out and placed where the fit has them, they tell the taste that the fit saw in them."""
    n, held = 120, np.arange(0, 120, 3)
    apart = np.isin(np.arange(n), held)
    known = {
        "track_factors": fitted.track_factors * ~apart[:, None],
        "norm": fitted.norm * ~apart,
        "is_test": apart,
    }
    without = replace(fitted, **known)
    placed_rows = [*held, 1, 2]
    directions, tracks = fitted.track_factors[placed_rows], fitted.log.tracks.take(placed_rows)
    tracks = replace(tracks, track_id=[f"new {i}" for i in range(len(tracks))])
    wider, rows = with_tracks(without, tracks, np.array([*held, -1, -1]), directions)
    assert rows.tolist() == [*held, n, n + 1]
    assert wider.log.tracks.track_id[n:] == ["new 40", "new 41"]
    assert (wider.log.plays[:, :n] != fitted.log.plays).nnz == 0
    np.testing.assert_allclose(wider.track_factors[rows], directions, atol=1e-6)
    listeners = fitted.log.tracks.listeners[~apart]
    length = (fitted.norm[~apart] * listeners).sum() / listeners.sum()
    np.testing.assert_allclose(wider.norm[rows], length, rtol=1e-5)
    plays = csr_matrix((np.ones(3), (np.zeros(3, int), [0, 3, 6])), (1, n + 2), dtype="f4")
    (placed,) = fold_in_listeners(plays, wider)
    best = np.argsort(-(fitted.track_factors @ placed))[:15]
    assert (best % 3 == 0).all()


def test_files_of_one_track_held_out_place_it_in_their_mean_direction(fitted):
    apart = np.arange(120) == 5
    known = {"track_factors": fitted.track_factors * ~apart[:, None], "norm": fitted.norm * ~apart}
    without = replace(fitted, **known, is_test=apart)
    tracks = replace(fitted.log.tracks.take([0, 1]), track_id=["a", "b"])
    wider, rows = with_tracks(without, tracks, np.array([5, 5]), fitted.track_factors[:2])
    assert rows.tolist() == [5, 5]
    mean = fitted.track_factors[:2].sum(axis=0)
    np.testing.assert_allclose(wider.track_factors[5], mean / np.linalg.norm(mean), atol=1e-6)
    assert len(wider.log.tracks) == 120


def test_contributions_add_up_to_the_score(fitted):
    directions = fitted.track_factors[:5]
    plays = fitted.log.plays[7]
    (listener,) = fold_in_listeners(plays, fitted)
    parts = Contributions(fitted).of(plays, directions)
    assert parts.shape == (5, plays.nnz)
    np.testing.assert_allclose(parts.sum(axis=1), directions @ listener, atol=1e-4)
    own_taste = plays.indices % 3 == 7 % 3
    assert own_taste[parts[7 % 3].argmax()]


def test_so_many_listeners_of_each_item_are_revealed(fitted):
    truth = fitted.log.plays
    known = revealed(truth, 3, np.random.default_rng(0))
    assert known.getnnz(axis=0).tolist() == [3] * 120
    assert (known - known.multiply(truth > 0)).nnz == 0
    assert (known != revealed(truth, 3, np.random.default_rng(1))).nnz
    least = truth.getnnz(axis=0).min()
    assert with_listeners(truth, least - 5).all()
    assert not with_listeners(truth, least - 4).all()


def test_the_auc_of_hidden_plays_is_that_of_the_model():
    # two listeners of each taste; of each item one listener of its own taste is known
    users = np.array([EAST, EAST, NORTH, NORTH])
    truth = csr_matrix(np.float32([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]))
    items = np.array([EAST, EAST, NORTH, NORTH])

    def models(known):
        assert known.getnnz(axis=0).tolist() == [1] * 4
        return {"right": items, "wrong": items[::-1], "silent": 0 * items}

    auc = auc_by_model(users, truth, 1, models, evaluated=np.arange(4), n_draws=4, seed=0)
    known = ~np.isnan(auc["right"])
    assert known.any()
    assert set(auc["right"][known]) == {1.0}
    assert set(auc["wrong"][known]) == {0.0}
    assert set(auc["silent"][known]) == {0.5}
