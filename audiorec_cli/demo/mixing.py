"""A mixing desk: mono channels on one timeline, their levels, reverb and the final loudness."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft
from scipy.ndimage import minimum_filter1d, uniform_filter1d
from scipy.signal import butter, sosfilt

PEAK = 10 ** (-1.0 / 20)  # -1 dBFS
LOUDNESS = 10 ** (-14.0 / 20)  # RMS of the louder half of a track
BLOCK_SECONDS = 0.1
LIMITER_BLOCK = 64  # samples
LIMITER_REACH = 6  # blocks


@dataclass(frozen=True)
class Strip:
    """How a channel enters the mix.

    level : dB of the channel's loud passages; pan : -1 (left) to 1 (right);
    send : share that goes to the reverb, 0 to 1.
    """

    level: float
    pan: float = 0.0
    send: float = 0.1


def loud_rms(signal, rate, *, share=0.5):
    """RMS of the loudest share of the blocks of a tenth of a second; 0 for silence."""
    block = int(BLOCK_SECONDS * rate)
    usable = len(signal) // block * block
    if not usable:
        return float(np.sqrt(np.mean(np.square(signal))))
    power = np.mean(np.square(signal[:usable]).reshape(-1, block), axis=1)
    loudest = np.sort(power)[-max(1, int(share * len(power))) :]
    return float(np.sqrt(loudest.mean()))


@lru_cache(maxsize=16)
def _reverb_spectrum(seconds, side, size, rate):
    """Spectrum of a room: noise whose highs die first, (size // 2 + 1,) complex64."""
    rng = np.random.default_rng(side)
    time = np.arange(min(int(1.5 * seconds * rate), size // 2)) / rate
    bright = rng.standard_normal(len(time)) * np.exp(-time * 6.9 / (0.4 * seconds))
    dark = sosfilt(butter(1, 1800.0, fs=rate, output="sos"), rng.standard_normal(len(time)))
    room = (0.3 * bright + dark * np.exp(-time * 6.9 / seconds)) * np.minimum(time / 0.008, 1.0)
    room /= np.sqrt(np.sum(room**2))
    return fft.rfft(room.astype(np.float32), size)


def reverberate(signal, seconds, *, rate, n_channels):
    """The sound of a room of the given reverberation time; returns (n_channels, n_samples)."""
    n_samples = len(signal)
    size = fft.next_fast_len(n_samples + int(seconds * rate), real=True)
    spectrum = fft.rfft(signal.astype(np.float32), size)
    rooms = [_reverb_spectrum(seconds, side, size, rate) for side in range(n_channels)]
    return np.stack([fft.irfft(spectrum * room, size)[:n_samples] for room in rooms])


def limit(signal, ceiling):
    """Turn the level down around peaks so that nothing exceeds the ceiling.

    signal : (n_channels, n_samples). Looks ahead and fades, rather than cutting the tops
    off: a flat top comes out of a lossy decoder far above where it went in.
    """
    n_samples = signal.shape[-1]
    n_blocks = -(-n_samples // LIMITER_BLOCK)
    peaks = np.zeros(n_blocks * LIMITER_BLOCK, signal.dtype)
    peaks[:n_samples] = np.abs(signal).max(axis=0)
    needed = ceiling / np.maximum(peaks.reshape(n_blocks, LIMITER_BLOCK).max(axis=1), ceiling)
    # Held one block longer than it is smoothed, the gain between two blocks suits both.
    held = minimum_filter1d(needed, 2 * LIMITER_REACH + 3)
    smooth = uniform_filter1d(held, 2 * LIMITER_REACH + 1)
    centres = (np.arange(n_blocks) + 0.5) * LIMITER_BLOCK
    return signal * np.interp(np.arange(n_samples), centres, smooth).astype(signal.dtype)


def master(signal, *, rate):
    """Remove what lies below hearing, set the common loudness and limit the peaks to -1 dBFS.

    signal : (n_channels, n_samples). Returns the same shape, float32.
    """
    audible = sosfilt(butter(2, 28.0, "highpass", fs=rate, output="sos"), signal)
    # Low bass carries much power and little loudness; weighing it down keeps styles level.
    weighted = sosfilt(butter(1, 120.0, "highpass", fs=rate, output="sos"), audible.mean(axis=0))
    gain = LOUDNESS / (loud_rms(weighted, rate) + 1e-9)
    return limit((gain * audible).astype(np.float32), PEAK)


class Mix:
    """Mono channels by name, each as long as the track."""

    def __init__(self, n_samples, rate):
        self.n_samples = n_samples
        self.rate = rate
        self.channels = {}

    def add(self, channel, sound, at, gain=1.0):
        """Add a sound to a channel at a time in seconds; what overhangs the track is cut."""
        if channel not in self.channels:
            self.channels[channel] = np.zeros(self.n_samples, np.float32)
        track = self.channels[channel]
        start = max(0, round(at * self.rate))
        room = self.n_samples - start
        if room > 0:
            track[start : start + len(sound)] += (gain * sound[:room]).astype(np.float32)

    def process(self, channel, effect):
        """Replace a channel, where it exists, by effect(channel)."""
        if channel in self.channels:
            self.channels[channel] = effect(self.channels[channel]).astype(np.float32)

    def duck(self, channels, times, *, depth, release=0.2):
        """Press channels down at every time in seconds: the pumping of a side-chain."""
        latest = np.full(self.n_samples, -10 * self.rate)
        starts = np.round(np.asarray(times) * self.rate).astype(int)
        starts = starts[starts < self.n_samples]
        latest[starts] = starts
        since = (np.arange(self.n_samples) - np.maximum.accumulate(latest)) / self.rate
        gain = 1.0 - depth * np.exp(-since / release)
        for channel in channels:
            self.process(channel, lambda sound: sound * gain)

    def mixdown(self, strips, *, n_channels, reverb_seconds, wet=0.5):
        """Balance the channels, add the room and master; returns (n_channels, n_samples)."""
        dry = np.zeros((n_channels, self.n_samples), np.float32)
        send = np.zeros(self.n_samples, np.float32)
        for name, sound in self.channels.items():
            strip = strips[name]
            loudness = loud_rms(sound, self.rate)
            levelled = sound * np.float32(10 ** (strip.level / 20) / (loudness + 1e-6))
            sides = (1.0 - strip.pan, 1.0 + strip.pan) if n_channels == 2 else (1.0,)
            for side, gain in enumerate(sides):
                dry[side] += np.float32(gain) * levelled
            send += np.float32(strip.send) * levelled
        room = reverberate(send, reverb_seconds, rate=self.rate, n_channels=n_channels)
        return master(dry + np.float32(wet) * room, rate=self.rate)
