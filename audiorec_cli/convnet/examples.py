"""What the network learns from: which excerpts, where they should go, and who is kept apart."""

import hashlib
import json
from typing import NamedTuple

import numpy as np

from audiorec_cli.convnet.splitting import split_around, split_by_group


class Examples(NamedTuple):
    """Excerpts and what is known of them by part: "train", "validation", "test".

    excerpts : part → (k,) rows of the mels file; log_rows : part → (k,) rows of the factors file
    targets : part → (k, n_factors) float32, the factors; zero in the test part for tracks held out
    track_ids : part → track_ids of the library
    digest : of all of it, to tell whether training can go on with the same
    """

    excerpts: dict[str, np.ndarray]
    log_rows: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    track_ids: dict[str, list[str]]
    digest: str


def make_examples(library, matches, factors, groups, settings):
    """Split the tracks of a library whose factors are known into examples.

    library : Mels; matches : Matches of n of its tracks with the log of factors, which are Factors
    groups : n texts, what is kept together; settings : TrainingSettings
    Where the factors mark test tracks, these are the test part, and what shares a group with one of
    them is in no part. Raises ValueError for fewer groups than parts.
    """
    rows, log_rows = matches.library_rows, matches.log_rows
    parts = _split(factors.is_test[log_rows], groups, settings)
    place = np.full(len(library.tracks), -1)
    place[rows] = np.arange(len(rows))
    places = place[library.excerpt_track]
    excerpts = {part: np.flatnonzero(np.isin(places, chosen)) for part, chosen in parts.items()}
    log_rows = {part: log_rows[places[chosen]] for part, chosen in excerpts.items()}
    targets = {part: factors.track_factors[chosen] for part, chosen in log_rows.items()}
    track_ids = {
        part: [library.tracks.track_id[row] for row in rows[chosen]]
        for part, chosen in parts.items()
    }
    digest = _digest(library, rows, track_ids, targets)
    return Examples(excerpts, log_rows, targets, track_ids, digest)


def _split(is_test, groups, settings):
    if is_test.any():
        return split_around(is_test, groups, validation=settings.validation, seed=settings.seed)
    return split_by_group(
        groups, validation=settings.validation, test=settings.test, seed=settings.seed
    )


def _digest(library, rows, track_ids, targets):
    digest = hashlib.blake2b(digest_size=16)
    for part in sorted(targets):
        digest.update(json.dumps(track_ids[part]).encode())
        digest.update(np.ascontiguousarray(targets[part]))
    for column in (library.tracks.size, library.tracks.mtime_ns):
        digest.update(np.ascontiguousarray(column[rows]))
    return digest.hexdigest()
