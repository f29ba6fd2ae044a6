"""Lists of tracks: the rules for what comes into them, and what a playlist says of each."""

import contextlib
import functools
import os
from pathlib import Path, PurePosixPath

import numpy as np

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError
from audiorec_cli.names import is_nearly_same_title, normalised

SAME_SOUND = 0.98  # cosine of predicted factors: those of one recording's files are nearer


def require_list(out, relative_to, as_json, *, source=None):
    """Refuse a playlist that cannot be written to `out`, and options that do not go with it.

    out : a path, "-" for stdout, None for no playlist; source : a file that the list is made from
    """
    from audiorec_cli.output.playlists import require_playlist

    if out is not None:
        require_playlist(out)
    elif relative_to is not None:
        raise AudiorecError("--relative-to goes with --out: name a playlist to write")
    if out is not None and source is not None and Path(out).resolve() == source.resolve():
        raise AudiorecError(f"{out} is what the list is made from: name another file with --out")
    if out == "-" and as_json:
        raise AudiorecError("stdout holds one thing: leave out --json, or name a file with --out")


def entries_of(rows, predicted):
    """The playlist entries of rows of Predictions."""
    return [entry_of(row, predicted.tracks, predicted.audio_folder) for row in rows]


def entry_of(row, tracks, audio_folder, start_s=None):
    """The playlist entry of a row of Tracks; start_s : second of the track to begin at."""
    from audiorec_cli.output.playlists import Entry

    return Entry(
        os.path.join(audio_folder, tracks.path[row]),
        tracks.artist[row],
        tracks.title[row],
        float(tracks.duration_s[row]),
        start_s=start_s,
        album=tracks.album[row],
    )


@contextlib.contextmanager
def choosing(predicted, mels, *, limits, drop_duplicates):
    """A Chooser of rows of Predictions.

    limits : how many tracks of an "artist" and of an "album", None for any number
    mels : the mels file that tells which sound the same, None to look for it
    """
    from audiorec_cli.retrieval.choosing import Chooser

    limited = limits_of(predicted.tracks, limits)
    if not drop_duplicates:
        yield Chooser(limited)
        return
    with _telling_duplicates(predicted, mels) as is_duplicate:
        yield Chooser(limited, is_duplicate)


def limits_of(tracks, limits):
    """The limits of a Chooser of rows of Tracks; limits : as in `choosing`."""
    called = functools.cache(normalised)

    def artist(row):
        return called(tracks.artist[row]) or None

    def album(row):
        name = called(tracks.album[row])
        # "Greatest Hits" is an album of many; the tracks of one lie in a folder
        return (name, PurePosixPath(tracks.path[row]).parent) if name else None

    keys = {"artist": artist, "album": album}
    return [(keys[name], n) for name, n in limits.items() if n is not None]


@contextlib.contextmanager
def _telling_duplicates(predicted, mels):
    """A function that tells whether two rows of Predictions are files of one recording.

    By artist and title or, with the mels file that is named or that they were made from, by sound.
    """
    from audiorec_cli import files

    path = mels or mels_of(predicted)
    if path is None:
        console.note("no mels file here: duplicates are told by artist and title alone")
        yield functools.partial(_go_by_one_name, predicted.tracks)
        return
    library = files.load_mels(path)
    with files.MelsReader(path) as reader:
        sound_the_same = _comparing_sound(predicted, library, reader)
        yield (
            lambda one, other: (
                _go_by_one_name(predicted.tracks, one, other) or sound_the_same(one, other)
            )
        )


def mels_of(predicted):
    """The mels file that Predictions were made from, else the only one in this folder, or None."""
    from audiorec_cli import files

    path = Path(str(predicted.params.get("mels")))
    if path.is_file() and files.kind_of(path) == "mels":
        return path
    here = files.find_all("mels")
    return here[0] if len(here) == 1 else None


def rows_of(library, tracks):
    """Which row of some Tracks is the very file of which row of a library's: {row there: here}."""
    rows = {}
    for place, track_id in enumerate(library.track_id):
        row = tracks.row_of_track_id.get(track_id)
        if row is not None and all(
            getattr(library, column)[place] == getattr(tracks, column)[row]
            for column in ("path", "size", "mtime_ns")
        ):
            rows[place] = row
    return rows


def _go_by_one_name(tracks, one, other):
    artist = normalised(tracks.artist[one])
    if not artist or artist != normalised(tracks.artist[other]):
        return False
    return is_nearly_same_title(tracks.title[one], tracks.title[other])


def _comparing_sound(predicted, library, reader):
    """A function that tells whether two rows of Predictions sound as one recording would."""
    from audiorec_cli.retrieval.recordings import ALIKE, MAX_SHIFT_S, likeness

    first = np.searchsorted(library.excerpt_track, np.arange(len(library.tracks)))
    middle = first + (library.n_excerpts - 1) // 2
    place_of = {row: place for place, row in rows_of(library.tracks, predicted.tracks).items()}
    max_shift = round(MAX_SHIFT_S * library.params["sample_rate"] / library.params["hop_length"])

    @functools.lru_cache(maxsize=256)
    def mel_of(row):
        return reader.read(int(middle[place_of[row]])) if row in place_of else None

    def sound_the_same(one, other):
        factors = predicted.predicted_factors
        if factors[one] @ factors[other] < SAME_SOUND:
            return False
        mels = mel_of(one), mel_of(other)
        return all(mel is not None for mel in mels) and (
            likeness(*mels, max_shift=max_shift) >= ALIKE
        )

    return sound_the_same
