"""The exponential-family model of plays, vector_exp in [A]: a softmax over all tracks."""

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, svds

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.counts import counted

FULL_SOFTMAX_SCORES = 200_000_000  # listeners × tracks, up to which "auto" takes the full softmax
SCORES_AT_ONCE = 4_000_000
LEAST_SCORE = -1e9  # finite, as the gradient of log Σ exp over nothing but -∞ is no number
START = 0.1  # deviation of the random factors that the fit begins with


def fit_vector_exp(plays, settings, *, on_step=lambda log_likelihood: None):
    """Fit P(track i | listener u) = softmax over tracks of xᵤ·yᵢ to counts by maximum likelihood.

    plays : (n_users, n_tracks) CSR, positive where stored
    on_step : called after each step with the log-likelihood per counted play before it
    Returns track factors (n_tracks, f) and user factors (n_users, f), float32.
    Raises AudiorecError for a regularization that leaves no factors.
    """
    if settings.regularization >= 1:
        raise AudiorecError(
            f"a regularization of {settings.regularization:g} leaves vector-exp no factors: "
            "give --regularization less than 1"
        )
    counts = counted(plays, settings.counts)
    generator = torch.Generator().manual_seed(settings.seed)
    users, tracks = _start(counts, settings, generator)
    optimizer, falling = _descent(users, tracks, counts, settings)
    shares = proposed_shares(counts, settings.proposal)
    for _ in range(settings.iterations):
        candidates = draw_candidates(shares, settings.n_samples, generator)
        likelihood = set_gradients(users, tracks, counts, candidates=candidates)
        optimizer.step()
        falling.step()
        on_step(likelihood / counts.sum(dtype=np.float64))
    return tracks.numpy(), users.numpy()


def _start(counts, settings, generator):
    """Small random factors of listeners and tracks; none of listeners who played nothing."""
    users, tracks = (
        START * torch.randn(n, settings.n_factors, generator=generator) for n in counts.shape
    )
    users[torch.from_numpy(np.diff(counts.indptr) == 0)] = 0
    return users, tracks


def _descent(users, tracks, counts, settings):
    penalty = settings.regularization * largest_penalty(counts)
    optimizer = torch.optim.Adam([users, tracks], lr=settings.learning_rate, weight_decay=penalty)
    falling = torch.optim.lr_scheduler.LinearLR(
        optimizer, start_factor=1.0, end_factor=1e-3, total_iters=settings.iterations
    )
    return optimizer, falling


def largest_penalty(counts):
    """The least λ that leaves no factors: the largest singular value of the gradient at zero.

    The log-likelihood is concave in the scores, and λ/2 · (Σ ‖xᵤ‖² + Σ ‖yᵢ‖²) is λ times their
    nuclear norm, so scores of zero are best from there on.
    """
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    n = counts.shape[1]
    gradient = LinearOperator(
        counts.shape,
        matvec=lambda v: counts @ v.ravel() - totals * v.sum() / n,
        rmatvec=lambda v: counts.T @ v.ravel() - totals @ v.ravel() / n,
        dtype=np.float64,
    )
    start = np.linspace(1, 2, min(counts.shape))  # given, so that the same log gives the same
    return float(svds(gradient, k=1, v0=start, return_singular_vectors=False)[0])


def proposed_shares(counts, proposal):
    """How likely each track is to be drawn; None where the softmax is full.

    counts : CSR users x tracks; proposal : as in VectorExpSettings
    Returns (n_tracks,) float64 with a sum of 1, or None.
    """
    is_large = counts.shape[0] * counts.shape[1] > FULL_SOFTMAX_SCORES
    if proposal == "none" or (proposal == "auto" and not is_large):
        return None
    popularity = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    if proposal != "popularity":
        rank = np.empty(len(popularity))
        rank[np.argsort(-popularity, kind="stable")] = np.arange(len(popularity))
        popularity = np.log((rank + 2) / (rank + 1))
    return popularity / popularity.sum()


def draw_candidates(shares, n_samples, generator):
    """Draw tracks to stand for all, with replacement.

    shares : of proposed_shares; None gives None
    Returns the tracks, (k,) int64, each once, and (k,) float32, the log of how many times the
    expected number each came. With that added to its score, the drawn tracks' sum of exponentials
    is that of all tracks in expectation ([K], importance sampling).
    """
    if shares is None:
        return None
    shares = torch.from_numpy(shares)
    drawn = torch.multinomial(shares, n_samples, replacement=True, generator=generator)
    tracks, times = torch.unique(drawn, return_counts=True)
    return tracks, torch.log(times / (n_samples * shares[tracks])).float()


def set_gradients(users, tracks, counts, *, candidates=None):
    """Set .grad of both factors to that of the negative log-likelihood, in blocks of listeners.

    users, tracks : (n, f) float32 tensors; counts : CSR users x tracks
    candidates : of draw_candidates, to sample the softmax with; None for the full softmax
    Returns the summed log-likelihood.
    """
    users.grad = torch.zeros_like(users)
    shared = tracks.detach().requires_grad_()
    n_candidates = len(tracks) if candidates is None else len(candidates[0])
    size = max(1, SCORES_AT_ONCE // n_candidates)
    total = 0.0
    for start in range(0, len(users), size):
        block = users[start : start + size].detach().requires_grad_()
        likelihood = log_likelihood(block, shared, counts[start : start + size], candidates)
        (-likelihood).backward()
        users.grad[start : start + size] = block.grad
        total += likelihood.item()
    tracks.grad = shared.grad
    return total


def log_likelihood(users, tracks, counts, candidates=None):
    """Σ r · log P(track | listener), a tensor; arguments as in set_gradients."""
    rows = torch.from_numpy(np.repeat(np.arange(len(users)), np.diff(counts.indptr)))
    columns = torch.from_numpy(counts.indices.astype(np.int64))
    # index_select, as its gradient adds up in the same order each time
    scores = (users.index_select(0, rows) * tracks.index_select(0, columns)).sum(dim=1)
    if candidates is None:
        log_partition = torch.logsumexp(users @ tracks.T, dim=1)
    else:
        log_partition = _sampled_log_partition(users, tracks, rows, columns, scores, candidates)
    totals = torch.from_numpy(np.asarray(counts.sum(axis=1)).ravel())
    return torch.from_numpy(counts.data) @ scores - totals @ log_partition


def _sampled_log_partition(users, tracks, rows, columns, scores, candidates):
    """Log Σ exp(xᵤ·yᵢ): exactly over the tracks that a listener played, by the draw elsewhere.

    The played ones are always in, as the target is in [L]: no probability estimated is over 1.
    """
    drawn, correction = candidates
    others = users @ tracks.index_select(0, drawn).T + correction
    place = torch.full((len(tracks),), -1)
    place[drawn] = torch.arange(len(drawn))
    was_drawn = place[columns] >= 0
    played = torch.zeros(others.shape, dtype=torch.bool)
    played[rows[was_drawn], place[columns[was_drawn]]] = True
    rest = torch.logsumexp(others.masked_fill(played, LEAST_SCORE), dim=1)
    return torch.logaddexp(_logsumexp_by_row(scores, rows, len(users)), rest)


def _logsumexp_by_row(scores, rows, n_rows):
    largest = torch.full((n_rows,), LEAST_SCORE).scatter_reduce(
        0, rows, scores.detach(), reduce="amax"
    )
    summed = torch.zeros(n_rows).index_add(0, rows, torch.exp(scores - largest[rows]))
    return torch.log(summed) + largest
