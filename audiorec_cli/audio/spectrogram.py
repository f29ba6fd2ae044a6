"""The log-mel spectrogram that the network hears."""

from functools import lru_cache

import numpy as np
from scipy import fft, sparse

from audiorec_cli.mel_scale import edges_of_filters

FRAMES_AT_A_TIME = 64  # few enough to stay in a core's cache


def log_mel_spectrogram(samples, settings):
    """The log-compressed mel spectrogram log(1 + c · mel magnitude) of a mono signal.

    samples : (n,) float32 at settings.sample_rate, n >= settings.n_fft
    Returns (n_mels, n_frames) float32, non-negative; frames are not padded or centred.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, settings.n_fft)
    frames = frames[:: settings.hop_length]
    window, filterbank = _window(settings.n_fft), mel_filterbank(settings)
    mel = np.empty((settings.n_mels, len(frames)), np.float32)
    for first in range(0, len(frames), FRAMES_AT_A_TIME):
        block = slice(first, first + FRAMES_AT_A_TIME)
        # along the first axis of the transpose: it comes out as the filterbank wants it
        magnitude = np.abs(fft.rfft((frames[block] * window).T, axis=0))
        mel[:, block] = filterbank @ magnitude
    mel *= settings.compression
    mel += 1  # log1p would take several times as long, to be right by less than 1e-7 more
    return np.log(mel, out=mel)


def as_float16(values):
    """Numbers from 0 to 65,504, float32, as the nearest float16, ties to even.

    numpy converts one number after the other, which takes three times as long, and sixty times for
    quiet music, whose numbers are subnormal. Of these a few in a million are off by 2⁻²⁴, being
    rounded twice.
    """
    bits = (values * np.float32(2.0**-112)).view(np.uint32)  # the exponent as float16 has it
    bits += 0xFFF + (bits >> 13 & 1)
    bits >>= 13
    return bits.astype(np.uint16).view(np.float16)


@lru_cache
def _window(n_fft):
    """The Hann window, periodic: (n_fft,) float32."""
    return np.hanning(n_fft + 1)[:-1].astype(np.float32)


@lru_cache
def mel_filterbank(settings):
    """Triangular mel filters, each of unit area over Hz (Slaney).

    Returns (n_mels, n_fft // 2 + 1) CSR float32, from 0 Hz to half the sample rate.
    """
    bins_hz = np.linspace(0, settings.sample_rate / 2, settings.n_fft // 2 + 1)
    edges_hz = edges_of_filters(settings.n_mels, settings.sample_rate)
    lower, centre, upper = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - lower) / (centre - lower)
    falling = (upper - bins_hz) / (upper - centre)
    triangles = np.maximum(0, np.minimum(rising, falling)) * 2 / (upper - lower)
    return sparse.csr_matrix(triangles.astype(np.float32))
