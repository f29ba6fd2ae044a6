"""Which tracks train, validate and test: whole artists on one side, so that none is met twice."""

import numpy as np

PARTS = ("train", "validation", "test")


def split_by_group(groups, *, validation, test, seed):
    """Split tracks so that all of a group fall in the same part.

    groups : one text a track; validation, test : shares of the tracks, 0 to 1
    Returns {"train": rows, "validation": rows, "test": rows}, each (k,) int64 sorted, none empty. A
    group too large for a small part is left to train on. Raises ValueError for fewer than 3 groups.
    """
    return _split(np.asarray(groups, dtype=str), (0, validation, test), seed)


def split_around(is_test, groups, *, validation, seed):
    """Split tracks some of which are to be tested: those, and the rest by group.

    is_test : (n,) bool; groups : as in split_by_group; validation : share of the rest
    Tracks that share a group with a test track are in no part. Returns what split_by_group does.
    Raises ValueError where fewer than 2 groups are left.
    """
    groups = np.asarray(groups, dtype=str)
    rest = np.flatnonzero(~np.isin(groups, groups[is_test]))
    split = _split(groups[rest], (0, validation), seed)
    parts = {part: rest[rows] for part, rows in split.items()}
    return {**parts, "test": np.flatnonzero(is_test)}


def _split(groups, shares, seed):
    """Split by group into as many of PARTS as there are shares; the first part gets the rest."""
    names, members = np.unique(groups, return_inverse=True)
    if len(names) < len(shares):
        raise ValueError(f"{len(names)} groups cannot be split into {len(shares)} parts")
    sizes = np.bincount(members)
    order = np.random.default_rng(seed).permutation(len(names))
    part_of = np.zeros(len(names), dtype=int)
    for part, share in enumerate(shares[1:], start=1):
        free = order[part_of[order] == 0]
        # a group is left for each part that comes after
        chosen = _fill(free, sizes, share * len(members))[: len(free) - (len(shares) - part)]
        part_of[chosen] = part
    return {PARTS[i]: np.flatnonzero(part_of[members] == i) for i in range(len(shares))}


def folds_by_group(groups, n_folds, *, seed):
    """Deal tracks into folds of about equal size so that all of a group fall in the same one.

    groups : one text a track
    Returns n_folds arrays of rows, each (k,) int64 sorted. Raises ValueError for fewer groups.
    """
    names, members = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < n_folds:
        raise ValueError(f"{len(names)} groups cannot be dealt into {n_folds} folds")
    sizes = np.bincount(members)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    fold_of, filled = np.empty(len(names), dtype=int), np.zeros(n_folds)
    # the largest first, each to the emptiest fold
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    return [np.flatnonzero(fold_of[members] == fold) for fold in range(n_folds)]


def draw_groups(groups, *, share, seed):
    """Whole groups at random that together are about a share of the tracks, one group at least.

    groups : one text a track; share : of the tracks, 0 to 1
    Returns (n,) bool.
    """
    names, members = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return np.isin(members, _fill(order, np.bincount(members), share * len(members)))


def _fill(groups, sizes, wanted):
    """Groups, as they come, that together are nearest to `wanted` tracks; the smallest at least."""
    chosen, taken = [], 0
    for group in groups:
        if taken + sizes[group] / 2 <= wanted:
            chosen.append(group)
            taken += sizes[group]
    return chosen or [min(groups, key=lambda group: sizes[group])]


def groups_of(artists, track_ids):
    """What is kept together: the artist, or the track itself where the artist is "".

    Where fewer than 3 groups come of it every track is a group of its own.
    """
    pairs = zip(artists, track_ids, strict=True)
    groups = [artist or f"track\n{track_id}" for artist, track_id in pairs]
    return groups if len(set(groups)) >= len(PARTS) else list(track_ids)
