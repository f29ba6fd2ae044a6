"""Unpitched percussion: each function renders one hit as a float array of a peak near 1."""

import numpy as np
from scipy.signal import butter, sosfilt


def _noise(seconds, decay, *, rate, rng):
    """White noise that dies away with the time constant `decay` in seconds."""
    time = np.arange(int(seconds * rate)) / rate
    return rng.standard_normal(len(time)) * np.exp(-time / decay)


def _filtered(signal, edge, kind, *, rate):
    """A second-order high- or low-pass at `edge` Hz, kept below the Nyquist frequency."""
    return sosfilt(butter(2, min(edge, 0.42 * rate), kind, fs=rate, output="sos"), signal)


def kick(*, rate, rng, pitch=50.0, sweep=4.0, decay=0.16, click=0.3):
    """A bass drum: a sine that falls from `sweep` + 1 times its final pitch in Hz, and a click."""
    time = np.arange(int(4 * decay * rate)) / rate
    frequency = pitch * (1.0 + sweep * np.exp(-time / 0.025))
    body = np.sin(2 * np.pi * np.cumsum(frequency) / rate) * np.exp(-time / decay)
    snap = rng.standard_normal(len(time)) * np.exp(-time / 0.003)
    fade = np.minimum((len(time) - np.arange(len(time))) / (0.01 * rate), 1.0)
    return (body + click * snap) * fade


def snare(*, rate, rng, pitch=190.0, decay=0.09, wires=0.6, edge=1500.0):
    """A snare drum: two modes of the skin and the high-passed noise of its wires."""
    hiss = _filtered(_noise(5 * decay, decay, rate=rate, rng=rng), edge, "highpass", rate=rate)
    time = np.arange(len(hiss)) / rate
    skin = np.sin(2 * np.pi * pitch * time) + 0.6 * np.sin(2 * np.pi * 1.7 * pitch * time)
    return wires * hiss + (1 - wires) * skin * np.exp(-time / (0.6 * decay))


def clap(*, rate, rng, decay=0.08, edge=1100.0):
    """Several hands that miss each other by some milliseconds."""
    hiss = _filtered(_noise(0.3, 1.0, rate=rate, rng=rng), edge, "highpass", rate=rate)
    time = np.arange(len(hiss)) / rate
    level = 0.8 * np.exp(-time / decay) * (time > 0.03)
    for start in (0.0, 0.011, 0.022):
        level += np.exp(-np.maximum(time - start, 0) / 0.005) * (time >= start)
    return 0.5 * hiss * level


def hat(*, rate, rng, decay=0.03, edge=6000.0):
    """A hi-hat: closed with a decay of some hundredths of a second, open with tenths."""
    hiss = _noise(5 * decay, decay, rate=rate, rng=rng)
    return 0.6 * _filtered(hiss, edge, "highpass", rate=rate)


def cymbal(*, rate, rng, decay=0.5, ping=0.5, pitch=2700.0):
    """A ride (much ping) or a crash (little): inharmonic partials in a wash of noise."""
    wash = _filtered(_noise(3 * decay, decay, rate=rate, rng=rng), 3500.0, "highpass", rate=rate)
    time = np.arange(len(wash)) / rate
    ratios = (1.0, 1.34, 1.63, 2.1, 2.51, 2.9)
    metal = sum(np.sin(2 * np.pi * pitch * ratio * time + ratio) for ratio in ratios)
    fade = np.minimum((3 * decay - time) / (0.3 * decay), 1.0)
    return fade * (0.35 * (1 - ping) * wash + ping / 6 * metal * np.exp(-time / (0.3 * decay)))


def tom(*, rate, rng, pitch=110.0, decay=0.18):
    """A tom: a kick of higher pitch and little sweep."""
    return kick(rate=rate, rng=rng, pitch=pitch, sweep=0.5, decay=decay, click=0.15)


def chip_noise(*, rate, rng, decay=0.05, hold=4):
    """Noise of a sound chip's shift register: random signs, each held for `hold` samples."""
    n_samples = int(5 * decay * rate)
    signs = np.repeat(rng.choice((-1.0, 1.0), n_samples // hold + 1), hold)[:n_samples]
    return signs * np.exp(-np.arange(n_samples) / (decay * rate))


def crackle(n_samples, *, rate, rng, clicks_per_second=12.0):
    """The dust of a vinyl record: sparse clicks of random loudness over a faint hiss."""
    dust = 0.004 * rng.standard_normal(n_samples)
    where = rng.integers(0, n_samples, int(clicks_per_second * n_samples / rate))
    dust[where] += rng.standard_normal(len(where)) * rng.exponential(0.3, len(where))
    return _filtered(dust, 1000.0, "highpass", rate=rate)
