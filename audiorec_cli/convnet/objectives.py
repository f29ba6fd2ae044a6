"""What training minimises: a squared error, an angle, a likelihood, or [B]'s weighted error.

That of contrast, which compares tracks with each other, stands in convnet/contrast.py.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from audiorec_cli.convnet.loading import EpochSampler

TRACKS_AT_A_TIME = 64


class Loss(NamedTuple):
    """The mean over the tracks of a batch, two scalar tensors.

    figure : what is reported; minimised : the same times a constant, so that it is about as steep
        as the squared error summed over the factors, and one learning rate serves all
    """

    figure: torch.Tensor
    minimised: torch.Tensor


class Objective:
    """What training asks of an objective; called with outputs and targets it returns their Loss.

    of_constant : what loss_of_constant is the loss of, in words
    """

    of_constant = "the mean of the training factors has"

    def targets(self, examples):
        """What outputs are compared with, part → (k, …): the factors."""
        return examples.targets

    def constant(self, targets):
        """The outputs of a network that gives every track the same: the mean factors."""
        return targets.mean(axis=0)

    def sampler(self, targets, settings):
        """What tells which training excerpts come when: all of them, shuffled.

        settings : TrainingSettings
        """
        return EpochSampler(len(targets), shuffle=True, seed=settings.seed)

    def n_an_epoch(self, n_excerpts, batch_size):
        """Excerpts that an epoch looks at, of n_excerpts to train on."""
        return n_excerpts

    def validated(self, examples):
        """The excerpts that validate, rows (k,) of the mels file, and their targets (k, …)."""
        return examples.excerpts["validation"], self.targets(examples)["validation"]

    def of_heads(self, outputs, targets, n_heads):
        """The Loss of heads that learn each by itself, outputs (n_heads * batch, …)."""
        return self(outputs, torch.cat([targets] * n_heads))

    def figure(self, batches):
        """The mean figure of outputs and targets, in batches, of all that `validated` gives."""
        total, n = 0.0, 0
        for outputs, targets in batches:
            total += self(outputs, targets).figure.item() * len(targets)
            n += len(targets)
        return total / n


class MeanSquaredError(Objective):
    """[A]'s objective. The figure is the mean over the factors."""

    def __call__(self, outputs, targets):
        """outputs, targets : (batch, n_factors)."""
        figure = functional.mse_loss(outputs, targets.to(outputs.device, non_blocking=True))
        return Loss(figure, figure * targets.shape[1])


class CosineDistance(Objective):
    """1 − cos of the angle between what is predicted and the factors, whose norm tells nothing.

    Between directions the squared error is twice that. It is the steeper, the shorter the outputs:
    of those that an untrained network starts with, several times as steep as the squared error.
    """

    def __call__(self, outputs, targets):
        """outputs, targets : (batch, n_factors)."""
        targets = targets.to(outputs.device, non_blocking=True)
        figure = (1 - functional.cosine_similarity(outputs, targets)).mean()
        return Loss(figure, 2 * figure)


class Likelihood(Objective):
    """Of a Gaussian for each factor [H]. The figure is minus its logarithm, mean over the factors.

    Its curvature is that of the squared error where a variance is that of factors of unit norm.
    """

    def constant(self, targets):
        """Mean factors and the logarithm of their variances."""
        variance = np.maximum(targets.var(axis=0), np.finfo(np.float32).tiny)
        return np.concatenate([targets.mean(axis=0), np.log(variance)])

    def __call__(self, outputs, targets):
        """outputs : (batch, 2 * n_factors) means, log variances; targets : (batch, n_factors)."""
        mean, log_variance = outputs.chunk(2, dim=1)
        squares = (targets.to(outputs.device, non_blocking=True) - mean).square()
        doubled = math.log(2 * math.pi) + log_variance + squares / log_variance.exp()
        figure = doubled.mean() / 2
        return Loss(figure, 2 * figure)


class WeightedPredictionError(Objective):
    """[B]'s objective, equation 5: Σ_u c_u (p_u − x_uᵀy)² over all users u of a track.

    confidences : (n_tracks, n_users) CSR, c where a user played the track, whose p is 1; elsewhere
        c is 1 and p is 0
    user_factors : (n_users, n_factors) x; track_factors : (n_tracks, n_factors), not normalised
    train_rows : of the training examples
    The network predicts y divided by the root mean square norm of the training tracks' factors.
    The figure is a share of the error of predicting that nobody plays anything, over the training
    examples. What is minimised has, on average over them and in the steepest direction, the
    curvature of the squared error; by the mean of all directions instead training diverged.
    """

    def __init__(self, confidences, user_factors, track_factors, train_rows):
        self._confidences, self._users = confidences, user_factors
        self._gram = user_factors.T.astype(np.float64) @ user_factors
        norms = np.linalg.norm(track_factors[train_rows], axis=1)
        self._norm = float(np.sqrt(np.mean(norms**2)))
        self._mean = track_factors[train_rows].mean(axis=0) / self._norm
        trained = confidences[train_rows]
        self._of_nothing = float(trained.sum(axis=1).mean())
        trained.data = trained.data - 1
        weight = np.asarray(trained.mean(axis=0)).reshape(-1, 1)
        mean_matrix = self._gram + user_factors.T @ (weight * user_factors)
        self._steepness = float(np.linalg.eigvalsh(mean_matrix)[-1]) * self._norm**2

    def targets(self, examples):
        """The rows of the tracks in the factors file."""
        return examples.log_rows

    def constant(self, targets):
        """The mean of the training tracks' factors."""
        return self._mean

    def __call__(self, outputs, targets):
        """outputs : (batch, n_factors); targets : (batch,) rows of the tracks."""
        error = self.errors(outputs, targets.numpy()).mean()
        return Loss(error / self._of_nothing, error / self._steepness)

    def errors(self, outputs, rows):
        """The weighted prediction error of each track, (batch,).

        It is yᵀAy − 2bᵀy + d with the matrix A = XᵀCX and the vector b = XᵀCp of the least squares
        that made the factors, so that only the track's own listeners are looked at [C].
        """
        forms = zip(*(self._form(row) for row in rows), strict=True)
        matrix, vector, rest = (
            torch.from_numpy(np.stack(part).astype(np.float32)).to(outputs.device) for part in forms
        )
        factors = outputs * self._norm
        square = torch.einsum("bf,bfg,bg->b", factors, matrix, factors)
        return square - 2 * (vector * factors).sum(dim=1) + rest

    def _form(self, row):
        listeners = slice(*self._confidences.indptr[row : row + 2])
        confidence = self._confidences.data[listeners].astype(np.float64)
        users = self._users[self._confidences.indices[listeners]].astype(np.float64)
        matrix = self._gram + users.T @ ((confidence - 1)[:, None] * users)
        return matrix, confidence @ users, confidence.sum()


def loss_of_constant(objective, examples, *, normalised):
    """The figure on the validation examples when every track gets the same, made of the training's.

    normalised : scale these factors to unit norm, as a network with l2_output does
    What a network must fall below to be worth anything.
    """
    targets, n_factors = objective.targets(examples), examples.targets["train"].shape[1]
    constant = torch.from_numpy(np.array(objective.constant(targets["train"]), np.float32))
    if normalised:
        constant[:n_factors] /= torch.linalg.vector_norm(constant[:n_factors])
    batches = torch.from_numpy(objective.validated(examples)[1]).split(TRACKS_AT_A_TIME)
    return objective.figure((constant.expand(len(batch), -1), batch) for batch in batches)
