"""Alternating least squares finds tastes, and is the one of the papers."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.factorization import AlsSettings, confidence, fit_als
from audiorec_cli.records import LoggedTracks, Plays


def log_of(matrix):
    matrix = csr_matrix(np.asarray(matrix, dtype=np.float32))
    m, n = matrix.shape
    none = [""] * n
    tracks = LoggedTracks([f"t{i:03}" for i in range(n)], none, none, none, none, np.ones(n),
                          np.ones(n, int))  # fmt: skip
    return Plays([f"u{u:03}" for u in range(m)], tracks, matrix)


def checkerboard(m=40, n=30):
    """Even listeners play even tracks, odd ones odd tracks."""
    u, i = np.ogrid[:m, :n]
    return (u % 2 == i % 2) * (1 + (u + i) % 3)


def test_a_checkerboard_splits_into_its_two_tastes():
    factors = fit_als(log_of(checkerboard()), AlsSettings(n_factors=4)).track_factors
    similar = factors @ factors.T
    same = np.equal.outer(np.arange(30) % 2, np.arange(30) % 2)
    assert similar[same].min() > 0.9
    assert similar[~same].max() < 0.1


def test_confidence_is_that_of_the_paper():
    settings = AlsSettings(alpha=3.0, epsilon=0.5)
    weighted = confidence(csr_matrix([[0.0, 1.0, 20.0]]), settings).toarray()
    np.testing.assert_allclose(
        weighted, [[0, 1 + 3 * np.log(1 + 2), 1 + 3 * np.log(1 + 40)]], rtol=1e-6
    )


def solve_by_definition(fixed, weights, regularization):
    """Equation 4 of Hu, Koren and Volinsky, in float64, row by row."""
    solved = []
    for c in weights:
        preferred = c > 0
        c = np.where(preferred, c, 1)
        a = (fixed * c[:, None]).T @ fixed + regularization * np.eye(fixed.shape[1])
        solved.append(np.linalg.solve(a, (fixed * c[:, None]).T @ preferred))
    return np.array(solved)


def test_the_solution_is_the_fixed_point_of_the_papers_equations():
    rng = np.random.default_rng(0)
    plays = random_array((25, 18), density=0.3, rng=rng).toarray() * 10
    settings = AlsSettings(n_factors=3, iterations=300, regularization=0.5)
    fitted = fit_als(log_of(plays), settings)
    weights = confidence(csr_matrix(plays), settings).toarray().astype(np.float64)
    tracks = (fitted.track_factors * fitted.norm[:, None]).astype(np.float64)
    users = fitted.user_factors.astype(np.float64)
    np.testing.assert_allclose(
        users, solve_by_definition(tracks, weights, 0.5), atol=2e-3 * np.abs(users).max()
    )
    np.testing.assert_allclose(
        tracks, solve_by_definition(users, weights.T, 0.5), atol=2e-3 * np.abs(tracks).max()
    )


def test_the_same_seed_gives_the_same_factors():
    first, second, other = (
        fit_als(log_of(checkerboard()), AlsSettings(n_factors=4, seed=seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.track_factors, second.track_factors)
    assert not np.array_equal(first.track_factors, other.track_factors)


def test_unit_norm_with_the_norm_kept():
    factors = fit_als(log_of(checkerboard()), AlsSettings(n_factors=4))
    np.testing.assert_allclose(np.linalg.norm(factors.track_factors, axis=1), 1, atol=1e-5)
    assert (factors.norm > 0).all()
    assert factors.params["alpha"] == AlsSettings().alpha


def test_tracks_that_the_fit_leaves_without_direction_are_left_out():
    plays = np.zeros((41, 31))
    plays[:40, :30] = checkerboard()
    plays[40, 30] = 1  # one listener alone with one track: a third taste for a fit of rank two
    fitted = fit_als(log_of(plays), AlsSettings(n_factors=2, iterations=100))
    assert fitted.log.tracks.track_id == [f"t{i:03}" for i in range(30)]
    assert fitted.log.plays.shape == (41, 30)


def test_one_listener_is_refused_with_the_remedy():
    with pytest.raises(AudiorecError, match=r"one listener.*--group-by"):
        fit_als(log_of(np.ones((1, 50))), AlsSettings())


def test_more_factors_than_the_log_can_tell_are_refused():
    with pytest.raises(AudiorecError, match=r"40 factors.* has 40 and 30.*--factors 15"):
        fit_als(log_of(checkerboard()), AlsSettings())


@pytest.mark.filterwarnings("error")
def test_the_number_of_blas_threads_is_set_as_implicit_asks():
    fit_als(log_of(checkerboard()), AlsSettings(n_factors=4))


def test_one_track_is_refused():
    with pytest.raises(AudiorecError, match="has one track"):
        fit_als(log_of(np.ones((5, 1))), AlsSettings(n_factors=1))
