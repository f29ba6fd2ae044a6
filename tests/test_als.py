"""Alternating least squares solves the equations of the papers."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.factorization import AlsSettings, confidence, fit_factors


def test_confidence_is_that_of_the_papers():
    settings = AlsSettings(alpha=3.0, epsilon=0.5)
    plays = csr_matrix([[0.0, 1.0, 20.0]])
    np.testing.assert_allclose(
        confidence(plays, settings).toarray(),
        [[0, 1 + 3 * np.log(1 + 2), 1 + 3 * np.log(1 + 40)]],
        rtol=1e-6,
    )
    linear = AlsSettings(alpha=3.0, confidence="linear")
    np.testing.assert_allclose(confidence(plays, linear).toarray(), [[0, 4, 61]], rtol=1e-6)


def test_without_a_penalty_an_ambiguous_log_is_one_line(log_of):
    two_tastes = np.kron(np.eye(2), np.ones((4, 4)))
    with pytest.raises(AudiorecError, match=r"no single solution .* --regularization above 0"):
        fit_factors(log_of(two_tastes), AlsSettings(n_factors=3, regularization=0.0))


def solve_by_definition(fixed, weights, regularization):
    """Equation 4 of Hu, Koren and Volinsky, in float64, row by row."""
    solved = []
    for c in weights:
        preferred = c > 0
        c = np.where(preferred, c, 1)
        a = (fixed * c[:, None]).T @ fixed + regularization * np.eye(fixed.shape[1])
        solved.append(np.linalg.solve(a, (fixed * c[:, None]).T @ preferred))
    return np.array(solved)


@pytest.mark.parametrize("kind", ["log", "linear"])
def test_the_solution_is_the_fixed_point_of_the_papers_equations(log_of, kind):
    rng = np.random.default_rng(0)
    plays = random_array((25, 18), density=0.3, rng=rng).toarray() * 10
    settings = AlsSettings(n_factors=3, iterations=300, regularization=0.5, confidence=kind)
    fitted = fit_factors(log_of(plays), settings)
    weights = confidence(csr_matrix(plays), settings).toarray().astype(np.float64)
    tracks = fitted.fitted_track_factors.astype(np.float64)
    users = fitted.user_factors.astype(np.float64)
    np.testing.assert_allclose(
        users, solve_by_definition(tracks, weights, 0.5), atol=2e-3 * np.abs(users).max()
    )
    np.testing.assert_allclose(
        tracks, solve_by_definition(users, weights.T, 0.5), atol=2e-3 * np.abs(tracks).max()
    )


@pytest.mark.filterwarnings("error")
def test_the_number_of_blas_threads_is_set_as_implicit_asks(log_of, checkerboard):
    fit_factors(log_of(checkerboard), AlsSettings(n_factors=4))
