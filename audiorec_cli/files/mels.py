"""The mels file: it grows for hours, a batch at a time, and is itself the state to resume from."""

import os
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

from audiorec_cli.errors import AudiorecError
from audiorec_cli.files.journal import JournaledFile, journal_of
from audiorec_cli.files.reading import (
    attribute,
    open_checked,
    opened,
    params,
    read,
    read_group,
    refusing_damage,
)
from audiorec_cli.files.schema import SCHEMA, SCHEMA_VERSION
from audiorec_cli.files.writing import (
    encoded,
    stamp,
    stored_dtype,
    written_whole,
)
from audiorec_cli.records import N_FRAMES, N_MELS, Failure, Mels, Tracks
from audiorec_cli.workers import uninterrupted

ROWS_A_CHUNK = 1024
FAILURE_COLUMNS = tuple(column.name for column in fields(Failure))


def load_mels(path):
    """Read Mels from `path`, without the spectrograms; AudiorecError where it holds no track."""
    with opened(path, "mels") as file:
        mels = _mels_of(file)
    if not len(mels.tracks):
        raise AudiorecError(f"{path} holds no tracks yet: run 'audiorec mels AUDIO' to its end")
    return mels


def load_failures(path):
    """Read the Failures of a mels file; AudiorecError where it is none."""
    with opened(path, "mels") as file:
        return _failures_of(file)


def _failures_of(file):
    columns = (read(file, f"failures/{column}") for column in FAILURE_COLUMNS)
    return [
        Failure(path, reason, int(size), int(mtime_ns))
        for path, reason, size, mtime_ns in zip(*columns, strict=True)
    ]


def _mels_of(file):
    return Mels(
        tracks=Tracks(**read_group(file, "tracks")),
        excerpt_track=read(file, "excerpts/track"),
        start_s=read(file, "excerpts/start_s"),
        sound_s=read(file, "excerpts/sound_s"),
        failures=_failures_of(file),
        audio_folder=attribute(file, "audio_folder"),
        params=params(file),
    )


class MelsReader:
    """The spectrograms of a mels file, an excerpt at a time; a context manager."""

    def __init__(self, path):
        self._path = path
        self._file = open_checked(path, "mels")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def read(self, row):
        """The log-mel spectrogram of excerpt `row`: (n_mels, n_frames) float16."""
        with refusing_damage(self._path, "mels"):
            return self._file["mels"][row]


class MelsWriter:
    """A mels file that grows, made where there is none; a context manager.

    `mels` is what the file held when it was opened, or after `remove`. Everything appended is on
    disk when `append` returns. A kill at any moment, a power failure or a full disk loses at most
    the batch in hand, and Ctrl-C not even that. A file that is new and got no track is removed at
    the end.

    n_frames : of each spectrogram, in a file that is new
    """

    def __init__(self, path, *, audio_folder, params, n_frames=N_FRAMES):
        self._path = Path(path)
        self._is_new = not self._path.exists()
        if self._is_new:
            journal_of(path).unlink(missing_ok=True)
            _create_empty(path, audio_folder, params, n_frames)
        self._load()

    def _load(self):
        self._file = open_checked(self._path, "mels", self._open)
        with refusing_damage(self._path, "mels"):
            self.mels = _mels_of(self._file)
        if "tracks/genre" not in self._file:
            self._add_genre()
        self._track_ids = set(self.mels.tracks.track_id)

    def _add_genre(self):
        """Bring a file up to date that was made when tracks had no genre."""
        _create_dataset(self._file, "tracks/genre", (len(self),))
        self._file["tracks/genre"][:] = encoded("mels", "tracks/genre", self.mels.tracks.genre)
        self._file.attrs["schema_version"] = SCHEMA_VERSION
        self._commit()

    def _open(self, path):
        self._disk = JournaledFile(path)
        try:
            return h5py.File(self._disk, "r+")
        except BaseException:
            self._disk.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        is_empty = not len(self)
        self._file.close()
        self._disk.close()
        if self._is_new and is_empty:
            self._path.unlink()

    def __len__(self):
        """Number of tracks in the file now."""
        return len(self._file["tracks/track_id"])

    def move_audio_folder(self, audio_folder):
        """Note that the library's paths now start from another folder."""
        encoded_folder = audio_folder.encode("utf-8", "surrogateescape")
        self._file.attrs.create("audio_folder", encoded_folder, dtype=h5py.string_dtype())
        self._commit()

    def append(self, batch, failures=()):
        """Store AnalysedTracks and Failures behind those that the file holds.

        Raises ValueError, and stores nothing, when a track_id is already there.
        """
        new_ids = [item.columns["track_id"] for item in batch]
        if len(self._track_ids | set(new_ids)) != len(self._track_ids) + len(new_ids):
            raise ValueError("a track_id occurs twice")
        values = _failures_at(len(self._file["failures/path"]), failures)
        self._write(values | _tracks_behind(self._file, batch))
        self._track_ids.update(new_ids)

    def replace(self, row, item):
        """Store an AnalysedTrack in the place of track `row`, whose file has changed.

        Raises ValueError when the number of excerpts differs.
        """
        first, end = np.searchsorted(self.mels.excerpt_track, [row, row + 1])
        if end - first != len(item.start_s):
            raise ValueError(f"{len(item.start_s)} excerpts in the place of {end - first}")
        values = {f"tracks/{c}": ([item.columns[c]], row) for c in Tracks.columns()}
        values["excerpts/start_s"] = (item.start_s, first)
        values["excerpts/sound_s"] = (item.sound_s, first)
        values["mels"] = (item.mels, first)
        self._write(values)

    def remove(self, rows, batch=()):
        """Take tracks out of the file, and store AnalysedTracks behind what is left.

        All of it is written beside the file, and takes its place when it is whole.
        Raises AudiorecError when the disk has no room for both.
        """
        with written_whole(self._path, os.path.getsize(self._path)) as new:
            mels = _mels_of(self._file)
            stamp(new, "mels", mels.params, audio_folder=mels.audio_folder)
            _create_datasets(new, self._file["mels"].shape[-1])
            self._copy_without(set(rows), mels, new)
            _store(new, _tracks_behind(new, batch))
        self._file.close()
        self._disk.close()
        self._load()

    def _copy_without(self, rows, mels, new):
        kept = np.array([row for row in range(len(mels.tracks)) if row not in rows], dtype=int)
        excerpts = np.flatnonzero(np.isin(mels.excerpt_track, kept))
        left = mels.tracks.take(kept)
        values = {f"tracks/{c}": getattr(left, c) for c in Tracks.columns()}
        values["excerpts/track"] = np.searchsorted(kept, mels.excerpt_track[excerpts])
        values["excerpts/start_s"] = mels.start_s[excerpts]
        values["excerpts/sound_s"] = mels.sound_s[excerpts]
        values |= {name: column for name, (column, _) in _failures_at(0, mels.failures).items()}
        for name, column in values.items():
            new[name].resize(len(column), axis=0)
            new[name][:] = encoded("mels", name, column)
        new["mels"].resize(len(excerpts), axis=0)
        for place, excerpt in enumerate(excerpts):
            new["mels"][place] = self._file["mels"][excerpt]

    def set_failures(self, failures):
        """Store Failures in the place of those that the file holds."""
        for column in FAILURE_COLUMNS:
            self._file[f"failures/{column}"].resize(0, axis=0)
        self._write(_failures_at(0, failures))

    def _write(self, values):
        """Store values = {dataset: (rows, where the first of them goes)}, all of them or none."""
        with uninterrupted():
            _store(self._file, values)
            self._commit()

    def _commit(self):
        try:
            self._file.flush()
            self._disk.commit()
        except OSError as error:
            raise AudiorecError(
                f"{self._path} cannot be written: {error.strerror}: make room, then run the same "
                "command again; what was stored before is kept"
            ) from error


def _store(file, values):
    """Put values = {dataset: (rows, where the first of them goes)} in an open file."""
    ready = {name: encoded("mels", name, rows) for name, (rows, _) in values.items()}
    for name, rows in ready.items():
        dataset, first = file[name], values[name][1]
        end = first + len(rows)
        if end > len(dataset):
            dataset.resize(end, axis=0)
        dataset[first:end] = rows


def _tracks_behind(file, batch):
    """What to write of AnalysedTracks, behind the tracks and excerpts that the file holds."""
    if not batch:
        return {}
    n_tracks, n_excerpts = len(file["tracks/track_id"]), len(file["mels"])
    columns = {f"tracks/{c}": [item.columns[c] for item in batch] for c in Tracks.columns()}
    rows = np.arange(n_tracks, n_tracks + len(batch))
    excerpts = {
        "excerpts/track": np.repeat(rows, [len(item.start_s) for item in batch]),
        "excerpts/start_s": np.concatenate([item.start_s for item in batch]),
        "excerpts/sound_s": np.concatenate([item.sound_s for item in batch]),
        "mels": np.concatenate([item.mels for item in batch]),
    }
    return {name: (column, n_tracks) for name, column in columns.items()} | {
        name: (column, n_excerpts) for name, column in excerpts.items()
    }


def _failures_at(first, failures):
    """What to write of the failures, as of row `first` of those that the file holds."""
    return {
        f"failures/{column}": ([getattr(failure, column) for failure in failures], first)
        for column in FAILURE_COLUMNS
    }


def _create_empty(path, audio_folder, params, n_frames):
    with written_whole(path, 0) as file:
        stamp(file, "mels", params, audio_folder=audio_folder)
        _create_datasets(file, n_frames)


def _create_datasets(file, n_frames):
    for name in SCHEMA["mels"]:
        _create_dataset(file, name, (0, N_MELS, n_frames) if name == "mels" else (0,))


def _create_dataset(file, name, shape):
    chunks = (1, *shape[1:]) if name == "mels" else (ROWS_A_CHUNK,)
    file.create_dataset(
        name,
        shape=shape,
        maxshape=(None, *shape[1:]),
        chunks=chunks,
        dtype=stored_dtype("mels", name),
    )
