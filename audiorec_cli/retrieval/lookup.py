"""Finding the track that a person means."""

import os
import unicodedata

from rapidfuzz import fuzz, process, utils

from audiorec_cli.names import plain

CLEAR_SCORE = 88.0  # of 100: nearly right
CLEAR_MARGIN = 6.0  # by which the best must lead the second
POSSIBLE_SCORE = 65.0
CANDIDATES = 10


def find_tracks(query, tracks):
    """Rows of the tracks that a query may mean; a single one where it is clear.

    query : a track_id, a path or its end, a title, or "artist - title", exact or nearly right
    tracks : Tracks
    Returns a list of rows, the likeliest first, at most CANDIDATES unless the match is exact;
    empty where nothing is near.
    """
    for values in (tracks.track_id, tracks.path):
        if query in values:
            return [values.index(query)]
    rows = _rows_named(query, tracks)
    return rows or _rows_nearly_named(query, tracks)


def find_paths(locations, tracks, audio_folder):
    """The row of each absolute path, None where it is none of the tracks'.

    Where the library lies elsewhere now, a path that ends in a track's relative one is meant.
    """
    row_of = {_composed(path): row for row, path in enumerate(tracks.path)}
    rows = []
    for location in locations:
        relative = _composed(os.path.relpath(location, audio_folder)).replace(os.sep, "/")
        parts = _composed(location).replace("\\", "/").split("/")
        endings = ("/".join(parts[first:]) for first in range(len(parts)))
        rows.append(next((row_of[end] for end in (relative, *endings) if end in row_of), None))
    return rows


def _composed(path):
    """Systems differ in whether an accent is a letter's own or stands behind it."""
    return unicodedata.normalize("NFC", path)


def _rows_named(query, tracks):
    """Rows whose path ends in the query, or that are called that, or whose name has it in it."""
    wanted, asked_path = plain(query), "/" + query.replace("\\", "/").lstrip("./")

    def is_path(row):
        path = "/" + tracks.path[row]
        return path.endswith(asked_path) or asked_path.endswith(path)

    def is_name(row):
        return wanted in (plain(tracks.name(row)), plain(tracks.title[row]))

    def is_in_name(row):
        return f" {wanted} " in f" {plain(tracks.name(row))} "

    for matches in (is_path, is_name, is_in_name):
        rows = [row for row in range(len(tracks)) if matches(row)]
        if rows:
            return rows
    return []


def _rows_nearly_named(query, tracks):
    names = [tracks.name(row) for row in range(len(tracks))]
    scores = {}
    for choices in (tracks.title, names):
        for _, score, row in process.extract(
            query,
            choices,
            scorer=fuzz.WRatio,
            processor=utils.default_process,
            limit=CANDIDATES,
            score_cutoff=POSSIBLE_SCORE,
        ):
            scores[row] = max(score, scores.get(row, 0))
    rows = sorted(scores, key=lambda row: (-scores[row], row))[:CANDIDATES]
    if rows and scores[rows[0]] >= CLEAR_SCORE:
        runner_up = scores[rows[1]] if len(rows) > 1 else 0
        if scores[rows[0]] - runner_up >= CLEAR_MARGIN:
            return rows[:1]
    return rows
