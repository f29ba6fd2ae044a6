"""Thumbs up and down of tracks at seeds: which to learn from, and how many are in order."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from audiorec_cli.convnet.splitting import draw_groups

STATION = -1  # in the place of a seed's track


@dataclass(frozen=True)
class Thumbs:
    """n thumbs up or down of tracks at seeds, of a track at a seed one at most.

    seed : (n,) int64, number of the seed, in ascending order
    track : (n,) int64, row of the track; is_up : (n,) bool
    seed_track : (n_seeds,) int64, row of the track that a seed is, or STATION: a station lies where
        the tracks are, on average, that were thumbed up there
    """

    seed: np.ndarray
    track: np.ndarray
    is_up: np.ndarray
    seed_track: np.ndarray

    def __len__(self):
        return len(self.seed)

    def take(self, chosen):
        """These thumbs only; chosen : (n,) bool, or a slice."""
        return replace(
            self, seed=self.seed[chosen], track=self.track[chosen], is_up=self.is_up[chosen]
        )

    @property
    def tracks(self):
        """(k,) rows of all tracks that have a thumb or are a seed of one, in ascending order."""
        of_seeds = self.seed_track[np.unique(self.seed)]
        return np.union1d(self.track, of_seeds[of_seeds != STATION])

    @property
    def n_up(self):
        """(n_seeds,) thumbs up at each seed."""
        return np.bincount(self.seed[self.is_up], minlength=len(self.seed_track))

    @property
    def n_down(self):
        """(n_seeds,) thumbs down at each seed."""
        return np.bincount(self.seed[~self.is_up], minlength=len(self.seed_track))

    @property
    def n_pairs(self):
        """How many pairs of a thumb up and one down of the same seed there are."""
        return int((self.n_up * self.n_down).sum())


class Division(NamedTuple):
    """Thumbs to learn from, to tell by what was learned, and of test tracks.

    Of those in train that make no pair only where their station lies is learned.
    """

    train: Thumbs
    held_out: Thumbs
    test: Thumbs

    @property
    def taught(self):
        """Those in train whose seed has a pair to learn from."""
        return self.train.take(np.isin(self.train.seed, teaching_seeds(self.train)))


def thumbs_by_majority(seed, track, is_up, seed_track):
    """Thumbs of any number of them at a seed for the same track: what most of them say.

    seed, track, is_up, seed_track : as in Thumbs, in any order
    As many up as down say nothing, nor does a thumb for the seed itself.
    """
    (seeds, tracks), place = np.unique(np.stack([seed, track]), axis=1, return_inverse=True)
    balance = np.bincount(place.ravel(), np.where(is_up, 1, -1), minlength=len(seeds))
    kept = (balance != 0) & (tracks != seed_track[seeds])
    return Thumbs(seeds[kept], tracks[kept], balance[kept] > 0, seed_track)


def divide(thumbs, groups, split, *, share, seed):
    """Divide Thumbs by their tracks, so that what is kept together is on one side: a Division.

    groups : a text for each track of the library, what is kept together
    split : part → rows of tracks that the network was trained, validated and tested on
    share : of the tracks with a thumb that are held out, whole groups
    Held out are tracks that the network was not trained on, if some of them are in pairs: how well
    it orders what it has learned by heart tells little. Where no pair would be left to learn from
    nothing is held out. Thumbs of the group of a test track, or at a seed of one, are learned from
    nowhere; of a group that training did not keep apart each track is its own.
    """
    groups = _numbered_apart(groups, split)
    is_test = np.isin(np.arange(len(groups)), split["test"])
    apart = np.isin(groups, groups[is_test])
    rest = thumbs.take(~apart[thumbs.track] & ~_at(thumbs, apart))
    every = np.unique(rest.track)
    learned, held_out = rest, rest.take(slice(0))
    for candidates in (np.setdiff1d(every, split["train"]), every):
        if len(candidates):
            drawn = draw_groups(groups[candidates], share=share, seed=seed)
            parts = _hold_out(rest, candidates, np.isin(groups, groups[candidates[drawn]]))
            if len(parts[1]) and len(teaching_seeds(parts[0])):
                learned, held_out = parts
                break
    return Division(learned, held_out, _scored(thumbs.take(is_test[thumbs.track]), learned))


def _numbered_apart(groups, split):
    """A number for each track: its group's, or its own where training and tests share the group."""
    numbers = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1].ravel()
    is_mixed = np.isin(numbers, np.intersect1d(numbers[split["train"]], numbers[split["test"]]))
    return np.where(is_mixed, len(numbers) + np.arange(len(numbers)), numbers)


def _hold_out(thumbs, candidates, is_held):
    """Thumbs to learn from and those held out, of candidates (k,) of the tracks that are held."""
    learned = thumbs.take(~is_held[thumbs.track] & ~_at(thumbs, is_held))
    held_out = thumbs.take(is_held[thumbs.track] & np.isin(thumbs.track, candidates))
    return learned, _scored(held_out, learned)


def _at(thumbs, is_such):
    """(n,) bool: whether the seed of each of Thumbs is a track that `is_such`, (n_tracks,) bool."""
    seeds = thumbs.seed_track[thumbs.seed]
    return (seeds != STATION) & is_such[seeds]


def _scored(thumbs, learned):
    """Those of Thumbs whose seed has a place, and both an up and a down to be in order."""
    has_place = (thumbs.seed_track != STATION) | (learned.n_up > 0)
    return thumbs.take((has_place & (thumbs.n_up > 0) & (thumbs.n_down > 0))[thumbs.seed])


def teaching_seeds(thumbs):
    """Numbers of the seeds of Thumbs that have a pair to learn from, (k,) in ascending order.

    The track of the pair that is up is no part of its station's place, so that takes two of them.
    """
    needed = np.where(thumbs.seed_track == STATION, 2, 1)
    return np.flatnonzero((thumbs.n_up >= needed) & (thumbs.n_down > 0))


def pairs_of(thumbs):
    """Every thumb up beside every thumb down of the same seed: their rows, (n_pairs,) each."""
    ups, downs = np.flatnonzero(thumbs.is_up), np.flatnonzero(~thumbs.is_up)
    first = np.searchsorted(thumbs.seed[downs], thumbs.seed[ups], side="left")
    n_downs = np.searchsorted(thumbs.seed[downs], thumbs.seed[ups], side="right") - first
    begins = np.cumsum(n_downs) - n_downs
    within = np.arange(n_downs.sum()) - np.repeat(begins, n_downs)
    return np.repeat(ups, n_downs), downs[np.repeat(first, n_downs) + within]


def share_in_order(thumbs, scores):
    """The share of pairs whose thumb up has the higher score, mean over the seeds with a pair.

    scores : (n,) of Thumbs. Equal scores count half. Returns nan where there is no pair.
    """
    bounds = np.searchsorted(thumbs.seed, np.arange(len(thumbs.seed_track) + 1))
    shares = []
    for seed in np.flatnonzero((thumbs.n_up > 0) & (thumbs.n_down > 0)):
        rows = slice(bounds[seed], bounds[seed + 1])
        ups = scores[rows][thumbs.is_up[rows]]
        downs = np.sort(scores[rows][~thumbs.is_up[rows]])
        below = np.searchsorted(downs, ups, "left") + np.searchsorted(downs, ups, "right")
        shares.append(below.mean() / (2 * len(downs)))
    return float(np.mean(shares)) if shares else float("nan")
