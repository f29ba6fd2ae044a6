"""Which tracks train, validate and test: whole artists on one side, so that none is met twice."""

import numpy as np

PARTS = ("train", "validation", "test")


def split_by_group(groups, *, validation, test, seed):
    """Split tracks so that all of a group fall in the same part.

    groups : one text a track; validation, test : size of the part, as in `number_of`
    Returns {"train": rows, "validation": rows, "test": rows}, each (k,) int64 sorted, none empty. A
    group too large for a small part is left to train on. Raises ValueError for fewer than 3 groups.
    """
    return _split(np.asarray(groups, dtype=str), (validation, test), seed)


def split_around(is_test, groups, *, validation, seed):
    """Split tracks some of which are to be tested: those, and the rest by group.

    is_test : (n,) bool; groups : as in split_by_group; validation : size, of the rest
    Tracks that share a group with a test track are in no part. Returns what split_by_group does.
    Raises ValueError where fewer than 2 groups are left.
    """
    groups = np.asarray(groups, dtype=str)
    rest = np.flatnonzero(~np.isin(groups, groups[is_test]))
    split = _split(groups[rest], (validation,), seed)
    parts = {part: rest[rows] for part, rows in split.items()}
    return {**parts, "test": np.flatnonzero(is_test)}


def number_of(size, n):
    """Tracks in a part of n: below 1 the size is a share of them, from 1 on their number."""
    return size if size >= 1 else size * n


def _split(groups, part_sizes, seed):
    """Split by group into as many of PARTS[1:] as there are sizes; PARTS[0] gets the rest."""
    names, members = np.unique(groups, return_inverse=True)
    n_parts = 1 + len(part_sizes)
    if len(names) < n_parts:
        raise ValueError(f"{len(names)} groups cannot be split into {n_parts} parts")
    sizes = np.bincount(members)
    order = np.random.default_rng(seed).permutation(len(names))
    part_of = np.zeros(len(names), dtype=int)
    for part, size in enumerate(part_sizes, start=1):
        free = order[part_of[order] == 0]
        # a group is left for each part that comes after, and to train on
        filled = _fill(free, sizes, number_of(size, len(members)))
        part_of[filled[: len(free) - (n_parts - part)]] = part
    return {PARTS[i]: np.flatnonzero(part_of[members] == i) for i in range(n_parts)}


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
