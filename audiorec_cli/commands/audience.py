"""audiorec audience: who would like a track, and what known music it resembles."""

from typing import Annotated

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.asking import row_of
from audiorec_cli.commands.listeners import Reasons, has_taste
from audiorec_cli.commands.predicted import load_predicted
from audiorec_cli.commands.recommend_options import Blend, BlendAt, BlendCheckpoint, trust_of
from audiorec_cli.commands.similar_options import Pick
from audiorec_cli.commands.tasting import checkpoint_of, taste_of
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import FactorsFile, Json, PredictionsFile, found

LISTENERS = ("rank", "score", "listener", "tracks_played", "because")
TRACKS = ("rank", "score", "listeners", "artist", "title", "track_id", "path")

Track = Annotated[
    str,
    typer.Argument(
        metavar="TRACK",
        help='A title, "artist - title", path or track_id, nearly right; the log need not know it.',
    ),
]
K = Annotated[int, typer.Option("-k", min=1, help="Listeners to list.")]
NTracks = Annotated[
    int, typer.Option("--tracks", min=0, help="Known tracks to list that it sounds like.")
]
KeepHeard = Annotated[
    bool, typer.Option("--keep-heard", help="List those too who have played it already.")
]


def audience(
    track: Track, k: K = 30, tracks: NTracks = 10, keep_heard: KeepHeard = False,
    blend: Blend = False, blend_at: BlendAt = None, pick: Pick = None,
    predictions: PredictionsFile = None, factors: FactorsFile = None,
    checkpoint: BlendCheckpoint = None, as_json: Json = False,
):  # fmt: skip
    """List the listeners who would like a track best, and the known tracks that it sounds like.

    The score of a listener is the cosine of his or her factors and the track's, those predicted
    from its sound where the factors know no play of it. The column because names what of the
    listener's plays speaks most for it. The score of a track is the cosine of the predicted factors
    of both; only tracks of which the factors know a play are listed.
    """
    path, predicted = load_predicted(predictions, checkpoint=checkpoint)
    row = row_of(track, predicted.tracks, pick)
    factors_path = found("factors", factors)
    trust = trust_of(blend, blend_at)
    if checkpoint is not None and trust is not None:
        raise AudiorecError("--checkpoint goes with --blend alone: leave it out")
    trained = None
    if trust is None:
        trained = checkpoint_of(path, predicted, checkpoint, needed=True)
    taste = taste_of(path, predicted, factors_path, trained, trust=trust)
    listeners = _listeners(row, taste, k, keep_heard)
    resembling = _resembling(row, taste, tracks)
    if as_json:
        console.print_json(
            {
                "track_id": predicted.tracks.track_id[row],
                "listeners": [dict(zip(LISTENERS, each, strict=True)) for each in listeners],
                "tracks": [dict(zip(TRACKS, each, strict=True)) for each in resembling],
            }
        )
        return
    n_listeners = console.counted(int(taste.known.listeners[row]), "listener")
    console.note(f"{predicted.tracks.name(row)}: the factors know of {n_listeners}")
    console.print_table(LISTENERS, listeners)
    if resembling:
        console.print_gap()
        console.print_table(TRACKS, resembling, for_machines=TRACKS[-2:])


def _listeners(row, taste, k, keep_heard):
    """The rows of the table of listeners."""
    from audiorec_cli.retrieval.recommendation import audience as nearest_listeners

    log = taste.factors.log
    left_out, log_row = ~has_taste(taste.factors), taste.known.log_rows[row]
    if not keep_heard and log_row >= 0:
        left_out |= log.plays[:, [log_row]].getnnz(axis=1) > 0
    users, scores = nearest_listeners(
        taste.coordinates[row], taste.factors.user_factors, left_out, k
    )
    if not len(users):
        raise AudiorecError(
            f"nobody is left who has not played {taste.predicted.tracks.name(row)}: try "
            "--keep-heard"
        )
    reasons = Reasons(taste.factors, taste.predicted, taste.coordinates)
    return [
        (
            rank,
            float(score),
            log.user_id[user],
            log.plays[user].nnz,
            *reasons.of(log.plays[user], [row]),
        )
        for rank, (score, user) in enumerate(zip(scores, users, strict=True), start=1)
    ]


def _resembling(row, taste, n):
    """The rows of the table of known tracks."""
    from audiorec_cli.retrieval.neighbors import nearest

    known = np.flatnonzero(~taste.known.is_new)
    known = known[known != row]
    if not n or not len(known):
        return []
    sound, tracks = taste.predicted.predicted_factors, taste.predicted.tracks
    places, scores = nearest(sound[row], sound[known], n)
    return [
        (
            rank,
            float(score),
            int(taste.known.listeners[other]),
            *(getattr(tracks, column)[other] for column in TRACKS[3:]),
        )
        for rank, (score, other) in enumerate(zip(scores, known[places], strict=True), start=1)
    ]
