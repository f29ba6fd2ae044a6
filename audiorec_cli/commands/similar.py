"""audiorec similar: what sounds as if the same people would like it."""

import os
from enum import StrEnum
from typing import Annotated

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.joining import require_same_factors
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import DEFAULT_NAMES, FactorsFile, Json, PredictionsFile, found

OPPOSITE = 1e-4  # the length of a mean of unit vectors that cancel each other out
CANDIDATES_SHOWN = 20
COLUMNS = ("rank", "score", "artist", "title", "track_id", "path")


class Likeness(StrEnum):
    """What of two tracks is compared."""

    factors = "factors"
    usage = "usage"
    listening = "listening"


LikenessOption = Annotated[
    Likeness,
    typer.Option(
        "--by",
        help="factors: predicted factors; usage: who would listen, as they predict; listening: "
        "the same by factors of the log, which new tracks have none of.",
    ),
]


def similar(
    queries: Annotated[
        list[str],
        typer.Argument(
            metavar="QUERY", help='A title, "artist - title", path or track_id, nearly right.'
        ),
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Tracks to list.")] = 10,
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", help="Playlist to write, .m3u8; - writes it to stdout."),
    ] = None,
    pick: Annotated[
        int | None, typer.Option(min=1, help="Which of the numbered candidates is meant.")
    ] = None,
    by: LikenessOption = Likeness.factors,
    predictions: PredictionsFile = None,
    factors: FactorsFile = None,
    as_json: Json = False,
):
    """List the tracks whose predicted factors are nearest to a track's, that track first.

    Several queries give what is near to all of them together. Without a predictions file it
    is made from the checkpoint and the mels file in this folder. Where the network was trained
    with --predict-variance, confidence is the share of the squared length of a track's factors
    that the prediction stands for: 1 is sure of it.
    """
    from audiorec_cli import files
    from audiorec_cli.output.playlists import require_playlist

    if pick is not None and len(queries) > 1:
        raise AudiorecError("--pick goes with a single query: ask for one at a time")
    if out is not None:
        require_playlist(out)
    path = predictions or _found_or_made()
    predicted = files.load_predictions(path)
    _warn_if_outdated(path, predicted)
    asked = list(dict.fromkeys(_row_of(query, predicted.tracks, pick) for query in queries))
    coordinates = _coordinates(by, path, predicted, factors)
    _print_or_write(_ranked(asked, coordinates, predicted.tracks, k), predicted, out, as_json)


def _coordinates(by, path, predicted, factors_path):
    """Where the tracks lie, (n, n_factors) of unit norm, or zero where the log does not tell."""
    from audiorec_cli import files
    from audiorec_cli.retrieval.neighbors import usage_coordinates

    if by is Likeness.factors:
        if factors_path is not None:
            raise AudiorecError("--factors goes with --by usage or listening: add it")
        return predicted.predicted_factors
    factors_path = found("factors", factors_path)
    factors = files.load_factors(factors_path)
    if by is Likeness.listening:
        return usage_coordinates(_listened(predicted.tracks, factors), factors.user_factors)
    require_same_factors(path, predicted, factors, factors_path)
    return usage_coordinates(predicted.predicted_factors, factors.user_factors)


def _listened(tracks, factors):
    """Factors of the log for the tracks of the library, zero where it has none."""
    from audiorec_cli import matching

    by_artist = factors.params.get("items") == "artists"
    matches = matching.match(tracks, factors.log.tracks, by_artist=by_artist)
    listened = np.zeros((len(tracks), factors.track_factors.shape[1]), dtype=np.float32)
    listened[matches.library_rows] = factors.track_factors[matches.log_rows]
    return listened


def _ranked(asked, coordinates, tracks, k):
    """The rows asked for and then those nearest to all of them: k pairs of (row, cosine)."""
    from audiorec_cli.retrieval.neighbors import cosines, nearest

    known = np.flatnonzero(coordinates.any(axis=1))
    if unknown := [tracks.name(row) for row in asked if row not in known]:
        raise AudiorecError(f"the log has no factors of {unknown[0]}: use --by factors or usage")
    together = coordinates[asked].mean(axis=0)
    if np.linalg.norm(together) < OPPOSITE:
        raise AudiorecError("these tracks lie opposite each other: ask for one at a time")
    places, scores = nearest(together, coordinates[known], k + len(asked))
    others = [pair for pair in zip(known[places], scores, strict=True) if pair[0] not in asked]
    return [*zip(asked, cosines(together, coordinates[asked]), strict=True), *others][:k]


def _found_or_made():
    """The predictions file in this folder, made now where there is only what it is made from."""
    from audiorec_cli import files

    made = files.find_all("predictions")
    if made or not (files.find_all("mels") and files.find_all("checkpoint")):
        return found("predictions", None)
    from audiorec_cli.commands.predict import write_predictions

    console.note("no predictions yet: making them")
    out = DEFAULT_NAMES["predictions"]
    write_predictions(mels=found("mels", None), checkpoint=found("checkpoint", None), out=out)
    return out


def _warn_if_outdated(path, predicted):
    from audiorec_cli import files

    checkpoint = str(predicted.params.get("checkpoint"))
    try:
        is_older = files.checkpoint_fingerprint(checkpoint) != predicted.fingerprint
    except (AudiorecError, OSError):
        return  # it went away, or is no checkpoint any more: nothing to compare with
    if is_older:
        console.note(
            f"{path} was not made from {checkpoint} as it is now: make it again with "
            "'audiorec predict'"
        )


def _row_of(query, tracks, pick):
    """The row of the track that a query means; where it is not clear the candidates are shown."""
    from audiorec_cli.retrieval.lookup import find_tracks

    rows = find_tracks(query, tracks)
    if not rows:
        raise AudiorecError(
            f'no track is called anything like "{query}": check the spelling, or make the '
            "predictions again with 'audiorec predict' if it is new"
        )
    if pick is not None and pick > len(rows):
        raise AudiorecError(f'"{query}" may mean {len(rows)} tracks: --pick goes up to there')
    if pick is not None:
        return rows[pick - 1]
    if len(rows) == 1:
        return rows[0]
    for number, row in enumerate(rows[:CANDIDATES_SHOWN], start=1):
        console.note(f"{number:3}. {tracks.name(row)}  ({tracks.track_id[row]})")
    raise AudiorecError(
        f'no single track is called "{query}", these {len(rows)} come near: '
        "give a number with --pick, or more of the name"
    )


def _print_or_write(ranked, predicted, out, as_json):
    if out is not None:
        _write_playlist(ranked, predicted, out)
    if out == "-":
        return
    if out is not None:
        console.note(f"{out}: {len(ranked)} tracks")
    _print_table(ranked, predicted, as_json)


def _write_playlist(ranked, predicted, out):
    from audiorec_cli.output.playlists import Entry, m3u8, write_playlist

    tracks = predicted.tracks
    entries = [
        Entry(
            os.path.join(predicted.audio_folder, tracks.path[row]),
            tracks.artist[row],
            tracks.title[row],
            float(tracks.duration_s[row]),
        )
        for row, _ in ranked
    ]
    with console.writing_results():
        write_playlist(m3u8(entries, title=f"similar to {tracks.name(ranked[0][0])}"), out)


def _print_table(ranked, predicted, as_json):
    """The tracks with their scores, and with the confidence where the network gives one."""
    from audiorec_cli.retrieval.neighbors import confidence

    scores, columns = [[float(score)] for _, score in ranked], COLUMNS
    if predicted.deviation is not None:
        columns = (*COLUMNS[:2], "confidence", *COLUMNS[2:])
        for score, (row, _) in zip(scores, ranked, strict=True):
            score.append(float(confidence(predicted.deviation[row])))
    rows = [
        (rank, *score, *(getattr(predicted.tracks, column)[row] for column in COLUMNS[2:]))
        for rank, (score, (row, _)) in enumerate(zip(scores, ranked, strict=True), start=1)
    ]
    console.print_table(columns, rows, as_json=as_json)
