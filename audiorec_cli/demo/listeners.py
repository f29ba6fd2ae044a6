"""Simulated listeners: who plays what, and how often."""

import numpy as np

TASTE_CONCENTRATION = 0.1  # of the Dirichlet distribution over styles: most like one to three
EXPLORATION = 0.01  # share of the listening that ignores taste
POPULARITY_SPREAD = 0.6  # standard deviations of logarithms
ARTIST_LIKING_SPREAD = 0.7
PLAYS_SPREAD = 0.9
TRACKS_A_LISTENER = (10, 60)
LEAST_LISTENERS = 8  # of every track that has been released


def draw_tastes(n_listeners, n_styles, rng):
    """Each listener's liking of each style, (n_listeners, n_styles), rows adding up to 1."""
    tastes = rng.dirichlet(np.full(n_styles, TASTE_CONCENTRATION), n_listeners)
    return (1.0 - EXPLORATION) * tastes + EXPLORATION / n_styles


def draw_plays(tastes, *, styles, artists, rng):
    """Play counts with hits, favourites on repeat and a long tail.

    tastes : (n_listeners, n_styles); styles, artists : (n_tracks,) ints, the tracks' own.
    Returns (n_listeners, n_tracks) ints; every track has LEAST_LISTENERS, where there are
    so many.
    """
    popularity = rng.lognormal(0.0, POPULARITY_SPREAD, len(styles))
    plays = np.zeros((len(tastes), len(styles)), int)
    for listener, taste in enumerate(tastes):
        liking = rng.lognormal(0.0, ARTIST_LIKING_SPREAD, artists.max() + 1)[artists]
        chosen = _draw_library(taste, styles, popularity * liking, rng)
        keenness = 1.2 * np.sqrt(taste[styles[chosen]]) + 0.5 * np.log(popularity[chosen])
        plays[listener, chosen] = np.ceil(rng.lognormal(keenness, PLAYS_SPREAD))
    _find_first_listeners(plays, tastes[:, styles], rng)
    return plays


def _draw_library(taste, styles, appeal, rng):
    """The tracks that one listener plays, as indices; who likes more styles plays more."""
    breadth = 1.0 / np.sum(taste**2)
    n_tracks = breadth * len(styles) / len(taste) * rng.uniform(1.0, 1.3)
    n_tracks = min(round(np.clip(n_tracks, *TRACKS_A_LISTENER)), len(styles))
    chance = taste[styles] * appeal
    return rng.choice(len(styles), n_tracks, replace=False, p=chance / chance.sum())


def _find_first_listeners(plays, liking, rng):
    """Give tracks that too few have played some plays, in place, by who likes their style.

    liking : (n_listeners, n_tracks), positive.
    """
    wanted = min(LEAST_LISTENERS, len(plays))
    missing = wanted - np.count_nonzero(plays, axis=0)
    for track in np.flatnonzero(missing > 0):
        chance = liking[:, track] * (plays[:, track] == 0)
        found = rng.choice(len(plays), missing[track], replace=False, p=chance / chance.sum())
        plays[found, track] = rng.integers(1, 4, missing[track])
