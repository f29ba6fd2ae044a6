"""Joining an audio library to the items of a listening log."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audiorec_cli.errors import AudiorecError
from audiorec_cli.names import first_artist, normalised, recording

NAMES_SHOWN = 3
DASH = re.compile(" [-–—] ")
KEYS = ("track_id", "mbid", "isrc", "artist and title", "first artist and recording", "artist")


@dataclass(frozen=True)
class Matches:
    """Which track of the library is which item of the log.

    library_rows, log_rows : (n_matched,) int64, aligned; a library track occurs once at most
    by_key : how many were matched by which key
    """

    library_rows: np.ndarray
    log_rows: np.ndarray
    by_key: dict[str, int]


def match(library, log, *, by_artist=False):
    """Match each track of the library to an item of the log, by the first key that both know.

    library : Tracks; log : LoggedTracks; by_artist : as in find_matches
    Returns Matches. Raises AudiorecError when nothing matches.
    """
    matches = find_matches(library, log, by_artist=by_artist)
    if not len(matches.library_rows):
        raise AudiorecError(_nothing_matched(library, log, by_artist))
    return matches


def find_matches(library, log, *, by_artist=False):
    """The Matches of two tables of tracks, which may be none.

    library, log : Tracks or LoggedTracks
    Keys in this order: track_id, MusicBrainz recording id, ISRC, artist and title, the first of
    several artists and the title without its pressing, and with by_artist the artist alone. Where
    several items go by the same name, the one with the most listeners is meant, or without
    listeners the last.
    """
    matched, by_key = {}, {}
    library_names, log_names = _Names(library), _Names(log)
    listeners = getattr(log, "listeners", np.zeros(len(log)))
    least_heard_first = np.argsort(listeners, kind="stable").tolist()
    for key in KEYS if by_artist else KEYS[:-1]:
        found = {}
        if len(matched) < len(library):  # to make keys of names takes a while
            here, there = library_names.by(key, log_names), log_names.by(key, library_names)
            rows = {there[row]: row for row in least_heard_first if there[row]}
            found = {
                row: rows[value]
                for row, value in enumerate(here)
                if row not in matched and value in rows
            }
        matched |= found
        by_key[key] = len(found)
    library_rows = np.array(sorted(matched), dtype=np.int64)
    log_rows = np.array([matched[row] for row in library_rows], dtype=np.int64)
    return Matches(library_rows, log_rows, by_key)


class _Names:
    """What the tracks of a table are called by each of the KEYS, beside those of another table."""

    def __init__(self, tracks):
        self._tracks = tracks

    def by(self, key, other):
        """What each track is called by that key, "" where it has no such name.

        other : _Names; of artists that it does not know no title is looked at, which takes a while
        """
        if key == "track_id":
            return self._tracks.track_id
        if key == "mbid":
            return [mbid.lower() for mbid in self._tracks.mbid]
        if key == "isrc":
            return [isrc.replace("-", "").upper() for isrc in self._tracks.isrc]
        if key == "artist":
            return self._artists
        if key == "artist and title":
            return self._with_titles(self._artists, {*other._artists}, normalised)
        return self._with_titles(self._first_artists, {*other._first_artists}, recording)

    @cached_property
    def _described(self):
        return artists_and_titles(self._tracks)

    @cached_property
    def _artists(self):
        return _each_once(normalised, [artist for artist, _ in self._described])

    @cached_property
    def _first_artists(self):
        return _each_once(
            lambda artist: normalised(first_artist(artist)),
            [artist for artist, _ in self._described],
        )

    def _with_titles(self, artists, known, plain):
        return [
            f"{artist}\n{name}" if artist and artist in known and (name := plain(title)) else ""
            for artist, (_, title) in zip(artists, self._described, strict=True)
        ]


def _each_once(function, values):
    """What a function makes of each value; of values that come again it is asked but once."""
    made = {value: function(value) for value in {*values}}
    return [made[value] for value in values]


def artists_and_titles(tracks):
    """Pairs of the artist and the title of each track; many logs and file names hold both as one.

    Without an artist, "Artist - Title" is taken for both; what has no letter, as in "01 - Intro",
    is no artist.
    """
    pairs = []
    for artist, title in zip(tracks.artist, tracks.title, strict=True):
        before, *behind = (title,) if artist else DASH.split(title, maxsplit=1)
        is_both = behind and any(char.isalpha() for char in before)
        pairs.append((before, *behind) if is_both else (artist, title))
    return pairs


def _nothing_matched(library, log, by_artist):
    library_names = "; ".join(library.name(row) for row in range(len(library))[:NAMES_SHOWN])
    log_names = "; ".join(log.name(row) for row in range(len(log))[:NAMES_SHOWN])
    hint = "give the log's names in a CSV to 'audiorec mels --manifest'"
    if not by_artist:
        hint = f"if the log lists artists, use --match artist; else {hint}"
    return (
        f"no track of the library is in the log: the library has {library_names} …; "
        f"the log has {log_names} …: {hint}"
    )
