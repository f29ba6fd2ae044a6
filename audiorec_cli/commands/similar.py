"""audiorec similar: what sounds as if the same people would like it."""

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.asking import row_of
from audiorec_cli.commands.joining import listened, require_same_factors
from audiorec_cli.commands.listing import choosing, entries_of, require_list
from audiorec_cli.commands.outlying import (
    DropOutliers,
    OutlierScore,
    check_dropping,
    outlier_rows,
)
from audiorec_cli.commands.playlist import named_in, rows_named
from audiorec_cli.commands.predicted import load_predicted
from audiorec_cli.commands.similar_options import (
    By,
    Duplicates,
    DuplicatesOption,
    Extend,
    K,
    Likeness,
    MaxPerAlbum,
    MaxPerArtist,
    MinScore,
    NoQuery,
    Not,
    PathTo,
    Pick,
    PlaylistOut,
    Queries,
    SimilarMels,
    Spread,
)
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import FactorsFile, Json, PredictionsFile, RelativeTo, found

COLUMNS = ("rank", "score", "artist", "title", "track_id", "path")


def similar(
    query: Queries = None, k: K = 10, not_: Not = None, extend: Extend = None,
    path_to: PathTo = None, out: PlaylistOut = None, relative_to: RelativeTo = None,
    pick: Pick = None, by: By = Likeness.factors, max_per_artist: MaxPerArtist = None,
    max_per_album: MaxPerAlbum = None, min_score: MinScore = None, no_query: NoQuery = False,
    duplicates: DuplicatesOption = Duplicates.keep, spread: Spread = False,
    drop_outliers: DropOutliers = False, outlier_score: OutlierScore = None,
    predictions: PredictionsFile = None, factors: FactorsFile = None, mels: SimilarMels = None,
    as_json: Json = False,
):  # fmt: skip
    """List the tracks whose predicted factors are nearest to a track's, that track first.

    The score is the cosine with what is asked for, taken together. Of a network trained with
    --predict-variance, confidence is the share of the squared length of a track's factors that the
    prediction stands for: 1 is sure of it.
    """
    from audiorec_cli.retrieval.answering import Space, answered

    _check_request(query, not_, extend, path_to, pick, k)
    require_list(out, relative_to, as_json, source=extend)
    _check_files(by, duplicates, drop_outliers, outlier_score, mels, factors)
    path, predicted = load_predicted(predictions, mels=mels)
    asked = _asked(predicted, query or (), not_ or (), extend, path_to, pick)
    of_log = _factors(by, drop_outliers, path, predicted, factors)
    coordinates = _coordinates(by, predicted, of_log)
    if drop_outliers:
        known = listened(predicted.tracks, of_log)
        is_outlier = outlier_rows(path, predicted, known, min_score=outlier_score)
        coordinates = _without(coordinates, is_outlier, asked)
    asked, space = _known(asked, coordinates), Space(coordinates, predicted.tracks, spread=spread)
    limits = {"artist": max_per_artist, "album": max_per_album}
    drop = duplicates is Duplicates.drop
    with choosing(predicted, mels, limits=limits, drop_duplicates=drop) as chooser:
        ranked = answered(asked, space, chooser, k=k, min_score=min_score, no_query=no_query)
    _print_or_write(ranked, asked, predicted, out, relative_to, as_json)


def _check_request(queries, not_, extend, path_to, pick, k):
    if not queries and extend is None:
        raise typer.BadParameter("name a track, or a playlist with --extend.", param_hint="QUERY")
    if pick is not None and (len(queries or ()) != 1 or not_ or path_to):
        raise AudiorecError("--pick goes with a single query: ask for one at a time")
    if path_to is not None and (not_ or extend or len(queries) != 1):
        raise AudiorecError("--path-to goes with one query, and with neither --not nor --extend")
    if path_to is not None and k < 2:
        raise AudiorecError("a path has two ends: ask for 2 tracks at least with -k")


def _check_files(by, duplicates, drop_outliers, outlier_score, mels, factors):
    """Refuse what is named without an option that it goes with."""
    check_dropping(drop_outliers, outlier_score)
    if mels is not None and duplicates is Duplicates.keep:
        raise AudiorecError("--mels goes with --duplicates drop: add that, or leave --mels out")
    if factors is not None and by is Likeness.factors and not drop_outliers:
        raise AudiorecError(
            "--factors goes with --by usage or listening, or with --drop-outliers: add one"
        )


def _asked(predicted, queries, not_, extend, path_to, pick):
    from audiorec_cli.retrieval.answering import Asked

    tracks = predicted.tracks
    listed = [] if extend is None else _rows_of_playlist(extend, predicted)
    try:
        rows = [*listed, *(row_of(query, tracks, pick) for query in queries)]
    except AudiorecError as error:
        if len(queries) > 1 and " " not in "".join(queries):
            console.note("several words are several queries, unless there are quotes around them")
        raise error
    near = list(dict.fromkeys(rows))
    away = list(dict.fromkeys(row_of(query, tracks, None) for query in not_))
    if both := set(near) & set(away):
        raise AudiorecError(f"{tracks.name(both.pop())} is asked for and ruled out: do one")
    goal = None if path_to is None else row_of(path_to, tracks, None)
    if goal in near:
        raise AudiorecError("a path from a track to itself: name another track with --path-to")
    return Asked(near, away, goal, extend is not None)


def _rows_of_playlist(playlist, predicted):
    """The rows of a playlist's tracks, each once."""
    named = named_in(playlist)
    rows = list(dict.fromkeys(row for row in rows_named(named, predicted) if row is not None))
    if not rows:
        raise AudiorecError(
            f"{playlist}: none of its {console.counted(len(named), 'track')} is in the "
            "predictions: name a playlist of this library, or predict anew with 'audiorec predict'"
        )
    if n_left_out := len(named) - len(rows):
        console.note(
            f"{playlist}: {n_left_out} of {len(named)} entries are left out: not in the library, "
            "or repeated"
        )
    return rows


def _known(asked, coordinates):
    """The request without those tracks of a playlist that the log has no factors of."""
    known = [row for row in asked.near if coordinates[row].any()]
    n_unknown = len(asked.near) - len(known)
    if not asked.is_playlist or not known or not n_unknown:
        return asked
    console.note(f"the log has no factors of {console.counted(n_unknown, 'track')}: left out")
    return asked._replace(near=known)


def _factors(by, drop_outliers, path, predicted, factors_path):
    """The Factors that the request needs, None for none."""
    from audiorec_cli import files

    if by is Likeness.factors and not drop_outliers:
        return None
    factors_path = found("factors", factors_path)
    factors = files.load_factors(factors_path)
    if by is not Likeness.listening or drop_outliers:
        require_same_factors(path, predicted, factors, factors_path)
    return factors


def _coordinates(by, predicted, factors):
    """Where the tracks lie, (n, n_factors) of unit norm, or zero where the log does not tell."""
    from audiorec_cli.retrieval.neighbors import usage_coordinates

    if by is Likeness.factors:
        return predicted.predicted_factors
    if by is Likeness.listening:
        vectors = listened(predicted.tracks, factors).factors
    else:
        vectors = predicted.predicted_factors
    return usage_coordinates(vectors, factors.user_factors)


def _without(coordinates, is_left_out, asked):
    """The coordinates with zero for tracks that are left out, unless they are asked for."""
    is_left_out[[*asked.near, *asked.away]] = False
    if asked.goal is not None:
        is_left_out[asked.goal] = False
    return np.where(is_left_out[:, None], 0, coordinates)


def _print_or_write(ranked, asked, predicted, out, relative_to, as_json):
    from audiorec_cli.output.playlists import write_playlist

    if not ranked:
        raise AudiorecError("no track is left to list: ask for less with fewer options")
    if out is not None:
        entries = entries_of([row for row, _ in ranked], predicted)
        with console.writing_results():
            title = _title(asked, predicted.tracks)
            write_playlist(entries, out, title=title, relative_to=relative_to)
    if out == "-":
        return
    if out is not None:
        console.note(f"{out}: {console.counted(len(ranked), 'track')}")
    _print_table(ranked, predicted, as_json)


def _title(asked, tracks):
    if asked.goal is not None:
        return f"from {tracks.name(asked.near[0])} to {tracks.name(asked.goal)}"
    named = " + ".join(tracks.name(row) for row in asked.near[:2])
    return f"similar to {named}" + (" …" if len(asked.near) > 2 else "")


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
    console.print_table(columns, rows, as_json=as_json, for_machines=COLUMNS[-2:])
