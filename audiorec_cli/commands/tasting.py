"""A library in the listeners' space: where sound and listening put its tracks, taken together."""

from typing import NamedTuple

import numpy as np

from audiorec_cli import console
from audiorec_cli.commands.blending import chosen_trust
from audiorec_cli.commands.joining import Listened, listened, require_same_factors
from audiorec_cli.commands.own_space import factors_in_space_of, in_own_space
from audiorec_cli.commands.predicted import found_checkpoint, named_checkpoint
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import found
from audiorec_cli.records import Factors, Predictions

FEWEST_UNMET = 3  # tracks that tell how sure sound is


class Taste(NamedTuple):
    """A library and the listeners of a log in one space.

    known : Listened; coordinates : (n, n_factors) of its tracks, unit norm; trust : in sound, by
    which they were blended
    """

    predicted: Predictions
    factors: Factors
    known: Listened
    coordinates: np.ndarray
    trust: float


def taste_of(path, predicted, factors_path, trained, *, trust):
    """The Taste of the Predictions in a file at `path` and of a factors file.

    trust : as in retrieval.recommendation.blended; None to choose it on the validation tracks of
        `trained`, the Checkpoint that predicted
    """
    from audiorec_cli import files
    from audiorec_cli.retrieval.recommendation import blended

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
        console.note(f"{path} lies in a space of its own: listeners are placed by what they played")
    else:
        require_same_factors(path, predicted, factors, factors_path)
    if trust is None:
        trust = chosen_trust(predicted, factors, trained.split["validation"])
        console.note(
            f"blend: C is {trust:g}: of a track with n listeners, listening weighs n / (n + "
            f"{trust:g}), and sound the rest"
        )
    known = listened(predicted.tracks, factors)
    where = blended(known.factors, predicted.predicted_factors, known.listeners, trust)
    return Taste(predicted, factors, known, where, trust)


def checkpoint_of(path, predicted, checkpoint, *, needed):
    """The Checkpoint that Predictions of a file at `path` were made from; None where it is gone.

    checkpoint : its path, None for the one where they name it, beside them or in this folder
    needed : raise AudiorecError where it is gone
    """
    from audiorec_cli import files

    if checkpoint is None:
        checkpoint = found_checkpoint(path, predicted)
        if checkpoint is None and not needed:
            return None
        if checkpoint not in (None, named_checkpoint(predicted)):
            console.note(f"checkpoint: using {checkpoint}")
    checkpoint = found("checkpoint", checkpoint)
    trained = files.load_checkpoint(checkpoint)
    if trained.fingerprint == predicted.fingerprint:
        return trained
    raise AudiorecError(
        f"{path} was not made from {checkpoint}: name the one that it was made from with "
        "--checkpoint, or predict anew"
    )


def sureness_of(taste, trained):
    """(n,): what a cosine with each track of a Taste is worth, beside one that listening places.

    trained : the Checkpoint that predicted, None where it is gone. See recommendation.sureness.
    """
    from audiorec_cli.retrieval.recommendation import sureness

    known = taste.known
    of_sound = 1.0
    if not (in_own_space(taste.predicted) or known.is_new.all() or not known.is_new.any()):
        of_sound = _sureness_of_sound(taste.predicted, known, trained)
    return sureness(known.listeners, taste.trust, of_sound)


def _sureness_of_sound(predicted, known, trained):
    """The mean cosine of predictions with listening, of tracks that the network has not met."""
    met = predicted.tracks.track_id if trained is None else trained.split["train"]
    is_met = np.isin(predicted.tracks.track_id, met)
    unmet = np.flatnonzero(~known.is_new & ~is_met)
    if len(unmet) < FEWEST_UNMET:
        if trained is None:
            why = "the checkpoint that predicted is not here: name it with --checkpoint"
        else:
            why = f"fewer than {FEWEST_UNMET} tracks here are in the log and were not trained on"
        console.note(
            "tracks that nobody has played count as much as others, and may come first too often: "
            f"what tells how sure their places are is missing: {why}"
        )
        return 1.0
    cosines = np.sum(predicted.predicted_factors[unmet] * known.factors[unmet], axis=1)
    return float(np.clip(cosines.mean(), 0, 1))
