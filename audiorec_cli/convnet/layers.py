"""What the layers of the network are made of besides convolutions and matrices."""

import torch
from torch import nn
from torch.nn import functional

MAXOUT_PIECES = 2  # chosen here; [G] takes 2 to 5
SMALLEST_VARIANCE = 1e-8
BATCH_WEIGHT = 0.1  # of a batch in the running mean and variance


class BatchNorm(nn.Module):
    """Each feature scaled to mean 0 and variance 1 over a batch, then by a weight and a bias [M].

    To predict, the mean and variance are running ones of the batches trained on. Unlike torch's own
    it holds float32 alone, which is what a checkpoint keeps.
    """

    def __init__(self, n_features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_features))
        self.bias = nn.Parameter(torch.zeros(n_features))
        self.register_buffer("running_mean", torch.zeros(n_features))
        self.register_buffer("running_var", torch.ones(n_features))

    def forward(self, linear, dim):
        """Normalise linear : (batch, n_features, n_frames) with dim 1, (…, n_features) with dim -1.

        Returns the same shape.
        """
        rows = linear.flatten(0, -2) if dim == -1 else linear
        normalised = functional.batch_norm(
            rows,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training,
            momentum=BATCH_WEIGHT,
        )
        return normalised.view_as(linear)


class NoNorm(nn.Module):
    """What stands in the place of a normalization where there is none."""

    def __init__(self, n_features):
        super().__init__()

    def forward(self, linear, dim):
        """Returns `linear`, of any shape, as it is."""
        return linear


def global_temporal_pool(activations, spread="norm"):
    """Summarise each feature over time: mean, maximum and L2 norm, side by side [A].

    activations : (batch, n_features, n_frames), any real dtype
    spread : "norm", or "deviation" for the standard deviation in its place, which does not grow
        without end with the number of frames
    Returns (batch, 3 * n_features).
    Raises ValueError when there is no frame to pool over.
    """
    if activations.shape[-1] == 0:
        raise ValueError("no frame to pool over")
    mean = activations.mean(dim=-1)
    maximum = activations.amax(dim=-1)
    return torch.cat([mean, maximum, SPREADS[spread](activations)], dim=1)


def _norm(activations):
    return torch.linalg.vector_norm(activations, dim=-1)


def _deviation(activations):
    # where nothing changes the root has no gradient
    return (activations.var(dim=-1, correction=0) + SMALLEST_VARIANCE).sqrt()


def relu(linear, dim):
    """Rectified linear units; `dim` is there to be called like maxout."""
    return functional.relu(linear)


def maxout(linear, dim):
    """The largest of the MAXOUT_PIECES linear functions of each unit [G].

    linear : along `dim` the pieces of a unit stand side by side
    Returns the same shape with `dim` divided by MAXOUT_PIECES.
    """
    return linear.unflatten(dim, (-1, MAXOUT_PIECES)).amax(dim=dim + 1 if dim >= 0 else dim)


def max_pool(activations, pool, *, sampled):
    """The largest of every `pool` frames; `sampled` is there to be called like stochastic_pool."""
    if torch.compiler.is_compiling():
        # max_pool1d, which is faster, ties what is traced to its number of frames
        return functional.max_pool2d(activations[:, :, None], (1, pool)).squeeze(2)
    return functional.max_pool1d(activations, pool)


def stochastic_pool(activations, pool, *, sampled):
    """One of every `pool` frames, each with a probability proportional to its activation [F].

    activations : (batch, n_features, n_frames); what is negative counts as 0, and where all are 0
        the frames are equally likely
    sampled : draw the frame, to train; else average with those probabilities, to predict
    Returns (batch, n_features, n_frames // pool).
    """
    n_regions = activations.shape[-1] // pool
    regions = activations[..., : n_regions * pool].unflatten(-1, (n_regions, pool))
    weights = regions.detach().float().clamp(min=0)
    weights = torch.where(weights.sum(dim=-1, keepdim=True) > 0, weights, 1.0)
    if not sampled:
        weights = weights / weights.sum(dim=-1, keepdim=True)
        return (weights.to(regions.dtype) * regions).sum(dim=-1)
    reached = weights.cumsum(dim=-1)
    drawn = torch.rand_like(reached[..., :1]) * reached[..., -1:]
    # rounding may draw the end itself
    frame = (reached <= drawn).sum(dim=-1, keepdim=True).clamp(max=pool - 1)
    return regions.gather(-1, frame).squeeze(-1)


SPREADS = {"norm": _norm, "deviation": _deviation}
ACTIVATIONS = {"relu": relu, "maxout": maxout}
NORMALIZATIONS = {"none": NoNorm, "batch": BatchNorm}
POOLINGS = {"max": max_pool, "stochastic": stochastic_pool}
