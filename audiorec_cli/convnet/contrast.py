"""Learning by contrast, which tracks belong together, in a space of its own that no factors define.

InfoNCE is that of van den Oord, Li and Vinyals, "Representation learning with contrastive
predictive coding", 2018; DrLIM that of Hadsell, Chopra and LeCun, 2006 [E].
"""

import numpy as np
import torch
from torch.nn import functional

from audiorec_cli.convnet.objectives import Loss, Objective
from audiorec_cli.convnet.pairs import PairSampler, Partners

FEWEST_REFERENCES = 256  # training tracks that validation tracks are compared with
QUERIES_AT_A_TIME = 256
SMALLEST_SQUARE = 1e-6  # of a distance


class Contrast(Objective):
    """What contrastive objectives share; they differ in how they compare.

    shared : SharedListeners of the tracks of examples, which are Examples
    Each track of a batch is compared with all others, of which its partner is one. Those of its own
    row in the log are left out: other songs of the artist where the log lists artists, other
    excerpts of the track.
    Each validation track is compared with training tracks instead, the same ones always: a partner
    for each, and others up to FEWEST_REFERENCES. What is told of it is no loss, which would rather
    tell how sure the network is than how right, but the share of the tracks that lie nearer than a
    partner: 0 at the best, 1/2 by chance.
    """

    of_constant = "one place for all tracks has"

    def __init__(self, shared, examples, *, seed):
        self._shared = shared
        self._places = {
            part: shared.places(examples.log_rows[part]) for part in ("train", "validation")
        }
        self._partners = Partners(shared, self._places["train"])
        self._references = self._drawn_references(seed)

    def _drawn_references(self, seed):
        """(k,) training excerpts that validation compares with, in ascending order."""
        rng, n = np.random.default_rng(seed), len(self._places["train"])
        partners = self._partners.draw(self._places["validation"], rng)
        others = rng.permutation(n)
        others = others[~np.isin(others, partners)]
        n_others = max(0, FEWEST_REFERENCES - len(np.unique(partners)))
        return np.unique(np.concatenate([partners, others[:n_others]]))

    def targets(self, examples):
        """Where the tracks stand among those of SharedListeners."""
        return self._places

    def constant(self, targets):
        """Any place, for every track."""
        return np.ones(1)

    def sampler(self, targets, settings):
        """Pairs of an excerpt and a partner."""
        n = self.n_an_epoch(len(targets), settings.batch_size)
        return PairSampler(self._partners, n, seed=settings.seed)

    def n_an_epoch(self, n_excerpts, batch_size):
        """Whole batches, as a short one would have little to compare; one where all are in it."""
        if n_excerpts <= batch_size:
            return n_excerpts + n_excerpts % 2
        return -(-n_excerpts // batch_size) * batch_size

    def validated(self, examples):
        """The validation excerpts, and after them the training excerpts they are compared with."""
        return tuple(
            np.concatenate([of_parts["validation"], of_parts["train"][self._references]])
            for of_parts in (examples.excerpts, self._places)
        )

    def of_heads(self, outputs, targets, n_heads):
        """The Loss of what the heads predict together: so they share one space."""
        return self(outputs.unflatten(0, (n_heads, -1)).mean(dim=0), targets)

    def __call__(self, outputs, targets):
        """outputs : (batch, n_factors) of any length; targets : (batch,) places."""
        directions = functional.normalize(outputs, dim=1)
        places = targets.numpy()
        shares, is_left_out = self._shares(places, places, directions.device)
        figure = self.compare(directions @ directions.T, shares, is_left_out).mean()
        return Loss(figure, figure * self._steepness)

    def figure(self, batches):
        """Share of tracks nearer than a partner, of the outputs for what `validated` gives."""
        outputs, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
        directions, places = functional.normalize(outputs, dim=1), targets.numpy()
        n, total = len(self._places["validation"]), 0.0
        for start in range(0, n, QUERIES_AT_A_TIME):
            queries = slice(start, min(start + QUERIES_AT_A_TIME, n))
            of_queries = self._shares(places[queries], places[n:], directions.device)
            total += nearer(directions[queries] @ directions[n:].T, *of_queries).sum().item()
        return total / n

    def _shares(self, places, others, device):
        """What the partners of each track (k,) have of their strength: (k, m) of others (m,).

        Returns shares, whose rows add up to 1, or to 0 where there is no partner, and which of the
        others are left out, both on the device.
        """
        shares = self._shared.strengths(places, others)
        is_same = places[:, None] == others
        shares[is_same] = 0
        total = shares.sum(axis=1, keepdims=True)
        shares = np.divide(shares, total, out=shares, where=total > 0)
        return torch.from_numpy(shares).to(device), torch.from_numpy(is_same).to(device)


def nearer(cosines, shares, is_left_out):
    """The share of all other keys that are nearer than a partner, for each query (k,).

    cosines, shares, is_left_out : (k, m), as of InfoNCE.compare; what is as near counts half
    """
    cosines = cosines.masked_fill(is_left_out, -torch.inf).contiguous()
    ascending = cosines.sort(dim=1).values
    lower, not_higher = (
        torch.searchsorted(ascending, cosines, side=side) for side in ("left", "right")
    )
    n_nearer = (cosines.shape[1] - not_higher) + (not_higher - lower - 1) / 2
    n_others = (~is_left_out).sum(dim=1) - 1
    return (shares * n_nearer).sum(dim=1) / n_others.clamp(min=1)


class InfoNCE(Contrast):
    """InfoNCE with all partners in the batch as positives, each by the share of its strength.

    A softmax of the cosines by a temperature should give these shares, which spares the luck of
    which partner was drawn. The figure is the Kullback-Leibler divergence from them: 0 at the best,
    and of one positive InfoNCE as it is (equation 4).
    """

    def __init__(self, shared, examples, *, seed=0, temperature):
        super().__init__(shared, examples, seed=seed)
        self._temperature = temperature
        # its gradient along an output is at most as steep as that of the cosine distance
        self._steepness = 2 * temperature

    def compare(self, cosines, shares, is_left_out):
        """Loss of each query (k,), of cosines with keys, and shares of these, (k, m)."""
        logits = (cosines / self._temperature).masked_fill(is_left_out, -torch.inf)
        predicted = torch.log_softmax(logits, dim=1).masked_fill(is_left_out, 0)
        return (torch.xlogy(shares, shares) - shares * predicted).sum(dim=1)


class DrLIM(Contrast):
    """The contrastive loss of [E], equation 4, of the distances d between vectors of unit norm.

    ½d² for what is alike, ½ max(0, margin − d)² for what is not. A track is as alike as its share
    is large beside the largest of the query's partners, and counts by that much less as one that is
    not; of each the mean for a query is taken.
    """

    _steepness = 2.0  # as of the cosine distance, which ½d² is

    def __init__(self, shared, examples, *, seed=0, margin):
        super().__init__(shared, examples, seed=seed)
        self._margin = margin

    def compare(self, cosines, shares, is_left_out):
        """Loss of each query (k,), as of InfoNCE."""
        half_squares = 1 - cosines
        # the root has no gradient where a track meets itself
        distances = (2 * half_squares).clamp(min=SMALLEST_SQUARE).sqrt()
        penalties = (self._margin - distances).clamp(min=0).square() / 2
        largest = shares.amax(dim=1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)
        others = (1 - shares / largest).masked_fill(is_left_out, 0)
        # there are none in a batch of one pair, or of partners alone
        n_others = others.sum(dim=1).clamp(min=SMALLEST_SQUARE)
        return (shares * half_squares).sum(dim=1) + (others * penalties).sum(dim=1) / n_others
