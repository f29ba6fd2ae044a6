"""The tracks of a mels file that a network has not seen."""

import numpy as np

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError


def unseen_excerpts(library, split, *, remedy="name another with --mels"):
    """Rows of the excerpts of every track that neither training nor validation saw.

    library : Mels; split : of the Checkpoint
    Returns (n,) int64 in ascending order. Raises AudiorecError where there is no such track.
    """
    seen = {*split["train"], *split["validation"]}
    is_test = np.array([track_id not in seen for track_id in library.tracks.track_id], dtype=bool)
    excerpts = np.flatnonzero(is_test[library.excerpt_track])
    if not len(excerpts):
        raise AudiorecError(f"the network was trained on every track of this mels file: {remedy}")
    console.note(f"{is_test.sum()} test tracks of {len(library.tracks)}; training saw the others")
    return excerpts
