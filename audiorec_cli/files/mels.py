"""The mels file: it grows for hours, a batch at a time, and is itself the state to resume from."""

from pathlib import Path

import h5py
import numpy as np

from audiorec_cli.errors import AudiorecError
from audiorec_cli.files.reading import (
    attribute,
    open_checked,
    opened,
    params,
    read,
    read_group,
    refusing_damage,
)
from audiorec_cli.files.schema import SCHEMA
from audiorec_cli.files.writing import (
    encoded,
    require_space,
    stamp,
    stored_dtype,
    written_whole,
)
from audiorec_cli.records import N_FRAMES, N_MELS, Mels, Tracks
from audiorec_cli.workers import uninterrupted

ROWS_A_CHUNK = 1024


def load_mels(path):
    """Read Mels from `path`, without the spectrograms; AudiorecError where it holds no track."""
    with opened(path, "mels") as file:
        mels = _mels_of(file)
    if not len(mels.tracks):
        raise AudiorecError(f"{path} holds no tracks yet: run 'audiorec mels AUDIO' to its end")
    return mels


def _mels_of(file):
    return Mels(
        tracks=Tracks(**read_group(file, "tracks")),
        excerpt_track=read(file, "excerpts/track"),
        start_s=read(file, "excerpts/start_s"),
        failures=list(zip(read(file, "failures/path"), read(file, "failures/reason"), strict=True)),
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

    `mels` is what the file held when it was opened. Everything appended is on disk when `append`
    returns, so that a kill at any moment loses at most the batch in hand. Ctrl-C does not cut a
    write in two. A file that is new and got no track is removed at the end.
    """

    def __init__(self, path, *, audio_folder, params):
        self._path = Path(path)
        self._is_new = not self._path.exists()
        if self._is_new:
            _create_empty(path, audio_folder, params)
        self._file = open_checked(path, "mels", "r+")
        with refusing_damage(path, "mels"):
            self.mels = _mels_of(self._file)
        self._track_ids = set(self.mels.tracks.track_id)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        is_empty = not len(self)
        self._file.close()
        if self._is_new and is_empty:
            self._path.unlink()

    def __len__(self):
        """Number of tracks in the file now."""
        return len(self._file["tracks/track_id"])

    def move_audio_folder(self, audio_folder):
        """Note that the library's paths now start from another folder."""
        encoded_folder = audio_folder.encode("utf-8", "surrogateescape")
        self._file.attrs.create("audio_folder", encoded_folder, dtype=h5py.string_dtype())

    def append(self, batch):
        """Store AnalysedTracks behind those that the file holds.

        Raises ValueError, and stores nothing, when a track_id is already there.
        """
        new_ids = [item.columns["track_id"] for item in batch]
        if len(self._track_ids | set(new_ids)) != len(self._track_ids) + len(new_ids):
            raise ValueError("a track_id occurs twice")
        values = {f"tracks/{c}": [item.columns[c] for item in batch] for c in Tracks.columns()}
        values["excerpts/track"] = np.repeat(
            np.arange(len(self), len(self) + len(batch)), [len(item.start_s) for item in batch]
        )
        values["excerpts/start_s"] = np.concatenate([item.start_s for item in batch])
        values["mels"] = np.concatenate([item.mels for item in batch])
        self._extend(values)
        self._track_ids.update(new_ids)

    def replace(self, row, item):
        """Store an AnalysedTrack in the place of track `row`, whose file has changed.

        Its size and mtime go in last: a kill before that has the track done again.
        Raises ValueError when the number of excerpts differs.
        """
        first, end = np.searchsorted(self.mels.excerpt_track, [row, row + 1])
        if end - first != len(item.start_s):
            raise ValueError(f"{len(item.start_s)} excerpts in the place of {end - first}")
        require_space(self._path.parent, item.mels.nbytes)
        last = ("size", "mtime_ns")
        with uninterrupted():
            self._file["mels"][first:end] = item.mels
            self._file["excerpts/start_s"][first:end] = item.start_s
            self._set_columns(row, item, [c for c in Tracks.columns() if c not in last])
            self._set_columns(row, item, last)

    def _set_columns(self, row, item, columns):
        for column in columns:
            name = f"tracks/{column}"
            self._file[name][row] = encoded("mels", name, [item.columns[column]])[0]
        self._file.flush()

    def set_failures(self, failures):
        """Store the list of (path, reason) in the place of the one that the file holds."""
        paths, reasons = zip(*failures, strict=True) if failures else ((), ())
        with uninterrupted():
            for column in ("path", "reason"):
                self._file[f"failures/{column}"].resize(0, axis=0)
            self._extend({"failures/path": paths, "failures/reason": reasons})

    def _extend(self, values):
        """Append to several datasets, all or, where encoding or space fails, none."""
        ready = {name: encoded("mels", name, column) for name, column in values.items()}
        require_space(self._path.parent, sum(column.nbytes for column in ready.values()))
        with uninterrupted():
            for name, column in ready.items():
                dataset = self._file[name]
                first = len(dataset)
                dataset.resize(first + len(column), axis=0)
                dataset[first:] = column
            self._file.flush()


def _create_empty(path, audio_folder, params):
    with written_whole(path, 0) as file:
        stamp(file, "mels", params, audio_folder=audio_folder)
        for name, field in SCHEMA["mels"].items():
            shape = (0, *field.shape[1:])
            chunks = (1, N_MELS, N_FRAMES) if name == "mels" else (ROWS_A_CHUNK,)
            file.create_dataset(
                name,
                shape=shape,
                maxshape=(None, *shape[1:]),
                chunks=chunks,
                dtype=stored_dtype("mels", name),
            )
