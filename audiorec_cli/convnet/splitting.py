"""Which tracks train, validate and test: whole artists on one side, so that none is met twice."""

import numpy as np

PARTS = ("train", "validation", "test")


def split_by_group(groups, *, validation, test, seed):
    """Split tracks so that all of a group fall in the same part.

    groups : one hashable a track; validation, test : shares of the tracks, 0 to 1
    Returns {"train": rows, "validation": rows, "test": rows}, each (k,) int64 sorted; validation
    and test hold a group at least each. Raises ValueError for fewer than 3 groups.
    """
    names, members = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < len(PARTS):
        raise ValueError(f"{len(names)} groups cannot be split into {len(PARTS)} parts")
    sizes = np.bincount(members)
    order = np.random.default_rng(seed).permutation(len(names))
    part_of = np.zeros(len(names), dtype=int)
    wanted = {1: validation * len(members), 2: test * len(members)}
    for part, n_tracks in wanted.items():
        free = [group for group in order if part_of[group] == 0]
        taken = 0
        # a last group is left for each part that comes after
        for group in free[: len(free) - (len(PARTS) - part)]:
            if taken and taken + sizes[group] / 2 > n_tracks:
                break
            part_of[group] = part
            taken += sizes[group]
    return {name: np.flatnonzero(part_of[members] == i) for i, name in enumerate(PARTS)}


def groups_of(artists, track_ids, fallback_artists):
    """The artist of each track, from its tags or else from the log, in lower case; else the track.

    Where fewer than 3 artists are known every track is a group of its own.
    """
    known = [
        (tag or logged).casefold() for tag, logged in zip(artists, fallback_artists, strict=True)
    ]
    groups = [
        artist or f"track\n{track_id}" for artist, track_id in zip(known, track_ids, strict=True)
    ]
    return groups if len(set(groups)) >= len(PARTS) else list(track_ids)
