"""What the layers of the network are made of besides convolutions and matrices."""

import torch
from torch.nn import functional

MAXOUT_PIECES = 2  # chosen here; [G] takes 2 to 5


def global_temporal_pool(activations):
    """Summarise each feature over time: mean, maximum and L2 norm, side by side [A].

    activations : (batch, n_features, n_frames), any real dtype
    Returns (batch, 3 * n_features).
    Raises ValueError when there is no frame to pool over.
    """
    if activations.shape[-1] == 0:
        raise ValueError("no frame to pool over")
    mean = activations.mean(dim=-1)
    maximum = activations.amax(dim=-1)
    norm = torch.linalg.vector_norm(activations, dim=-1)
    return torch.cat([mean, maximum, norm], dim=1)


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


ACTIVATIONS = {"relu": relu, "maxout": maxout}
POOLINGS = {"max": max_pool, "stochastic": stochastic_pool}
