"""Finding the track that a person means."""

import os
import unicodedata
from typing import NamedTuple

from rapidfuzz import fuzz, process, utils

from audiorec_cli.names import plain

CLEAR_SCORE = 88.0  # of 100: nearly right
CLEAR_MARGIN = 6.0  # by which the best must lead the second
POSSIBLE_SCORE = 65.0
CANDIDATES = 10


class Answer(NamedTuple):
    """What a query may mean.

    rows : of tracks, the likeliest first; empty where nothing is near
    is_exact : whether they are called as the query is spelt; is_clear : whether it means the first
    """

    rows: list[int]
    is_exact: bool
    is_clear: bool


def find_tracks(query, tracks):
    """The Answer to a query: the tracks that it may mean.

    query : a track_id, a path or its end, a title, or "artist - title", exact or nearly right
    tracks : Tracks
    There are at most CANDIDATES rows unless they are exact, and one where it is clear.
    """
    if rows := _rows_called(query, tracks):
        return Answer(rows, is_exact=True, is_clear=len(rows) == 1)
    return _nearly_called(query, tracks)


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


def _rows_called(query, tracks):
    """Rows whose track_id, path or its end, or name is the query, or whose name has it in it."""
    for values in (tracks.track_id, tracks.path):
        if query in values:
            return [values.index(query)]
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


def _nearly_called(query, tracks):
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
            return Answer(rows[:1], is_exact=False, is_clear=True)
    return Answer(rows, is_exact=False, is_clear=False)
