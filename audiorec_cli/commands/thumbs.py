"""Thumbs up and down of a library's tracks, from a file that names them as people do."""

from collections import defaultdict

import numpy as np

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError
from audiorec_cli.names import plain

NAMES_SHOWN = 3


def load_thumbs(path, library):
    """The Thumbs of a file that are of tracks of a library, Mels; notes what is left out.

    A seed is a track of the library, or else the name of a station. Raises AudiorecError where none
    is of its tracks, or where no seed has a pair.
    """
    from audiorec_cli.convnet.thumbs import teaching_seeds, thumbs_by_majority
    from audiorec_cli.listening.thumbs import read_thumbs

    reading = read_thumbs(path)
    _describe_reading(path, reading)
    rows_of = _rows_of_names(reading, library)
    known = [thumb for thumb in reading.thumbs if len(rows_of[thumb.track]) == 1]
    _describe_unknown(path, reading, rows_of, library, n_known=len(known))
    if not reading.names_stations:
        _describe_ambiguous_seeds(path, known, rows_of)
    seeds = {}  # what a seed is → its number
    numbers = []
    for thumb in known:
        rows = [] if reading.names_stations else rows_of[thumb.seed]
        what = rows[0] if len(rows) == 1 else thumb.seed
        numbers.append(seeds.setdefault(what, len(seeds)))
    thumbs = thumbs_by_majority(
        np.array(numbers),
        np.array([rows_of[thumb.track][0] for thumb in known]),
        np.array([thumb.is_up for thumb in known]),
        np.array([-1 if isinstance(what, str) else what for what in seeds]),
    )
    _describe_thumbs(path, thumbs, n_known=len(known))
    if not len(teaching_seeds(thumbs)):
        raise AudiorecError(
            f"{path}: no seed has tracks of the library both up and down, and a station takes two "
            "that are up: there is nothing to learn from without more thumbs"
        )
    return thumbs


def _rows_of_names(reading, library):
    """{name in a ThumbReading: rows of the tracks that are called so}, by the first key with any.

    The keys are track_id, path, "artist - title" and title; names differ in what people write
    differently.
    """
    from audiorec_cli.retrieval.lookup import find_paths

    tracks = library.tracks
    texts = {thumb.track for thumb in reading.thumbs} | {thumb.seed for thumb in reading.thumbs}
    texts = sorted(texts)
    names, titles = defaultdict(list), defaultdict(list)
    for row in range(len(tracks)):
        names[plain(tracks.name(row))].append(row)
        titles[plain(tracks.title[row])].append(row)
    rows_of = {}
    for text, of_path in zip(texts, find_paths(texts, tracks, library.audio_folder), strict=True):
        row = tracks.row_of_track_id.get(text, of_path)
        name = plain(text)
        rows_of[text] = [row] if row is not None else names.get(name) or titles.get(name) or []
    return rows_of


def _describe_reading(path, reading):
    if reading.neutral_rows:
        console.note(
            f"{console.counted(reading.neutral_rows, 'row')} of {path} left out: neither up nor "
            "down"
        )
    if reading.broken_rows:
        told = "; ".join(reading.broken_shown)
        told += "; …" * (reading.broken_rows > len(reading.broken_shown))
        console.note(f"{console.counted(reading.broken_rows, 'broken row')} left out: {told}")


def _describe_unknown(path, reading, rows_of, library, *, n_known):
    """Note whose thumbs are left out. AudiorecError where all are."""
    names = [thumb.track for thumb in reading.thumbs]
    for is_left_out, why in (
        (lambda rows: not rows, "of tracks that are not in the library"),
        (lambda rows: len(rows) > 1, "of names that several tracks have, so give their track_id"),
    ):
        left_out = [name for name in names if is_left_out(rows_of[name])]
        distinct = list(dict.fromkeys(left_out))
        shown = "; ".join(distinct[:NAMES_SHOWN]) + " …" * (len(distinct) > NAMES_SHOWN)
        if left_out:
            console.note(f"{console.counted(len(left_out), 'thumb')} left out, {why}: {shown}")
    if not n_known:
        tracks = library.tracks
        shown = "; ".join(tracks.track_id[:NAMES_SHOWN])
        raise AudiorecError(
            f"no track of {path} is in the library, which has {shown} …: name them by track_id, "
            'path, "artist - title" or title'
        )


def _describe_ambiguous_seeds(path, known, rows_of):
    seeds = list(dict.fromkeys(t.seed for t in known if len(rows_of[t.seed]) > 1))
    if seeds:
        shown = "; ".join(seeds[:NAMES_SHOWN]) + " …" * (len(seeds) > NAMES_SHOWN)
        console.note(
            f"{path}: {console.counted(len(seeds), 'seed')} taken for stations, as several tracks "
            f"are called so: {shown}; where a track is meant give its track_id"
        )


def _describe_thumbs(path, thumbs, *, n_known):
    n_up, is_track = thumbs.is_up.sum(), thumbs.seed_track >= 0
    n_thumbs = console.counted(len(thumbs), "thumb")
    console.note(
        f"{path}: {n_thumbs}, {n_up} up and {len(thumbs) - n_up} down, at "
        f"{console.counted(is_track.sum(), 'track')} and "
        f"{console.counted((~is_track).sum(), 'station')}"
    )
    if n_more := n_known - len(thumbs):
        console.note(
            f"{n_more} thumbs repeat or contradict others of the same track and seed, or are of "
            "the seed: what most of them say counts"
        )
