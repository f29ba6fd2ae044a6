"""What is minimised is what the papers say, and about as steep whatever it is."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from audiorec_cli.convnet.examples import Examples
from audiorec_cli.convnet.objectives import (
    CosineDistance,
    Likelihood,
    MeanSquaredError,
    WeightedPredictionError,
    loss_of_constant,
)

N_TRACKS, N_USERS, N_FACTORS = 30, 40, 5
RNG = np.random.default_rng(0)
USERS = RNG.normal(size=(N_USERS, N_FACTORS)).astype(np.float32)
TRACKS = RNG.normal(size=(N_TRACKS, N_FACTORS)).astype(np.float32)
CONFIDENCES = csr_matrix(
    np.where(RNG.random((N_TRACKS, N_USERS)) < 0.2, 1 + RNG.exponential(3, (N_TRACKS, N_USERS)), 0)
).astype(np.float32)
TRAIN = np.arange(20)


@pytest.fixture(scope="module")
def weighted():
    return WeightedPredictionError(CONFIDENCES, USERS, TRACKS, TRAIN)


def norm_of_training():
    return np.sqrt(np.mean(np.sum(TRACKS[TRAIN].astype(np.float64) ** 2, axis=1)))


def dense_errors(outputs, rows):
    """Σ_u c(p − x·y)² over the whole matrix, in float64."""
    stored = CONFIDENCES[rows].toarray().astype(np.float64)
    played = stored > 0
    scores = (outputs.numpy().astype(np.float64) * norm_of_training()) @ USERS.T.astype(np.float64)
    return (np.where(played, stored, 1) * (played - scores) ** 2).sum(axis=1)


def test_the_weighted_error_is_that_of_the_dense_matrix(weighted):
    rows = np.array([3, 17, 3, 29])
    outputs = torch.randn(4, N_FACTORS)
    ours = weighted.errors(outputs, rows).numpy()
    np.testing.assert_allclose(ours, dense_errors(outputs, rows), rtol=1e-5)


def test_its_figure_is_1_where_nothing_is_predicted_and_less_for_the_best_factors(weighted):
    rows = torch.from_numpy(TRAIN)
    nothing = weighted(torch.zeros(len(rows), N_FACTORS), rows).figure
    assert nothing.item() == pytest.approx(1)
    forms = [weighted._form(row) for row in TRAIN]
    best = np.stack([np.linalg.solve(a, b) for a, b, _ in forms]) / norm_of_training()
    of_best = weighted(torch.from_numpy(best.astype(np.float32)), rows).figure
    assert of_best < weighted(torch.from_numpy(best).float() * 1.2, rows).figure < nothing


def test_the_cosine_distance_is_half_the_squared_error_of_directions_whatever_their_length():
    targets = torch.nn.functional.normalize(torch.randn(6, N_FACTORS), dim=1)
    outputs = torch.nn.functional.normalize(torch.randn(6, N_FACTORS), dim=1)
    lengths = torch.rand(6, 1) + 0.1
    loss = CosineDistance()(lengths * outputs, targets)
    squares = (outputs - targets).square().sum(dim=1).mean()
    torch.testing.assert_close(loss.figure, squares / 2)
    torch.testing.assert_close(loss.minimised, squares)
    assert CosineDistance()(3 * targets, targets).figure.item() == pytest.approx(0, abs=1e-6)


def test_its_gradient_is_that_of_the_dense_matrix(weighted):
    outputs = torch.randn(3, N_FACTORS, requires_grad=True)
    weighted.errors(outputs, np.array([0, 1, 2])).sum().backward()
    step = 1e-3 * outputs.grad / outputs.grad.norm()
    with torch.no_grad():
        change = dense_errors(outputs + step, [0, 1, 2]) - dense_errors(outputs - step, [0, 1, 2])
    assert change.sum() == pytest.approx(2e-3 * outputs.grad.norm().item(), rel=1e-3)


def steepest(objective, outputs, targets):
    """The largest second derivative of what is minimised, all tracks moving together."""

    def minimised(shift):
        return objective(outputs + shift, targets).minimised

    hessian = torch.autograd.functional.hessian(minimised, torch.zeros(N_FACTORS))
    return torch.linalg.eigvalsh(hessian)[-1].item()


def test_all_objectives_are_as_steep_so_that_one_learning_rate_serves(weighted):
    unit = torch.nn.functional.normalize(torch.randn(20, N_FACTORS), dim=1)
    squared = steepest(MeanSquaredError(), torch.zeros(20, N_FACTORS), unit)
    rows = torch.from_numpy(TRAIN)
    assert squared == pytest.approx(2, rel=1e-4)
    assert steepest(weighted, torch.zeros(20, N_FACTORS), rows) == pytest.approx(squared, rel=1e-3)

    def likelihood(outputs, targets):
        of_unit_factors = torch.full_like(outputs, -np.log(N_FACTORS))
        return Likelihood()(torch.cat([outputs, of_unit_factors], dim=1), targets)

    assert steepest(likelihood, torch.zeros(20, N_FACTORS), unit) == pytest.approx(2, rel=1e-3)


def test_the_likelihood_is_that_of_a_normal_distribution():
    mean, log_variance, targets = torch.randn(3, 6, N_FACTORS)
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    loss = Likelihood()(torch.cat([mean, log_variance], dim=1), targets)
    torch.testing.assert_close(loss.figure, -normal.log_prob(targets).mean())


def examples_of(targets):
    """Examples that train on the first 20 tracks and validate on the rest."""
    rows = {"train": TRAIN, "validation": np.arange(20, N_TRACKS), "test": np.arange(0)}
    factors = {part: targets[chosen] for part, chosen in rows.items()}
    return Examples(rows, rows, factors, {}, "")


@pytest.mark.parametrize("normalised", [False, True])
def test_the_mean_of_the_training_factors_is_judged_by_the_same_loss(weighted, normalised):
    unit = TRACKS / np.linalg.norm(TRACKS, axis=1, keepdims=True)
    examples = examples_of(unit)
    mean, raw_mean = unit[TRAIN].mean(axis=0), TRACKS[TRAIN].mean(axis=0) / norm_of_training()
    if normalised:
        mean, raw_mean = (m / np.linalg.norm(m) for m in (mean, raw_mean))
    of_mean = loss_of_constant(MeanSquaredError(), examples, normalised=normalised)
    assert of_mean == pytest.approx(((unit[20:] - mean) ** 2).mean(), rel=1e-5)
    of_mean = loss_of_constant(weighted, examples, normalised=normalised)
    constant = torch.from_numpy(np.tile(raw_mean, (10, 1)))
    dense = dense_errors(constant, np.arange(20, N_TRACKS)).mean()
    of_nothing = dense_errors(torch.zeros(20, N_FACTORS), TRAIN).mean()
    assert of_mean == pytest.approx(dense / of_nothing, rel=1e-4)
    of_mean = loss_of_constant(Likelihood(), examples, normalised=normalised)
    spread = unit[TRAIN].std(axis=0)
    normal = torch.distributions.Normal(torch.from_numpy(mean), torch.from_numpy(spread))
    log_likelihood = normal.log_prob(torch.from_numpy(unit[20:])).mean().item()
    assert of_mean == pytest.approx(-log_likelihood, rel=1e-4)
