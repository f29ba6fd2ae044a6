"""The mels file: it grows for hours, a batch at a time, and is itself the state to resume from."""

from pathlib import Path

import h5py
import numpy as np

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

ROWS_A_CHUNK = 1024


def load_mels(path):
    """Read Mels from `path`, without the spectrograms; AudiorecError where it holds none."""
    with opened(path, "mels") as file:
        return _mels_of(file)


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
    returns, so that a kill at any moment loses at most the batch in hand.
    """

    def __init__(self, path, *, audio_folder, params):
        self.is_new = not Path(path).exists()
        if self.is_new:
            _create_empty(path, audio_folder, params)
        self._path = Path(path)
        self._file = open_checked(path, "mels", "r+")
        with refusing_damage(path, "mels"):
            self.mels = _mels_of(self._file)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def move_audio_folder(self, audio_folder):
        """Note that the library's paths now start from another folder."""
        encoded_folder = audio_folder.encode("utf-8", "surrogateescape")
        self._file.attrs.create("audio_folder", encoded_folder, dtype=h5py.string_dtype())

    def append(self, batch):
        """Store AnalysedTracks behind those that the file holds."""
        self._require_space(batch)
        first_track = len(self._file["tracks/track_id"])
        excerpt_track = np.repeat(
            np.arange(first_track, first_track + len(batch)), [len(item.start_s) for item in batch]
        )
        for column in Tracks.columns():
            self._extend(f"tracks/{column}", [item.columns[column] for item in batch])
        self._extend("excerpts/track", excerpt_track)
        self._extend("excerpts/start_s", np.concatenate([item.start_s for item in batch]))
        self._extend("mels", np.concatenate([item.mels for item in batch]))
        self._file.flush()

    def replace(self, row, item):
        """Store an AnalysedTrack in the place of track `row`, whose file has changed.

        The row's size and mtime go in last: a kill before that has the track done again.
        Raises ValueError when the number of excerpts differs.
        """
        self._require_space([item])
        (excerpts,) = np.nonzero(self._file["excerpts/track"][()] == row)
        if len(excerpts) != len(item.start_s):
            raise ValueError(f"{len(item.start_s)} excerpts in the place of {len(excerpts)}")
        for excerpt, start_s, mel in zip(excerpts, item.start_s, item.mels, strict=True):
            self._file["mels"][excerpt] = mel
            self._file["excerpts/start_s"][excerpt] = start_s
        self._file.flush()
        for column in Tracks.columns():
            name = f"tracks/{column}"
            self._file[name][row] = encoded("mels", name, [item.columns[column]])[0]
        self._file.flush()

    def set_failures(self, failures):
        """Store the list of (path, reason) in the place of the one that the file holds."""
        for column, texts in zip(
            ("path", "reason"), zip(*failures, strict=True) if failures else ((), ()), strict=True
        ):
            self._file[f"failures/{column}"].resize(0, axis=0)
            self._extend(f"failures/{column}", texts)
        self._file.flush()

    def discard(self):
        """Close and remove the file."""
        self._file.close()
        self._path.unlink()

    def _extend(self, name, values):
        dataset = self._file[name]
        first = len(dataset)
        dataset.resize(first + len(values), axis=0)
        dataset[first:] = encoded("mels", name, values)

    def _require_space(self, batch):
        require_space(self._path.parent, sum(item.mels.nbytes for item in batch))


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
