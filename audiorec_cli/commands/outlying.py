"""Which tracks of a library sound like nothing that is listened to where they are."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.listing import mels_of, rows_of
from audiorec_cli.commands.similar_options import LIST
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import OF_PREDICTIONS, file_option

USUAL = 2.0  # a score from which on a track is taken for an outlier
WEIGHTS = (2.0, 1.0)  # of predicted factors and of mel statistics
TRACKS_AT_A_TIME = 64

DropOutliers = Annotated[
    bool,
    typer.Option(
        "--drop-outliers",
        help="Leave out tracks that sound like nothing that is listened to where they are: "
        "intros, speech, noise. 'audiorec outliers' lists them.",
        rich_help_panel=LIST,
    ),
]
OutlierScore = Annotated[
    float | None,
    typer.Option(
        "--outlier-score",
        help="With --drop-outliers: leave out what 'audiorec outliers' gives this score or more.",
        show_default=f"{USUAL:g}",
        rich_help_panel=LIST,
    ),
]
OutlierMels = Annotated[
    Path | None,
    file_option(
        "--mels",
        "With --drop-outliers: the mels file that tells how tracks sound.",
        OF_PREDICTIONS,
        rich_help_panel=LIST,
    ),
]


def require_outliers(drop_outliers, options):
    """Refuse options, {flag: value or None}, that say nothing without --drop-outliers."""
    named = [flag for flag, value in options.items() if value is not None]
    if named and not drop_outliers:
        raise AudiorecError(
            f"{named[0]} goes with --drop-outliers: add that, or leave {named[0]} out"
        )


def outlier_rows(predicted, known, *, mels=None, min_score=None):
    """Which tracks are outliers: (n,) bool. Those without a score are none.

    predicted : Predictions of n tracks; known : their Listened
    mels : the mels file with their spectrograms, None to look for it
    min_score : of an outlier, None for USUAL
    """
    lowest = USUAL if min_score is None else min_score
    scores = scores_of(predicted, known, mels=mels)
    is_outlier = np.nan_to_num(scores, nan=-np.inf) >= lowest
    console.note(
        f"{console.counted(int(is_outlier.sum()), 'outlier')} of {len(scores)} tracks left out: "
        f"a score of {lowest:g} or more"
    )
    return is_outlier


def scores_of(predicted, known, *, mels=None):
    """How far from its place in listening each track sounds, as in retrieval.outliers: (n,) float.

    predicted, known, mels : as above. NaN where the log, or the mels file, lacks the track. Raises
    AudiorecError where too few tracks are in both.
    """
    from audiorec_cli.retrieval.outliers import FEWEST, outlier_scores

    descriptions = [predicted.predicted_factors]
    path = mels or mels_of(predicted)
    if path is None:
        console.note(
            "no mels file here: tracks are judged by their predicted factors alone, which miss more"
        )
    else:
        descriptions.append(_mel_statistics(predicted, path))
    scores = outlier_scores(known.factors, descriptions, WEIGHTS[: len(descriptions)])
    if np.isnan(scores).all():
        raise AudiorecError(
            f"fewer than {FEWEST} tracks are both in the log and in {path or 'the predictions'}, "
            "which is nothing to compare: add tracks to either"
        )
    _describe_unknown(scores, known)
    return scores


def _mel_statistics(predicted, path):
    """Mean and deviation of each mel bin, (n, 2 * n_mels); NaN for tracks not in the mels file."""
    from audiorec_cli import files
    from audiorec_cli.evaluation.features import Sound

    library = files.load_mels(path)
    row_of = rows_of(library.tracks, predicted.tracks)
    if not row_of:
        raise AudiorecError(
            f"{path} holds none of the tracks that were predicted: name another mels file, or "
            "predict these with 'audiorec predict'"
        )
    mels_rows, rows = (np.array(each) for each in (list(row_of), list(row_of.values())))
    parts = []
    with (
        files.MelsReader(path) as reader,
        console.progress("sound", total=len(rows), unit="tracks") as advance,
    ):
        sound = Sound(
            reader, library.excerpt_track, compression=library.params.get("compression", 1.0)
        )
        for first in range(0, len(rows), TRACKS_AT_A_TIME):
            parts.append(sound.statistics(mels_rows[first : first + TRACKS_AT_A_TIME]))
            advance(len(parts[-1]))
    statistics = np.full((len(predicted.tracks), parts[0].shape[1]), np.nan)
    statistics[rows] = np.concatenate(parts)
    return statistics


def _describe_unknown(scores, known):
    n_new = int(known.is_new.sum())
    n_unread = int(np.isnan(scores).sum()) - n_new
    if n_new:
        them = "it" if n_new == 1 else "them"
        console.note(
            f"{console.counted(n_new, 'track')} without a score: the log has no play of {them}"
        )
    if n_unread:
        console.note(f"{console.counted(n_unread, 'track')} without a score: not in the mels file")
