"""A library in the listeners' space: where sound and listening put its tracks, taken together."""

import contextlib
from typing import NamedTuple

import numpy as np

from audiorec_cli import console
from audiorec_cli.commands.blending import chosen_trust
from audiorec_cli.commands.joining import Listened, listened, require_same_factors
from audiorec_cli.commands.own_space import factors_in_space_of, in_own_space
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import found
from audiorec_cli.records import Factors, Predictions

FEWEST_UNMET = 3  # tracks that tell how sure sound is


class Taste(NamedTuple):
    """A library and the listeners of a log in one space.

    known : Listened; coordinates : (n, n_factors) of its tracks, unit norm; trust : in sound, by
    which they were blended; sure : (n,), what a cosine with each is worth
    """

    predicted: Predictions
    factors: Factors
    known: Listened
    coordinates: np.ndarray
    trust: float
    sure: np.ndarray


def taste_of(path, predicted, factors_path, checkpoint, *, trust):
    """The Taste of the Predictions in a file at `path` and of a factors file.

    checkpoint : path of the one whose validation tracks tell how much to trust listening where
        `trust`, as in retrieval.recommendation.blended, is None; itself None to look for it
    """
    from audiorec_cli import files
    from audiorec_cli.retrieval.recommendation import blended, sureness

    if checkpoint is not None and trust is not None:
        raise AudiorecError("--checkpoint goes with --blend: add it, or leave both out")
    factors = files.load_factors(factors_path)
    if in_own_space(predicted):
        if trust != 0:
            raise AudiorecError(
                f"{path} lies in a space of its own, where listening puts no track: leave out "
                "--blend and --blend-at"
            )
        known = listened(predicted.tracks, factors)
        log_rows = np.where(known.is_new, -1, known.log_rows)
        factors = factors_in_space_of(predicted.predicted_factors, log_rows, factors)
    else:
        require_same_factors(path, predicted, factors, factors_path)
    if trust is None:
        trust = chosen_trust(predicted, factors, _validation_tracks(path, predicted, checkpoint))
        console.note(f"blend: C is {trust:g}: with more listeners than that listening weighs more")
    known = listened(predicted.tracks, factors)
    where = blended(known.factors, predicted.predicted_factors, known.listeners, trust)
    of_sound = 1.0 if in_own_space(predicted) else _sureness_of_sound(predicted, known, checkpoint)
    sure = sureness(known.listeners, trust, of_sound)
    return Taste(predicted, factors, known, where, trust, sure)


def _sureness_of_sound(predicted, known, checkpoint):
    """The mean cosine of predictions with listening, of tracks that the network has not met."""
    from audiorec_cli import files

    path, met = checkpoint or str(predicted.params.get("checkpoint")), None
    with contextlib.suppress(AudiorecError, OSError):
        trained = files.load_checkpoint(path)
        if trained.fingerprint == predicted.fingerprint:
            met = set(trained.split["train"])
    if known.is_new.all() or not known.is_new.any():
        return 1.0  # all are placed alike
    unmet = ~known.is_new
    if met is not None:
        unmet &= np.array([name not in met for name in predicted.tracks.track_id])
    if met is None or np.count_nonzero(unmet) < FEWEST_UNMET:
        console.note(
            "how sure sound is is not known, without the checkpoint and tracks that it was not "
            "trained on: tracks placed by sound come first too often"
        )
        return 1.0
    cosines = np.sum(predicted.predicted_factors[unmet] * known.factors[unmet], axis=1)
    return float(np.clip(cosines.mean(), 0, 1))


def _validation_tracks(path, predicted, checkpoint):
    """The track_ids that the network was validated on, from the checkpoint that predicted."""
    from audiorec_cli import files

    trained = files.load_checkpoint(checkpoint or found("checkpoint", None))
    if trained.fingerprint != predicted.fingerprint:
        raise AudiorecError(
            f"{path} was not made from this checkpoint: name the one that it was made from with "
            "--checkpoint, or predict anew"
        )
    return trained.split["validation"]
