"""What the files hold, in memory: frozen dataclasses that refuse what does not fit together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

N_MELS = 128
N_FRAMES = 599  # of an excerpt, unless a mels file was made with other windows

UNIT_NORM_TOLERANCE = 1e-3


def _require(condition, message):
    if not condition:
        raise ValueError(message)


class _Table:
    """Columns of equal length, one row a track."""

    def __post_init__(self):
        lengths = {f.name: len(getattr(self, f.name)) for f in fields(self)}
        _require(len(set(lengths.values())) == 1, f"columns of unequal length: {lengths}")
        _require(len(set(self.track_id)) == len(self), "a track_id occurs twice")

    def __len__(self):
        return len(self.track_id)

    @cached_property
    def row_of_track_id(self):
        """{track_id: row}."""
        return {track_id: row for row, track_id in enumerate(self.track_id)}

    @classmethod
    def columns(cls):
        """Names of the columns, in the order of the file schema."""
        return tuple(f.name for f in fields(cls))

    def take(self, rows):
        """The same columns, these rows only, in this order."""
        return type(self)(**{c: _take(getattr(self, c), rows) for c in self.columns()})

    def followed_by(self, other):
        """The rows of both tables, this one's first."""
        pairs = {c: (getattr(self, c), getattr(other, c)) for c in self.columns()}
        return type(self)(
            **{c: a + b if isinstance(a, list) else np.r_[a, b] for c, (a, b) in pairs.items()}
        )


@dataclass(frozen=True)
class Tracks(_Table):
    """Tracks of an audio library (n rows).

    track_id : unique names, by default the path without its suffix
    path : paths relative to the audio folder
    title, artist, album, isrc, mbid, genre : tags, "" where unknown, or None for no genre at all
    duration_s : (n,) float64, seconds; size : (n,) int64, bytes; mtime_ns : (n,) int64
    """

    track_id: list[str]
    path: list[str]
    title: list[str]
    artist: list[str]
    album: list[str]
    duration_s: np.ndarray
    size: np.ndarray
    mtime_ns: np.ndarray
    isrc: list[str]
    mbid: list[str]
    genre: list[str] | None = None

    def __post_init__(self):
        if self.genre is None:
            object.__setattr__(self, "genre", [""] * len(self))
        super().__post_init__()
        good = np.isfinite(self.duration_s) & (self.duration_s >= 0)
        _require(good.all(), "a duration that is no length of time")

    @cached_property
    def row_of_path(self):
        """{path: row}."""
        return {path: row for row, path in enumerate(self.path)}

    def name(self, row):
        """The track as people write it: "artist - title", or the title alone."""
        return _name(self.artist[row], self.title[row], self.track_id[row])


@dataclass(frozen=True)
class LoggedTracks(_Table):
    """Tracks as a listening log names them (n rows).

    track_id : unique names in the log; title, artist, isrc, mbid : "" where the log is silent
    plays : (n,) float64, plays over all listeners; listeners : (n,) int64
    """

    track_id: list[str]
    title: list[str]
    artist: list[str]
    isrc: list[str]
    mbid: list[str]
    plays: np.ndarray
    listeners: np.ndarray

    @classmethod
    def unplayed(cls, track_id, title, artist, isrc, mbid):
        """Tracks that nobody in the log has played."""
        n = len(track_id)
        return cls(track_id, title, artist, isrc, mbid, np.zeros(n), np.zeros(n, np.int64))

    def name(self, row):
        """The track as people write it: "artist - title", or what the log calls it."""
        return _name(self.artist[row], self.title[row], self.track_id[row])


def _name(artist, title, track_id):
    if not title:
        return track_id
    return f"{artist} - {title}" if artist else title


def _digest(parts):
    """A digest of bytes and arrays, one after the other."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part))
    return digest.hexdigest()


def _take(column, rows):
    return [column[row] for row in rows] if isinstance(column, list) else column[rows]


@dataclass(frozen=True)
class Plays:
    """A listening log: plays[u, i] is how often listener u played track i.

    plays : (n_users, n_tracks) CSR float32, positive where stored
    """

    user_id: list[str]
    tracks: LoggedTracks
    plays: csr_matrix

    def __post_init__(self):
        shape = (len(self.user_id), len(self.tracks))
        _require(self.plays.shape == shape, f"plays are {self.plays.shape}, not {shape}")
        _require(len(set(self.user_id)) == len(self.user_id), "a user_id occurs twice")
        good = np.isfinite(self.plays.data) & (self.plays.data > 0)
        _require(good.all(), "plays must be positive and finite")

    def take(self, rows):
        """The log with these tracks only, in this order, and all its listeners."""
        return Plays(self.user_id, self.tracks.take(rows), self.plays[:, rows])


@dataclass(frozen=True)
class Factors:
    """Latent factors of the tracks and the listeners of a log, and the log itself.

    track_factors : (n_tracks, n_factors) float32, unit norm, or zero where the norm is
    norm : (n_tracks,) float32, before; 0 for tracks held out, which no factor has seen
    user_factors : (n_users, n_factors) float32, not normalised
    is_test : (n_tracks,) bool, tracks that no network may train on: all that are held out, and
        those marked to be tested though the fit has seen them
    params : the settings they were made with
    """

    log: Plays
    track_factors: np.ndarray
    norm: np.ndarray
    user_factors: np.ndarray
    is_test: np.ndarray
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        n_factors = self.track_factors.shape[-1]
        for name, factors, n in (
            ("track_factors", self.track_factors, len(self.log.tracks)),
            ("user_factors", self.user_factors, len(self.log.user_id)),
        ):
            _require(factors.shape == (n, n_factors), f"{name} are {factors.shape}")
            _require(np.isfinite(factors).all(), f"{name} are not finite")
        for name in ("norm", "is_test"):
            shape = getattr(self, name).shape
            _require(shape == (len(self.log.tracks),), f"{name} does not fit the tracks")
        _require_unit_norm(self.track_factors[~self.is_held_out], "track_factors")
        _require(not self.track_factors[self.is_held_out].any(), "factors of tracks held out")
        _require(self.is_test[self.is_held_out].all(), "tracks held out that are no test tracks")

    @cached_property
    def is_held_out(self):
        """(n_tracks,) bool: the tracks that were set aside before the fit."""
        return self.norm == 0

    @property
    def fitted_track_factors(self):
        """(n_tracks, n_factors) float32: the track factors before they were normalised."""
        return self.track_factors * self.norm[:, None]

    @cached_property
    def fingerprint(self):
        """A digest of the factors, to tell one fit's space from another's."""
        return _digest((self.track_factors, self.user_factors))


def _require_unit_norm(factors, name):
    deviation = np.abs(np.linalg.norm(factors, axis=1) - 1)
    _require((deviation < UNIT_NORM_TOLERANCE).all(), f"{name} are not of unit norm")


@dataclass(frozen=True)
class Failure:
    """A file that gave no track, and the reason.

    size : bytes, mtime_ns : when it was tried; -1 where the file could not be opened
    """

    path: str
    reason: str
    size: int = -1
    mtime_ns: int = -1


@dataclass(frozen=True)
class Mels:
    """What a mels file says of its tracks and excerpts; the spectrograms stay on disk.

    excerpt_track : (n_excerpts,) int64, row of the excerpt's track, in ascending order, all tracks
    start_s : (n_excerpts,) float64, where in the track the excerpt begins, seconds
    sound_s : (n_excerpts,) float64, seconds of it that hold sound; the rest is silence, put there
        because the track has no more
    failures : the Failure of every file that gave no track
    audio_folder : absolute path that the tracks' paths start from
    params : the settings of the spectrogram, and "excerpts", how many were taken of a track
    """

    tracks: Tracks
    excerpt_track: np.ndarray
    start_s: np.ndarray
    sound_s: np.ndarray
    failures: list[Failure]
    audio_folder: str
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        _require(self.excerpt_track.shape == self.start_s.shape, "excerpts are not aligned")
        rows = self.excerpt_track
        _require(((rows >= 0) & (rows < len(self.tracks))).all(), "an excerpt without its track")
        _require((np.diff(rows) >= 0).all(), "excerpts out of the order of their tracks")
        _require(len(set(rows.tolist())) == len(self.tracks), "a track without an excerpt")
        _require(self.sound_s.shape == rows.shape, "sound_s is not aligned")
        _require(np.isfinite(self.start_s).all(), "start_s is not finite")
        _require((self.sound_s > 0).all(), "an excerpt without sound")

    @cached_property
    def n_excerpts(self):
        """(n_tracks,) number of excerpts of each track."""
        return np.bincount(self.excerpt_track, minlength=len(self.tracks))

    @property
    def spectrogram(self):
        """The settings that a spectrogram depends on, however many are taken of a track."""
        return {name: value for name, value in self.params.items() if name != "excerpts"}


@dataclass(frozen=True)
class AnalysedTrack:
    """One track's row and its excerpts, ready for the mels file.

    columns : a value for each of Tracks' columns
    start_s, sound_s : (k,) seconds; mels : (k, n_mels, n_frames) float16
    """

    columns: dict[str, Any]
    start_s: np.ndarray
    sound_s: np.ndarray
    mels: np.ndarray


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and all that training needs to go on from here.

    settings : {"network": …, "training": …} the settings dataclasses as dictionaries, "match": what
        log and library were joined by, "examples": a digest of what was trained on, "factors": the
        fingerprint of the Factors, "spectrogram": the params of the Mels
    weights : name → float32 array, of the epoch with the lowest validation loss
    latest_weights, optimizer : name → float32 array, as the last finished epoch left them
    mel_mean, mel_deviation : (n_mels,) float32, over the training mels, a bin at a time
    history : one row an epoch: columns epoch, learning_rate, train_loss, validation_loss, seconds
    split : {"train": [track_id …], "validation": […], "test": […]}
    """

    settings: dict[str, Any]
    weights: dict[str, np.ndarray]
    latest_weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    mel_mean: np.ndarray
    mel_deviation: np.ndarray
    history: dict[str, np.ndarray]
    split: dict[str, list[str]]

    HISTORY = ("epoch", "learning_rate", "train_loss", "validation_loss", "seconds")
    SPLIT = ("train", "validation", "test")

    def __post_init__(self):
        _require(set(self.history) == set(self.HISTORY), f"history of {sorted(self.history)}")
        _require(set(self.split) == set(self.SPLIT), f"split into {sorted(self.split)}")
        _require(set(self.weights) == set(self.latest_weights), "weights of two networks")
        _require(self.mel_mean.shape == self.mel_deviation.shape, "mel statistics not aligned")
        _require((self.mel_deviation > 0).all(), "a mel bin without deviation")
        arrays = (*self.weights.values(), *self.latest_weights.values(), *self.optimizer.values())
        for array in (self.mel_mean, self.mel_deviation, *arrays):
            _require(np.isfinite(array).all(), "weights that are not finite numbers")

    @property
    def epochs_done(self):
        """Number of finished epochs."""
        return len(self.history["epoch"])

    @cached_property
    def fingerprint(self):
        """A digest of the weights that predict, to tell one checkpoint's work from another's."""
        names = sorted(self.weights)
        return _digest([part for name in names for part in (name.encode(), self.weights[name])])


@dataclass(frozen=True)
class Predictions:
    """Factors that a checkpoint predicts for the tracks of a mels file.

    predicted_factors : (n_tracks, n_factors) float32, unit norm
    deviation : (n_tracks, n_factors) float32, the standard deviation that the network gives each
        factor; None where it gives none
    mel_statistics : (n_tracks, 2 * N_MELS) float16, the mean and the standard deviation over time
        of each mel bin, mean over a track's excerpts; None in files of versions 2 and 3
    fingerprint : of the checkpoint that made them
    """

    tracks: Tracks
    predicted_factors: np.ndarray
    fingerprint: str
    audio_folder: str
    deviation: np.ndarray | None = None
    mel_statistics: np.ndarray | None = None
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        _require(
            self.predicted_factors.ndim == 2 and len(self.predicted_factors) == len(self.tracks),
            f"predicted_factors are {self.predicted_factors.shape} for {len(self.tracks)} tracks",
        )
        _require_unit_norm(self.predicted_factors, "predicted_factors")
        if self.deviation is not None:
            _require(self.deviation.shape == self.predicted_factors.shape, "deviation misfits")
            good = np.isfinite(self.deviation) & (self.deviation > 0)
            _require(good.all(), "a deviation that is no positive number")
        if self.mel_statistics is not None:
            shape = self.mel_statistics.shape
            _require(shape == (len(self.tracks), 2 * N_MELS), f"mel statistics are {shape}")
            _require(np.isfinite(self.mel_statistics).all(), "mel statistics that are no numbers")


@dataclass(frozen=True)
class Recommendations:
    """Lists of tracks for the listeners of a log (m listeners, k tracks at most).

    user_id : m names; tracks : Tracks of the library
    recommended : (m, k) int32, rows of the tracks, the best first; -1 behind the end of a list
    scores : (m, k) float32, cosines of listener and track; 0 behind the end of a list
    params : "trust", how many listeners sound was worth; "fingerprint", of the checkpoint
    """

    user_id: list[str]
    tracks: Tracks
    recommended: np.ndarray
    scores: np.ndarray
    audio_folder: str
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        shape = self.recommended.shape
        _require(shape[:1] == (len(self.user_id),), f"{shape} lists of {len(self.user_id)} users")
        _require(self.scores.shape == shape, "scores do not fit the lists")
        _require(np.isfinite(self.scores).all(), "scores that are no numbers")
        good = (self.recommended >= -1) & (self.recommended < len(self.tracks))
        _require(good.all(), "a recommendation of no track")
