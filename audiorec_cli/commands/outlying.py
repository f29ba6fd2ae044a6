"""Which tracks of a library sound like nothing that is listened to where they are."""

from typing import Annotated

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.similar_options import LIST
from audiorec_cli.errors import AudiorecError

USUAL = 2.0  # a score from which on a track is taken for an outlier
WEIGHTS = (2.0, 1.0)  # of predicted factors and of mel statistics

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
        min=-1e9,
        max=1e9,
        help="With --drop-outliers: leave out what 'audiorec outliers' gives this score or more.",
        show_default=f"{USUAL:g}",
        rich_help_panel=LIST,
    ),
]


def check_dropping(drop_outliers, outlier_score):
    """Refuse a score of outliers where none are dropped."""
    if outlier_score is not None and not drop_outliers:
        raise AudiorecError(
            "--outlier-score goes with --drop-outliers: add that, or leave --outlier-score out"
        )


def outlier_rows(path, predicted, known, *, min_score=None):
    """Which tracks are outliers: (n,) bool. Those without a score are none.

    predicted : Predictions of n tracks, of the file at path; known : their Listened
    min_score : of an outlier, None for USUAL
    """
    lowest = USUAL if min_score is None else min_score
    scores = scores_of(path, predicted, known)
    is_outlier = np.nan_to_num(scores, nan=-np.inf) >= lowest
    console.note(
        f"{console.counted(int(is_outlier.sum()), 'outlier')} of {len(scores)} tracks left out: "
        f"a score of {lowest:g} or more"
    )
    return is_outlier


def scores_of(path, predicted, known):
    """How far from its place in listening each track sounds, as in retrieval.outliers: (n,) float.

    path, predicted, known : as above. NaN where the log lacks the track. Raises AudiorecError where
    it has too few of them.
    """
    from audiorec_cli.retrieval.outliers import FEWEST, outlier_scores

    descriptions = [predicted.predicted_factors]
    if predicted.mel_statistics is not None:
        descriptions.append(predicted.mel_statistics)
    else:
        console.note(
            f"{path} holds no mel statistics, being of an older version: tracks are judged by "
            "predicted factors alone, which miss more: make it again with 'audiorec predict'"
        )
    scores = outlier_scores(known.factors, descriptions, WEIGHTS[: len(descriptions)])
    if np.isnan(scores).all():
        raise AudiorecError(
            f"fewer than {FEWEST} tracks are both in the log and in {path}, which is "
            "nothing to compare: add tracks to either"
        )
    if n_new := int(known.is_new.sum()):
        them = "it" if n_new == 1 else "them"
        console.note(
            f"{console.counted(n_new, 'track')} without a score: the log has no play of {them}"
        )
    return scores
