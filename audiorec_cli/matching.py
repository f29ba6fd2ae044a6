"""Joining an audio library to the items of a listening log."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audiorec_cli.errors import AudiorecError
from audiorec_cli.names import first_artist, normalised, recording

NAMES_SHOWN = 3
DASH = re.compile(" [-–—] ")


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
    Keys in this order: track_id, MusicBrainz recording id, ISRC, artist and title, artist and title
    where one side names more artists, or another pressing, and with by_artist the artist alone.
    Where several items go by the same name, the one with the most listeners is meant, or without
    listeners the last.
    """
    matched, by_key = {}, {}
    library_names, log_names = _Names(library), _Names(log)
    listeners = getattr(log, "listeners", np.zeros(len(log)))
    least_heard_first = np.argsort(listeners, kind="stable").tolist()
    for key in KEYS if by_artist else KEYS[:-1]:
        n_before = len(matched)
        for names_of in NAMES_BY[key]:
            if len(matched) == len(library):  # to make keys of names takes a while
                break
            here, there = names_of(library_names, log_names)
            rows = {there[row]: row for row in least_heard_first if there[row]}
            matched |= {
                row: rows[value]
                for row, value in enumerate(here)
                if row not in matched and value in rows
            }
        by_key[key] = len(matched) - n_before
    library_rows = np.array(sorted(matched), dtype=np.int64)
    log_rows = np.array([matched[row] for row in library_rows], dtype=np.int64)
    return Matches(library_rows, log_rows, by_key)


class _Names:
    """What the tracks of a table are called, "" where they have no such name."""

    def __init__(self, tracks):
        self._tracks = tracks
        self.track_ids = tracks.track_id

    @property
    def mbids(self):
        return [mbid.lower() for mbid in self._tracks.mbid]

    @property
    def isrcs(self):
        return [isrc.replace("-", "").upper() for isrc in self._tracks.isrc]

    @cached_property
    def artists(self):
        return _each_once(normalised, [artist for artist, _ in self._described])

    @cached_property
    def first_artists(self):
        artists = [artist for artist, _ in self._described]
        return _each_once(lambda artist: normalised(first_artist(artist)), artists)

    @cached_property
    def _described(self):
        return artists_and_titles(self._tracks)

    def with_titles(self, artists, known, plain):
        """These artists (n,) and the titles as `plain` makes them, of artists that are known.

        Titles are many, and to make them plain takes a while.
        """
        known = {*known}
        return [
            f"{artist}\n{name}" if artist and artist in known and (name := plain(title)) else ""
            for artist, (_, title) in zip(artists, self._described, strict=True)
        ]


def _titled(here, artists, there, others, plain):
    return here.with_titles(artists, others, plain), there.with_titles(others, artists, plain)


# What the tracks of two tables of _Names are called by each of the KEYS; by some in several ways.
NAMES_BY = {
    "track_id": [lambda here, there: (here.track_ids, there.track_ids)],
    "mbid": [lambda here, there: (here.mbids, there.mbids)],
    "isrc": [lambda here, there: (here.isrcs, there.isrcs)],
    "artist and title": [
        lambda here, there: _titled(here, here.artists, there, there.artists, normalised)
    ],
    # of two that name several artists each, all must be the same
    "artist and recording": [
        lambda here, there: _titled(here, here.artists, there, there.artists, recording),
        lambda here, there: _titled(here, here.artists, there, there.first_artists, recording),
        lambda here, there: _titled(here, here.first_artists, there, there.artists, recording),
    ],
    "artist": [lambda here, there: (here.artists, there.artists)],
}
KEYS = tuple(NAMES_BY)


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
