"""What the network learns from: which excerpts, where they should go, and who is kept apart."""

import hashlib
import json
from typing import NamedTuple

import numpy as np

from audiorec_cli.convnet.pairs import with_partners
from audiorec_cli.convnet.splitting import split_around, split_by_group


class Examples(NamedTuple):
    """Excerpts and what is known of them by part: "train", "validation", "test".

    excerpts : part → (k,) rows of the mels file; log_rows : part → (k,) rows of the log
    targets : part → (k, n_factors) float32, the factors; zero in the test part for tracks held out,
        and without columns where no factors are learned from
    track_ids : part → track_ids of the library
    digest : of all of it, to tell whether training can go on with the same
    """

    excerpts: dict[str, np.ndarray]
    log_rows: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    track_ids: dict[str, list[str]]
    digest: str


def make_examples(library, matches, groups, settings, *, is_test, factors=None, plays=None):
    """Split the tracks of a library that a log knows into examples.

    library : Mels; matches : Matches of n of its tracks with the log
    groups : n texts, what is kept together; settings : TrainingSettings
    is_test : (n_tracks,) bool, of the log's tracks
    What is learned from is one of these:
        factors : (n_tracks, n_factors) float32, of the log's tracks
        plays : (n_users, n_tracks) CSR, for a contrast of tracks that the same listeners play; who
            shares no listener with another track is in no part
    Where there are test tracks, these are the test part, and what shares a group with one of them
    is in no part. Raises ValueError for fewer groups than parts, and what with_partners raises.
    """
    rows, log_rows = matches.library_rows, matches.log_rows
    parts = _split(is_test[log_rows], groups, settings)
    if plays is not None:
        parts = _with_partners(parts, log_rows, plays)
    place = np.full(len(library.tracks), -1)
    place[rows] = np.arange(len(rows))
    places = place[library.excerpt_track]
    excerpts = {part: np.flatnonzero(np.isin(places, chosen)) for part, chosen in parts.items()}
    log_rows = {part: log_rows[places[chosen]] for part, chosen in excerpts.items()}
    if factors is None:
        factors = np.zeros((len(is_test), 0), dtype=np.float32)
    targets = {part: factors[chosen] for part, chosen in log_rows.items()}
    track_ids = {
        part: [library.tracks.track_id[row] for row in rows[chosen]]
        for part, chosen in parts.items()
    }
    known = targets
    if plays is not None:
        known = {part: _listeners(chosen, plays) for part, chosen in log_rows.items()}
    digest = _digest(library, rows, track_ids, known)
    return Examples(excerpts, log_rows, targets, track_ids, digest)


def _split(is_test, groups, settings):
    if is_test.any():
        return split_around(is_test, groups, validation=settings.validation, seed=settings.seed)
    return split_by_group(
        groups, validation=settings.validation, test=settings.test, seed=settings.seed
    )


def _with_partners(parts, log_rows, plays):
    pair = ("train", "validation")
    kept = with_partners(plays, *(log_rows[parts[part]] for part in pair))
    return parts | {part: parts[part][keep] for part, keep in zip(pair, kept, strict=True)}


def _listeners(log_rows, plays):
    """(2, n) int64: which of the tracks is played by which user, what a contrast learns from."""
    tracks, users = plays[:, log_rows].T.tocsr().sorted_indices().nonzero()
    return np.stack([tracks, users]).astype(np.int64)


def _digest(library, rows, track_ids, known):
    """known : part → array, what is learned of its tracks."""
    digest = hashlib.blake2b(digest_size=16)
    for part in sorted(track_ids):
        digest.update(json.dumps(track_ids[part]).encode())
        digest.update(np.ascontiguousarray(known[part]))
    for column in (library.tracks.size, library.tracks.mtime_ns):
        digest.update(np.ascontiguousarray(column[rows]))
    return digest.hexdigest()
