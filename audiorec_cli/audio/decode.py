"""Excerpts of an audio file as mono samples, whatever the format, whatever its header claims.

soundfile decodes what libsndfile knows (WAV, AIFF …) and PyAV the rest (AAC, WMA, Matroska …).
Others take less time for FLAC, MP3, Ogg and MP4. All read blocks, so a header that lies cannot ask
for more than the excerpt.
"""

import os
import stat
from typing import NamedTuple

import numpy as np
import soxr

from audiorec_cli.audio.sound import Undecodable, UnknownFormat
from audiorec_cli.audio.with_soundfile import SoundfileSound

MIN_SECONDS = 3.0


class Excerpt(NamedTuple):
    """Some seconds of a track.

    samples : (n,) float32, mono, with silence at the end where the track has no more
    start_s : where in the track they begin, seconds
    sound_s : how many seconds of them are the track's
    """

    samples: np.ndarray
    start_s: float
    sound_s: float


def read_excerpts(path, transform, *, starts, seconds, sample_rate):
    """Decode excerpts of the audio file at `path`, one after the other.

    transform : what to keep of an Excerpt; only one is in memory at a time
    starts : the seconds at which excerpts begin, given the track's duration in seconds
    Each has round(seconds * sample_rate) samples, resampled to sample_rate [Hz]; those of which
    the track has less than MIN_SECONDS are left out.
    Returns the track's duration in seconds and what transform gave. Raises Undecodable when no
    excerpt is left, OSError when the file cannot be opened.
    """
    with _open_regular(path) as file:
        for sound_of in _decoders(file):
            file.seek(0)
            try:
                with sound_of(file) as sound:
                    return sound.duration_s, _read_all(
                        sound, transform, starts(sound.duration_s), seconds, sample_rate
                    )
            except UnknownFormat as error:
                refusal = error
        raise refusal


def _open_regular(path):
    """The file, unless it is a FIFO or a device, whose reading would never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Undecodable("not a regular file")
    if not os.path.getsize(path):
        raise Undecodable("empty, so not audio that can be decoded")
    return open(path, "rb", buffering=0)  # decoders share its position


def _decoders(file):
    """The decoders to try, one after the other: imported late, for not every library needs all."""
    start = file.read(8)
    may_be_mpeg = start[:3] == b"ID3" or start[:1] == b"\xff"
    if start[:4] == b"fLaC":
        from audiorec_cli.audio.with_miniaudio import FlacSound

        yield FlacSound
    if may_be_mpeg:
        from audiorec_cli.audio.mp3 import Mp3Sound

        yield Mp3Sound
    # libsndfile guesses how long MPEG lasts, and takes more time for Ogg
    av_comes_first = may_be_mpeg or start[:4] == b"OggS"
    if not av_comes_first:
        yield SoundfileSound
    if start[:4] == b"OggS" or start[4:] == b"ftyp":
        from audiorec_cli.audio.with_graph import GraphSound

        yield GraphSound
    from audiorec_cli.audio.with_av import AvSound

    yield AvSound
    if av_comes_first:
        yield SoundfileSound


def _read_all(sound, transform, starts, seconds, sample_rate):
    kept = []
    for start_s in starts:
        samples, start_s = sound.read(start_s, seconds)
        sound_s = len(samples) / sound.rate
        if sound_s >= MIN_SECONDS:
            fitted = _fit(samples, sound.rate, sample_rate, round(seconds * sample_rate))
            kept.append(transform(Excerpt(fitted, start_s, sound_s)))
    if not kept and sound.duration_s < MIN_SECONDS:
        raise Undecodable(f"shorter than {MIN_SECONDS:g} seconds")
    if not kept:
        raise Undecodable(f"cut off: it claims {sound.duration_s:.0f} s and has no sound there")
    return kept


def _fit(samples, rate, sample_rate, n_samples):
    """Samples at `rate` [Hz] as n_samples at sample_rate [Hz]."""
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate)
    if len(samples) < n_samples:
        samples = np.concatenate([samples, np.zeros(n_samples - len(samples), np.float32)])
    return samples[:n_samples]
