"""Tuning a trained network by thumbs: what was liked at a seed comes nearer to it than the rest.

The margin of a pair is by how much the track with the thumb up is nearer to the seed, by the cosine
of what is predicted. Its loss is a sigmoid, which is symmetric: the losses of a pair and of the
same pair flipped add up to 1 whatever the margin, so that flips at random leave the best ranking
the best (Charoenphakdee, Lee, Sugiyama, "On symmetric losses for learning from corrupted labels",
ICML 2019). The dense layers learn; convolutions, and running means and variances, stay as they are.
"""

import itertools
import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from audiorec_cli.convnet.loading import Excerpts, Loader, closing_loaders
from audiorec_cli.convnet.thumbs import (
    STATION,
    Division,
    pairs_of,
    share_in_order,
    teaching_seeds,
)
from audiorec_cli.convnet.training import CACHE_BYTES
from audiorec_cli.errors import AudiorecError

PREDICTING = -1  # the epoch in which every excerpt comes once, as it lies


def loss_of(margins):
    """The loss of pairs with these margins (n,), which are in order where they are positive."""
    return torch.sigmoid(-margins)


class Tuned(NamedTuple):
    """What tuning gave.

    weights : of the network, name → float32 array
    before, after : the share of pairs in order in each part of a Division, nan where it has none
    moved : 1 − cos from what was predicted before to what is now, mean over the tracks with a thumb
    """

    weights: dict[str, np.ndarray]
    before: Division
    after: Division
    moved: float


def tune(network, open_reader, excerpt_track, division, settings, *, on_batch):
    """Tune a network, in place, by the Thumbs of a Division.

    network : on its device; open_reader : as in Excerpts; settings : TuningSettings
    excerpt_track : (n_excerpts,) row of each excerpt's track, for the whole mels file
    on_batch : called after each batch with the number of its excerpts and its share of pairs out of
        order, softened by the sigmoid; None where there are no pairs or the network only predicts
    Returns Tuned. Raises AudiorecError when the loss is not finite.
    """
    torch.manual_seed(settings.seed)
    tracks = np.unique(np.concatenate([thumbs.tracks for thumbs in division]))
    rows = np.flatnonzero(np.isin(excerpt_track, tracks))
    division = _numbered_anew(division, tracks)
    sampler = SeedSampler(division.train, np.searchsorted(tracks, excerpt_track[rows]), settings)
    loader = Loader(
        Excerpts(open_reader, rows, cache_bytes=CACHE_BYTES),
        batch_size=sampler.batch_size,
        sampler=sampler,
        pin_memory=network.output.weight.device.type == "cuda",
    )
    tuner = Tuner(network, division, sampler.track_of, settings)
    with closing_loaders(loader):
        start = tuner.predict(loader, on_batch)
        before = tuner.shares_in_order()
        for epoch in range(settings.epochs):
            tuner.run_epoch(loader, epoch, on_batch)
        end = tuner.predict(loader, on_batch)
    moved = 1 - (start * end).sum(dim=1).mean().item()
    weights = {name: t.detach().cpu().numpy() for name, t in network.state_dict().items()}
    return Tuned(weights, before, tuner.shares_in_order(), moved)


def n_seen(division, excerpt_track, settings):
    """How many excerpts `tune` looks at until its end."""
    tracks = np.unique(np.concatenate([thumbs.tracks for thumbs in division]))
    n_excerpts = np.count_nonzero(np.isin(excerpt_track, tracks))
    sampler = SeedSampler(division.train, excerpt_track, settings)
    return 2 * n_excerpts + settings.epochs * sampler.n_updates * sampler.batch_size


def _numbered_anew(division, tracks):
    """The Division with numbers of `tracks`, (k,) in ascending order, for rows of the library."""

    def anew(thumbs):
        is_known = np.isin(thumbs.seed_track, tracks)
        seed_track = np.where(is_known, np.searchsorted(tracks, thumbs.seed_track), STATION)
        return replace(thumbs, track=np.searchsorted(tracks, thumbs.track), seed_track=seed_track)

    return Division(*map(anew, division))


class SeedSampler:
    """Which excerpts come when: batches of what has thumbs at some seeds, up and down.

    thumbs : Thumbs to learn from; track_of : (n_excerpts,) number of each excerpt's track
    settings : TuningSettings
    batch_size : tracks in a batch, each once; n_updates : batches in an epoch, which together have
        about as many tracks as there are to learn from
    Set `epoch` before each pass; it is PREDICTING, or a number from 0.
    """

    def __init__(self, thumbs, track_of, settings):
        self.epoch, self.track_of, self._seed = PREDICTING, track_of, settings.seed
        self._seeds = teaching_seeds(thumbs)
        self._thumbs = thumbs.take(np.isin(thumbs.seed, self._seeds))
        self._bounds = np.searchsorted(self._thumbs.seed, np.arange(len(thumbs.seed_track) + 1))
        self._tracks = np.unique(self._thumbs.track)
        self.batch_size = min(settings.batch_size, len(self._tracks))
        self.n_updates = math.ceil(len(self._tracks) / self.batch_size)
        self._excerpts = np.argsort(track_of, kind="stable")
        self._sorted_tracks = track_of[self._excerpts]

    def __len__(self):
        return len(self.track_of)

    def __iter__(self):
        """Yield (epoch, excerpt), the keys of Excerpts."""
        if self.epoch == PREDICTING:
            yield from ((PREDICTING, excerpt) for excerpt in range(len(self.track_of)))
            return
        rng = np.random.default_rng((self._seed, self.epoch))
        seeds = itertools.cycle(rng.permutation(self._seeds))
        for _ in range(self.n_updates):
            for track in self._batch(seeds, rng):
                first, last = np.searchsorted(self._sorted_tracks, (track, track + 1))
                yield self.epoch, int(self._excerpts[rng.integers(first, last)])

    def _batch(self, seeds, rng):
        """Tracks for an update: of one seed after the other, then any, until there are enough."""
        chosen = {}
        for seed in itertools.islice(seeds, len(self._seeds)):
            chosen |= dict.fromkeys(self._some_of(seed, rng))
            if len(chosen) >= self.batch_size:
                break
        else:
            chosen |= dict.fromkeys(rng.permutation(self._tracks).tolist())
        return list(chosen)[: self.batch_size]

    def _some_of(self, seed, rng):
        """Tracks with thumbs at a seed, up and down in turn, half a batch of each at most."""
        thumbs = self._thumbs.take(slice(*self._bounds[seed : seed + 2]))
        ups, downs = (
            rng.permutation(thumbs.track[which])[: -(-self.batch_size // 2)].tolist()
            for which in (thumbs.is_up, ~thumbs.is_up)
        )
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(ups, downs))
        return [track for track in in_turn if track is not None]


class Tuner:
    """Tunes a network epoch by epoch. What it predicts first is what it stays near.

    network : on its device; division : Division; track_of : (n_excerpts,) number of each excerpt's
        track, of those of the division's; settings : TuningSettings
    """

    def __init__(self, network, division, track_of, settings):
        self.network, self.division, self.settings = network, division, settings
        self._device = network.output.weight.device
        self._track_of, self._tracks = track_of, torch.from_numpy(track_of).to(self._device)
        self._taught = division.taught
        # as if the loss were the sum over thumbs, and a track's prediction so many more
        thumbs_a_track = len(self._taught) / len(np.unique(self._taught.track))
        self._nearness = settings.nearness / thumbs_a_track
        for module in (network.convs, network.conv_norms):
            module.requires_grad_(False)
        learning = [weight for weight in network.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.Adam(learning)
        self._start, self._outputs = None, None

    @torch.no_grad()
    def predict(self, loader, on_batch):
        """Predict every excerpt. Returns (n_tracks, n_factors) of unit norm."""
        self.network.eval()
        outputs = []
        for mels, _ in loader.epoch(PREDICTING):
            outputs.append(self._outputs_of(mels))
            on_batch(len(mels), None)
        self._outputs = torch.cat(outputs)
        self._require_finite(self._outputs)
        if self._start is None:
            self._start = self._outputs.clone()
        return self._predicted()

    def run_epoch(self, loader, epoch, on_batch):
        """Learn from the batches of an epoch; on_batch : as in tune."""
        self.network.eval()
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self.settings.learning_rate_at(epoch)
        predicted = self._predicted()
        places = self._places(predicted)
        for mels, excerpts in loader.epoch(epoch):
            outputs, excerpts = self._outputs_of(mels), excerpts.to(self._device)
            loss = self._loss(self._directions(outputs), excerpts, predicted, places)
            if loss is not None:
                self._step(loss + self._nearness * self._distance(outputs, self._start[excerpts]))
            self._outputs[excerpts] = outputs.detach()
            on_batch(len(mels), None if loss is None else loss.item())

    def shares_in_order(self):
        """The share of pairs in order in each part of the Division, by the last predictions."""
        predicted = self._predicted()
        places = self._places(predicted)

        def share(thumbs, is_in_place):
            seeds = self._judged(thumbs, predicted, places, is_in_place)
            scores = (seeds * predicted[thumbs.track]).sum(dim=1)
            return share_in_order(thumbs, scores.cpu().numpy())

        _, held_out, test = self.division
        taught = share(self._taught, self._taught.is_up)
        return Division(taught, *(share(thumbs, False) for thumbs in (held_out, test)))

    def _outputs_of(self, mels):
        return self.network(mels.to(self._device, non_blocking=True))

    def _directions(self, outputs):
        """(n, n_factors) of unit norm, of the outputs of the network."""
        return functional.normalize(outputs[:, : self.network.settings.n_factors], dim=1)

    def _predicted(self):
        """(n_tracks, n_factors) of unit norm, over the excerpts as they were last predicted."""
        factors = self._outputs[:, : self.network.settings.n_factors]
        totals = factors.new_zeros(self._track_of.max() + 1, factors.shape[1])
        return functional.normalize(totals.index_add(0, self._tracks, factors), dim=1)

    def _places(self, predicted):
        """Where the seeds lie, (n_seeds, n_factors), not of unit norm."""
        thumbs = self.division.train
        seed, track, seed_track = (
            torch.from_numpy(rows).to(self._device)
            for rows in (thumbs.seed[thumbs.is_up], thumbs.track[thumbs.is_up], thumbs.seed_track)
        )
        sums = predicted.new_zeros(len(seed_track), predicted.shape[1])
        sums = sums.index_add(0, seed, predicted[track])
        return torch.where((seed_track == STATION)[:, None], sums, predicted[seed_track])

    def _loss(self, directions, excerpts, predicted, places):
        """The mean over thumbs of the loss of the pairs that are in a batch; None for no pairs.

        directions : (batch, n_factors) of its excerpts; predicted, places : as before the epoch
        """
        slot = np.full(len(predicted), -1)
        slot[self._track_of[excerpts.cpu().numpy()]] = np.arange(len(excerpts))
        thumbs = self._taught.take(slot[self._taught.track] >= 0)
        ups, downs = pairs_of(thumbs)
        if not len(ups):
            return None
        rows, row_of_pair = np.unique(ups, return_inverse=True)
        scores = self._judged(thumbs.take(rows), predicted, places, True) @ directions.T
        margins = (
            scores[row_of_pair, slot[thumbs.track[ups]]]
            - scores[row_of_pair, slot[thumbs.track[downs]]]
        )
        # a pair among many of a seed counts less: a seed counts by its thumbs
        weight = (thumbs.n_up + thumbs.n_down) / np.maximum(thumbs.n_up * thumbs.n_down, 1)
        weight = torch.from_numpy(weight[thumbs.seed[ups]].astype(np.float32)).to(self._device)
        return (weight * loss_of(margins / self.settings.temperature)).sum() / weight.sum()

    def _judged(self, thumbs, predicted, places, is_in_place):
        """Where the seeds of Thumbs lie when these are judged: (n, n_factors) of unit norm.

        is_in_place : (n,) bool, or one for all: whether the track is one of those that make up its
            station's place, of which it is taken out
        """
        is_out = is_in_place & (thumbs.seed_track[thumbs.seed] == STATION)
        is_out = torch.from_numpy(is_out).to(self._device)
        own = is_out[:, None] * predicted[thumbs.track]
        return functional.normalize(places[thumbs.seed] - own, dim=1)

    def _distance(self, outputs, start):
        """How far outputs (batch, …) are from those before: 1 − cos, and of log variances."""
        distance = 1 - (self._directions(outputs) * self._directions(start)).sum(dim=1).mean()
        rest = slice(self.network.settings.n_factors, None)
        if outputs[:, rest].numel():
            distance = distance + functional.mse_loss(outputs[:, rest], start[:, rest])
        return distance

    def _step(self, loss):
        self._require_finite(loss)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def _require_finite(self, values):
        if not torch.isfinite(values).all():
            raise AudiorecError(
                "what is predicted is no longer a number: tune with a learning rate below "
                f"{self.settings.learning_rate:g} by --lr"
            )
