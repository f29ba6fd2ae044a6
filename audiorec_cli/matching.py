"""Joining an audio library to the items of a listening log."""

from dataclasses import dataclass

import numpy as np

from audiorec_cli.errors import AudiorecError
from audiorec_cli.names import normalised

NAMES_SHOWN = 3
KEYS = ("track_id", "mbid", "isrc", "artist and title", "artist")


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

    library : Tracks; log : LoggedTracks
    Keys in this order: track_id, MusicBrainz recording id, ISRC, artist and title, and with
    by_artist the artist alone. Where several items go by the same name, the one with the most
    listeners is meant. Returns Matches. Raises AudiorecError when nothing matches.
    """
    library_keys, log_keys = _keys(library), _keys(log)
    if not by_artist:
        del library_keys["artist"], log_keys["artist"]
    matched, by_key = {}, {}
    least_heard_first = np.argsort(log.listeners, kind="stable").tolist()
    for key, values in log_keys.items():
        rows = {values[row]: row for row in least_heard_first if values[row]}
        found = {
            row: rows[value]
            for row, value in enumerate(library_keys[key])
            if row not in matched and value in rows
        }
        matched |= found
        by_key[key] = len(found)
    if not matched:
        raise AudiorecError(_nothing_matched(library, log, by_artist))
    library_rows = np.array(sorted(matched), dtype=np.int64)
    return Matches(library_rows, np.array([matched[row] for row in library_rows]), by_key)


def _keys(tracks):
    artists = [normalised(artist) for artist in tracks.artist]
    titles = [normalised(title) for title in tracks.title]
    named = [
        f"{artist}\n{title}" if artist and title else ""
        for artist, title in zip(artists, titles, strict=True)
    ]
    mbids = [mbid.lower() for mbid in tracks.mbid]
    isrcs = [isrc.replace("-", "").upper() for isrc in tracks.isrc]
    return dict(zip(KEYS, (tracks.track_id, mbids, isrcs, named, artists), strict=True))


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
