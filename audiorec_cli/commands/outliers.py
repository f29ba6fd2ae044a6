"""audiorec outliers: tracks whose sound does not fit where listening put them."""

from typing import Annotated

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.joining import listened, require_same_factors
from audiorec_cli.commands.listing import entries_of, require_list
from audiorec_cli.commands.outlying import USUAL, scores_of
from audiorec_cli.commands.predicted import load_predicted
from audiorec_cli.commands.similar_options import PlaylistOut
from audiorec_cli.names import normalised
from audiorec_cli.options import FactorsFile, Json, PredictionsFile, RelativeTo, found

COLUMNS = ("rank", "score", "artist", "title", "listening", "sound", "track_id", "path")
NEIGHBORS_SHOWN = 3
NEIGHBORS_LOOKED_AT = 200  # for that many artists

K = Annotated[int, typer.Option("-k", min=1, help="Tracks to list, the worst first.")]
MinScore = Annotated[
    float | None, typer.Option(min=-1e9, max=1e9, help="List only what has this score or more.")
]


def outliers(
    k: K = 20,
    min_score: MinScore = None,
    out: PlaylistOut = None,
    relative_to: RelativeTo = None,
    predictions: PredictionsFile = None,
    factors: FactorsFile = None,
    as_json: Json = False,
):
    """List the tracks whose sound fits worst where listening put them: intros, speech, noise.

    A track's sound, its predicted factors and the mean and deviation of its mel bins, is compared
    with that of the ten tracks nearest to it by listening. The score tells how far off it is, in
    robust standard deviations above the middle of the library; from 2 on --drop-outliers of
    similar and recommend leaves a track out. The column listening names the nearest tracks by
    listening, sound those by predicted factors, one an artist. Tracks that the log does not know
    have no score.
    """
    require_list(out, relative_to, as_json)
    path, predicted = load_predicted(predictions)
    factors_path = found("factors", factors)
    known = _listened(path, predicted, factors_path)
    scores = scores_of(path, predicted, known)
    _describe(scores)
    order = np.argsort(-scores, kind="stable")
    lowest = -np.inf if min_score is None else min_score
    rows = [row for row in order.tolist() if scores[row] >= lowest][:k]
    if not rows:
        console.note(f"no track has a score of {lowest:g} or more")
    _print_or_write(rows, scores, known, predicted, out, relative_to, as_json)


def _listened(path, predicted, factors_path):
    from audiorec_cli import files

    factors = files.load_factors(factors_path)
    require_same_factors(path, predicted, factors, factors_path)
    return listened(predicted.tracks, factors)


def _describe(scores):
    n_dropped = int((np.nan_to_num(scores, nan=-np.inf) >= USUAL).sum())
    console.note(
        f"{n_dropped} of {int(np.isfinite(scores).sum())} scores are {USUAL:g} or more: "
        "--drop-outliers of similar and recommend leaves these tracks out"
    )


def _print_or_write(rows, scores, known, predicted, out, relative_to, as_json):
    from audiorec_cli.output.playlists import write_playlist

    if out is not None:
        with console.writing_results():
            entries = entries_of(rows, predicted)
            write_playlist(entries, out, title="outliers", relative_to=relative_to)
    if out == "-":
        return
    if out is not None:
        console.note(f"{out}: {console.counted(len(rows), 'track')}")
    tracks = predicted.tracks
    shown = _named if as_json else _in_words
    table = [
        (
            rank,
            float(scores[row]),
            tracks.artist[row],
            tracks.title[row],
            shown(_neighbors(row, known.factors, tracks), tracks),
            shown(_neighbors(row, predicted.predicted_factors, tracks), tracks),
            tracks.track_id[row],
            tracks.path[row],
        )
        for rank, row in enumerate(rows, start=1)
    ]
    console.print_table(COLUMNS, table, as_json=as_json, for_machines=COLUMNS[-2:])


def _neighbors(row, coordinates, tracks):
    """Rows of the tracks nearest to one, one an artist, of those whose place is known."""
    from audiorec_cli.retrieval.neighbors import nearest

    neighbors, artists = [], set()
    for other in nearest(coordinates[row], coordinates, NEIGHBORS_LOOKED_AT)[0].tolist():
        artist = normalised(tracks.artist[other]) or other
        if other != row and artist not in artists and coordinates[other].any():
            neighbors.append(other)
            artists.add(artist)
    return neighbors[:NEIGHBORS_SHOWN]


def _in_words(rows, tracks):
    return "; ".join(tracks.name(row) for row in rows)


def _named(rows, tracks):
    columns = ("artist", "title", "track_id")
    return [{column: getattr(tracks, column)[row] for column in columns} for row in rows]
