"""What the network learns from: which excerpts, where they should go, and who is kept apart."""

import hashlib
import json
from typing import NamedTuple

import numpy as np

from audiorec_cli.convnet.splitting import split_by_group


class Examples(NamedTuple):
    """Excerpts and their targets by part: "train", "validation", "test".

    excerpts : part → (k,) rows of the mels file; targets : part → (k, n_factors) float32
    track_ids : part → track_ids of the library
    digest : of all of it, to tell whether training can go on with the same
    """

    excerpts: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    track_ids: dict[str, list[str]]
    digest: str


def make_examples(library, rows, factors, groups, settings):
    """Split the tracks of a library whose factors are known into examples.

    library : Mels; rows : (n,) the tracks with factors; factors : (n, n_factors) float32
    groups : one text for each of `rows`, what is kept together; settings : TrainingSettings
    Raises ValueError for fewer than 3 groups.
    """
    parts = split_by_group(
        groups, validation=settings.validation, test=settings.test, seed=settings.seed
    )
    place = np.full(len(library.tracks), -1)
    place[rows] = np.arange(len(rows))
    places = place[library.excerpt_track]
    excerpts = {part: np.flatnonzero(np.isin(places, chosen)) for part, chosen in parts.items()}
    targets = {part: factors[places[chosen]] for part, chosen in excerpts.items()}
    track_ids = {
        part: [library.tracks.track_id[row] for row in rows[chosen]]
        for part, chosen in parts.items()
    }
    return Examples(excerpts, targets, track_ids, _digest(library, rows, track_ids, targets))


def _digest(library, rows, track_ids, targets):
    digest = hashlib.blake2b(digest_size=16)
    for part in sorted(targets):
        digest.update(json.dumps(track_ids[part]).encode())
        digest.update(np.ascontiguousarray(targets[part]))
    for column in (library.tracks.size, library.tracks.mtime_ns):
        digest.update(np.ascontiguousarray(column[rows]))
    return digest.hexdigest()
