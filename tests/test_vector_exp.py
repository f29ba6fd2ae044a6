"""The exponential-family model: its likelihood, and the sampled softmax in its stead."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening import vector_exp
from audiorec_cli.listening.counts import counted
from audiorec_cli.listening.settings import VectorExpSettings
from audiorec_cli.listening.vector_exp import (
    draw_candidates,
    fit_vector_exp,
    largest_penalty,
    log_likelihood,
    proposed_shares,
    set_gradients,
)

PROPOSALS = ("log-uniform", "popularity")


@pytest.fixture
def plays(checkerboard):
    """The checkerboard, with even tracks played more and more often."""
    checkerboard[:, ::2] *= np.arange(1, 16)
    return csr_matrix(checkerboard.astype(np.float32))


@pytest.fixture
def factors():
    """Random factors of 40 listeners and 30 tracks."""
    generator = torch.Generator().manual_seed(3)
    return [0.7 * torch.randn(n, 4, generator=generator) for n in (40, 30)]


def likelihood_of(tracks, users, plays):
    tensors = (torch.from_numpy(users), torch.from_numpy(tracks))
    return log_likelihood(*tensors, plays).item() / plays.sum()


def test_the_likelihood_rises_with_every_step(plays):
    likelihoods = []
    settings = VectorExpSettings(
        n_factors=4, counts="plays", regularization=0, learning_rate=0.02, proposal="none"
    )
    tracks, users = fit_vector_exp(plays, settings, on_step=likelihoods.append)
    assert len(likelihoods) == settings.iterations
    assert (np.diff(likelihoods) > 0).all()
    assert likelihoods[0] == pytest.approx(-np.log(30), abs=0.05)
    assert likelihood_of(tracks, users, plays) > likelihoods[-1]


def simulated_plays(rng, n_users=150, n_tracks=60, n_plays=40):
    """Two draws of plays from tastes in four dimensions and a popularity of the tracks."""
    tastes, sounds = rng.normal(size=(n_users, 4)), rng.normal(size=(n_tracks, 4))
    scores = tastes @ sounds.T + rng.normal(size=n_tracks)
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return (csr_matrix(rng.multinomial(n_plays, chances).astype(np.float32)) for _ in range(2))


@pytest.mark.parametrize("proposal", ["none", *PROPOSALS])
def test_it_foretells_plays_held_out_better_than_popularity(proposal):
    fitted, held_out = simulated_plays(np.random.default_rng(0))
    settings = VectorExpSettings(
        n_factors=5, counts="plays", learning_rate=0.05, proposal=proposal, n_samples=20
    )
    tracks, users = fit_vector_exp(fitted, settings)
    popularity = np.asarray(fitted.sum(axis=0)).ravel() + 0.5
    of_popularity = held_out.sum(axis=0) @ np.log(popularity / popularity.sum()) / held_out.sum()
    assert likelihood_of(tracks, users, held_out) > of_popularity + 0.5


def test_the_full_likelihood_is_the_definition(plays, factors):
    users, tracks = factors
    scores = (users @ tracks.T).double().numpy()
    log_softmax = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    expected = (plays.toarray() * log_softmax).sum()
    assert log_likelihood(users, tracks, plays).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_the_sampled_sum_of_exponentials_is_right_on_average(plays, factors, proposal):
    users, tracks = factors
    shares, generator = proposed_shares(plays, proposal), torch.Generator().manual_seed(0)
    everyone_once = csr_matrix(np.eye(40, 30, dtype=np.float32) + (np.arange(30) == 0))
    rows, columns = map(torch.from_numpy, everyone_once.nonzero())
    rows, columns = rows.long(), columns.long()
    scores = (users[rows] * tracks[columns]).sum(dim=1)
    estimates = [
        vector_exp._sampled_log_partition(
            users, tracks, rows, columns, scores, draw_candidates(shares, 10, generator)
        ).exp()
        for _ in range(1500)
    ]
    exact = (users @ tracks.T).exp().sum(dim=1)
    np.testing.assert_allclose(torch.stack(estimates).mean(dim=0), exact, rtol=0.1)


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_the_sampled_gradient_comes_near_the_full_one(plays, factors, proposal):
    users, tracks = factors
    set_gradients(users, tracks, plays)
    full = tracks.grad
    distances = {}
    for n_samples in (10, 100_000):
        shares, generator = proposed_shares(plays, proposal), torch.Generator().manual_seed(0)
        candidates = draw_candidates(shares, n_samples, generator)
        set_gradients(users, tracks, plays, candidates=candidates)
        distances[n_samples] = ((tracks.grad - full).norm() / full.norm()).item()
    assert distances[100_000] < 0.02 < distances[10]


def test_popular_tracks_are_drawn_more_often(plays):
    popularity = np.asarray(plays.sum(axis=0)).ravel()
    np.testing.assert_allclose(proposed_shares(plays, "popularity"), popularity / popularity.sum())
    by_rank = proposed_shares(plays, "log-uniform")[np.argsort(-popularity, kind="stable")]
    np.testing.assert_allclose(by_rank, np.log1p(1 / np.arange(1, 31)) / np.log(31))


def test_the_softmax_is_sampled_where_asked_or_where_the_log_is_large(plays, monkeypatch):
    assert proposed_shares(plays, "auto") is None
    monkeypatch.setattr(vector_exp, "FULL_SOFTMAX_SCORES", 40 * 30 - 1)
    assert proposed_shares(plays, "none") is None
    expected = proposed_shares(plays, "log-uniform")
    np.testing.assert_array_equal(proposed_shares(plays, "auto"), expected)


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_the_sampled_softmax_finds_what_the_full_one_finds(plays, proposal):
    full, sampled = (
        fit_vector_exp(plays, VectorExpSettings(n_factors=4, proposal=p, n_samples=15))
        for p in ("none", proposal)
    )
    assert likelihood_of(*sampled, counted(plays, "log")) == pytest.approx(
        likelihood_of(*full, counted(plays, "log")), abs=0.03
    )


def test_blocks_of_listeners_change_nothing(plays, factors, monkeypatch):
    users, tracks = factors
    whole = set_gradients(users, tracks, plays)
    expected = [users.grad, tracks.grad]
    monkeypatch.setattr(vector_exp, "SCORES_AT_ONCE", 7 * 30)
    assert set_gradients(users, tracks, plays) == pytest.approx(whole, rel=1e-5)
    for factor, gradient in zip(factors, expected, strict=True):
        np.testing.assert_allclose(factor.grad, gradient, rtol=1e-3, atol=1e-3)


def test_regularization_is_a_share_of_what_leaves_no_factors(plays):
    dense = plays.toarray().astype(np.float64)
    gradient = dense - dense.sum(axis=1, keepdims=True) / 30
    assert largest_penalty(plays) == pytest.approx(np.linalg.norm(gradient, 2), rel=1e-5)
    sizes = [
        np.linalg.norm(fit_vector_exp(plays, VectorExpSettings(4, regularization=share))[0])
        for share in (0.1, 0.999)
    ]
    assert sizes[1] < 0.1 * sizes[0]


def test_a_regularization_that_leaves_no_factors_is_refused(plays):
    with pytest.raises(AudiorecError, match=r"of 1 leaves vector-exp no factors.*less than 1"):
        fit_vector_exp(plays, VectorExpSettings(regularization=1.0))


def test_what_plays_count():
    plays = csr_matrix([[0.0, 1.0, 20.0]])
    for counts, expected in (("plays", [1, 20]), ("log", np.log([2, 21])), ("once", [1, 1])):
        np.testing.assert_allclose(counted(plays, counts).data, expected, rtol=1e-6)
    assert plays.data.tolist() == [1, 20]
