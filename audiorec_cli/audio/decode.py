"""The middle of an audio file as mono samples, whatever the format, whatever its header claims.

soundfile decodes what libsndfile knows (WAV, FLAC, OGG, Opus, MP3, AIFF …); PyAV takes the rest
(M4A, AAC, WMA …). Both read blocks, so a header that lies cannot ask for more than the excerpt.
"""

import os
import stat
from typing import NamedTuple

import av
import numpy as np
import soundfile
import soxr

MIN_SECONDS = 3.0
SAMPLE_RATES = range(4_000, 768_001)  # Hz
MAX_CHANNELS = 64
BLOCK_SAMPLES = 1 << 18

# Containers that only hold media. A playlist or a manifest could send the decoder elsewhere.
AV_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,caf,dsf,dts,eac3,flac,matroska,webm,mov,mp4,m4a,mp3,mpc,mpc8,"
    "ogg,tak,tta,w64,wav,wv"
)
# Bare streams of packets: what they claim to last is a guess from their bit rate.
AV_WITHOUT_DURATION = ("aac", "ac3", "amr", "dts", "eac3", "mp3")


class Undecodable(Exception):
    """A file that gives no excerpt; the message is a reason that a person understands."""


class Excerpt(NamedTuple):
    """Some seconds of a track.

    samples : (n,) float32, mono; start_s, duration_s : seconds, duration of the whole track
    """

    samples: np.ndarray
    start_s: float
    duration_s: float


def read_middle(path, *, seconds, sample_rate):
    """The middle `seconds` of the audio file at `path`, resampled to `sample_rate` [Hz], mono.

    A track shorter than that is padded with silence at its end. Returns an Excerpt of
    round(seconds * sample_rate) samples. Raises Undecodable.
    """
    with _open_regular(path) as file:
        try:
            with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
                native = _read_with_soundfile(sound, seconds)
        except soundfile.LibsndfileError:
            file.seek(0)
            native = _read_with_av(file, seconds)
    samples, rate, start_s, duration_s = native
    if len(samples) < MIN_SECONDS * rate:
        raise Undecodable(f"shorter than {MIN_SECONDS:g} seconds")
    if not np.isfinite(samples).all():
        raise Undecodable("holds samples that are not finite numbers")
    resampled = samples if rate == sample_rate else soxr.resample(samples, rate, sample_rate)
    n_samples = round(seconds * sample_rate)
    fitted = np.zeros(n_samples, np.float32)
    fitted[: len(resampled)] = resampled[:n_samples]
    return Excerpt(fitted, start_s, duration_s)


def _open_regular(path):
    """The file, unless it is a FIFO or a device, whose reading would never end."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Undecodable("not a regular file")
        if not os.path.getsize(path):
            raise Undecodable("empty, so not audio that can be decoded")
        return open(path, "rb")
    except OSError as error:
        raise Undecodable(f"cannot be opened: {os.strerror(error.errno)}") from error


def _middle(n_frames, rate, seconds):
    """First frame and number of frames of the excerpt."""
    wanted = min(n_frames, round(seconds * rate))
    return (n_frames - wanted) // 2, wanted


def _check_layout(rate, channels):
    if rate not in SAMPLE_RATES:
        raise Undecodable(f"has a sample rate of {rate} Hz")
    if not 0 < channels <= MAX_CHANNELS:
        raise Undecodable(f"has {channels} channels")


def _read_with_soundfile(sound, seconds):
    rate, channels = sound.samplerate, sound.channels
    _check_layout(rate, channels)
    first, wanted = _middle(sound.frames, rate, seconds)
    sound.seek(first)
    samples, filled = np.empty(wanted, np.float32), 0
    # a dot product mixes down many times faster than a mean over the short axis
    weights = np.full(channels, 1 / channels, np.float32)
    while filled < wanted:
        n = min(wanted - filled, BLOCK_SAMPLES // channels)
        block = sound.read(n, dtype="float32", always_2d=True)
        if not len(block):
            break
        samples[filled : filled + len(block)] = block @ weights
        filled += len(block)
    return samples[:filled], rate, first / rate, sound.frames / rate


def _read_with_av(file, seconds):
    try:
        options = {"format_whitelist": AV_FORMATS, "protocol_whitelist": "none"}
        with av.open(file, options=options, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise Undecodable("holds no audio")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise Undecodable("holds audio of an unknown codec")
            _check_layout(stream.rate or 0, stream.channels)
            return _read_stream(container, stream, seconds)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Undecodable("not audio that can be decoded") from error


def _read_stream(container, stream, seconds):
    rate = stream.rate
    n_frames = round(_duration_s(container, stream) * rate)
    first, wanted = _middle(n_frames, rate, seconds)
    container.seek(round(first / rate / stream.time_base), stream=stream)
    to_float = av.AudioResampler(format="fltp")
    blocks, position, end = [], None, first + wanted
    for decoded in container.decode(stream):
        if decoded.pts is None or decoded.sample_rate != rate:
            raise Undecodable("changes its sample rate, or has no time stamps")
        position = round(decoded.pts * decoded.time_base * rate)
        mono = np.concatenate([f.to_ndarray() for f in to_float.resample(decoded)], 1).mean(axis=0)
        blocks.append(mono[max(0, first - position) : max(0, end - position)])
        if position + len(mono) >= end:
            break
    samples = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
    return samples[:wanted], rate, first / rate, n_frames / rate


def _duration_s(container, stream):
    """Length of the stream in seconds, counted packet by packet where no header tells."""
    if container.format.name not in AV_WITHOUT_DURATION:
        if stream.duration:
            return float(stream.duration * stream.time_base)
        if container.duration:
            return container.duration / av.time_base
    ticks = sum(packet.duration or 0 for packet in container.demux(stream))
    return float(ticks * stream.time_base)
