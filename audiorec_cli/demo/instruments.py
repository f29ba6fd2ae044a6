"""Pitched instruments and voices: each turns a frequency and a length into one note.

Every instrument is called as ``instrument(frequency, n_samples, rate=..., ...)`` with the
frequency in Hz and the rate in samples per second, and returns (n_samples,) floats of a peak
in the order of 1, which the mix levels later.
"""

from functools import lru_cache

import numpy as np
from scipy.signal import butter, sosfilt

TABLE_SIZE = 4096

# Formant frequencies in Hz of an adult's vowels, after Peterson and Barney (1952).
FORMANTS = {
    "a": (730.0, 1090.0, 2440.0),
    "e": (530.0, 1840.0, 2480.0),
    "i": (300.0, 2300.0, 3000.0),
    "o": (570.0, 840.0, 2410.0),
    "u": (320.0, 870.0, 2240.0),
}
BELL_PARTIALS = ((1.0, 1.0), (2.76, 0.4), (5.4, 0.15))
FORMANT_BANDWIDTHS = (90.0, 120.0, 170.0)
FORMANT_GAINS = (1.0, 0.6, 0.3)


def envelope(n_samples, rate, *, attack=0.005, release=0.02, decay=None):
    """Shape a note's loudness: a linear rise, an exponential decay and a linear release.

    attack, release, decay : seconds; decay is a time constant, None holds the level.
    Returns (n_samples,) within [0, 1].
    """
    time = np.arange(n_samples, dtype=np.float32) / rate
    level = np.minimum(time / attack, 1.0) * np.minimum((n_samples / rate - time) / release, 1.0)
    return level if decay is None else level * np.exp(-time / decay)


def harmonic_amplitudes(shape, n_harmonics):
    """Fourier amplitudes of a classic waveform: saw, square, pulse or triangle."""
    k = np.arange(1, n_harmonics + 1)
    if shape == "saw":
        return 1.0 / k
    if shape == "pulse":
        return np.sin(np.pi * k / 8) / k
    if shape == "square":
        return (k % 2) / k
    if shape == "triangle":
        return (k % 2) * np.where(k % 4 == 1, 1.0, -1.0) / k**2
    raise ValueError(f"unknown waveform {shape!r}")


def table_from_harmonics(amplitudes):
    """One period, (TABLE_SIZE,) float32, of the sines with the given amplitudes, peak 1."""
    spectrum = np.zeros(TABLE_SIZE // 2 + 1, complex)
    spectrum[1 : len(amplitudes) + 1] = -1j * amplitudes
    period = np.fft.irfft(spectrum)
    return (period / np.abs(period).max()).astype(np.float32)


def harmonic_frequencies(semitone, rate):
    """Frequencies in Hz of the partials of a MIDI note that stay below the Nyquist frequency."""
    fundamental = 440.0 * 2.0 ** ((semitone - 69) / 12)
    n_harmonics = max(1, min(int(0.45 * rate / fundamental), TABLE_SIZE // 2 - 1))
    return fundamental * np.arange(1, n_harmonics + 1)


@lru_cache(maxsize=2048)
def wave_period(shape, semitone, cutoff, rate):
    """A period of a waveform without aliasing, low-passed at `cutoff` Hz by 12 dB an octave."""
    frequencies = harmonic_frequencies(semitone, rate)
    amplitudes = harmonic_amplitudes(shape, len(frequencies))
    return table_from_harmonics(amplitudes / (1.0 + (frequencies / cutoff) ** 2))


@lru_cache(maxsize=2048)
def vowel_period(vowel, semitone, tract, rate):
    """A period of a vowel: a glottal pulse through the resonances of a vocal tract.

    tract : factor on the formant frequencies; above 1 is a shorter throat.
    """
    frequencies = harmonic_frequencies(semitone, rate)
    resonance = np.full(len(frequencies), 0.01)
    parameters = zip(FORMANTS[vowel], FORMANT_BANDWIDTHS, FORMANT_GAINS, strict=True)
    for formant, bandwidth, gain in parameters:
        resonance += gain / (1.0 + ((frequencies - tract * formant) / bandwidth) ** 2)
    glottal = 1.0 / np.arange(1, len(frequencies) + 1) ** 0.7
    return table_from_harmonics(glottal * resonance)


def nearest_semitone(frequency):
    """The MIDI note nearest to the highest of the frequencies in Hz."""
    return round(float(69 + 12 * np.log2(np.max(frequency) / 440.0)))


def cycles(frequency, n_samples, rate):
    """Phase in periods at every sample, for one frequency in Hz or one a sample."""
    if np.ndim(frequency) == 0:
        return np.arange(n_samples) * (frequency / rate)
    return np.cumsum(frequency) / rate


def read_table(table, phase):
    """Read a waveform's period at phases in periods."""
    return table.take((phase * TABLE_SIZE).astype(np.int32) & (TABLE_SIZE - 1))


def tone(frequency, n_samples, *, rate, shape="saw", cutoff=6000.0):
    """A steady waveform; the frequency may be an array, one value a sample."""
    table = wave_period(shape, nearest_semitone(frequency), cutoff, rate)
    return read_table(table, cycles(frequency, n_samples, rate))


def detuned_phases(frequency, n_samples, *, rate, cents, voices):
    """Phases in periods of copies of a note spread over `cents` to both sides of it."""
    for voice, offset in enumerate(np.linspace(-cents, cents, voices)):
        yield cycles(frequency * 2.0 ** (offset / 1200), n_samples, rate) + 0.37 * voice


def ensemble(frequency, n_samples, *, rate, shape="saw", cutoff=6000.0, cents=12.0, voices=3):
    """Several slightly detuned copies of a waveform, which beat against each other."""
    table = wave_period(shape, nearest_semitone(frequency), cutoff, rate)
    phases = detuned_phases(frequency, n_samples, rate=rate, cents=cents, voices=voices)
    return sum(read_table(table, phase) for phase in phases) / voices


def swept(frequency, n_samples, opening, *, rate, cutoffs, shape="saw", cents=12.0, voices=3):
    """An ensemble whose filter moves between two cutoffs in Hz.

    opening : (n_samples,) from 0, the first cutoff, to 1, the second.
    """
    semitone = nearest_semitone(frequency)
    dark, bright = (wave_period(shape, semitone, cutoff, rate) for cutoff in cutoffs)
    total = np.zeros(n_samples, np.float32)
    for phase in detuned_phases(frequency, n_samples, rate=rate, cents=cents, voices=voices):
        index = (phase * TABLE_SIZE).astype(np.int32) & (TABLE_SIZE - 1)
        total += dark.take(index) + (bright - dark).take(index) * opening
    return total / voices


def wave_of_opening(n_samples, times_a_second, *, rate, phase=0.0):
    """A slow movement from 0 to 1 and back, (n_samples,) float32."""
    time = np.arange(n_samples, dtype=np.float32) / rate
    return 0.5 - 0.5 * np.cos(np.float32(2 * np.pi * times_a_second) * time + phase)


def stab(frequency, n_samples, *, rate, cutoff=3000.0, cents=14.0, decay=0.18, shape="saw"):
    """A short synthesiser note that closes from bright to dark as a filter envelope does."""
    opening = envelope(n_samples, rate, decay=decay / 2)
    cutoffs = (cutoff / 8, cutoff)
    body = swept(
        frequency, n_samples, opening, rate=rate, cutoffs=cutoffs, shape=shape, cents=cents
    )
    return body * envelope(n_samples, rate, decay=decay)


def pad(frequency, n_samples, *, rate, shape="saw", cutoff=1200.0, cents=9.0, motion=0.1):
    """A slow, soft chord tone whose brightness drifts `motion` times a second."""
    opening = wave_of_opening(n_samples, motion, rate=rate, phase=frequency)
    cutoffs = (cutoff / 3, cutoff)
    body = swept(
        frequency, n_samples, opening, rate=rate, cutoffs=cutoffs, shape=shape, cents=cents
    )
    fade = min(1.5, n_samples / rate / 3)
    return body * envelope(n_samples, rate, attack=fade, release=fade)


def reese_bass(frequency, n_samples, *, rate, cutoff=900.0, cents=25.0, wobble=2.0):
    """Detuned saws, the growling bass of drum and bass, opening `wobble` times a second."""
    opening = wave_of_opening(n_samples, wobble, rate=rate)
    cutoffs = (cutoff / 6, cutoff)
    growl = swept(frequency, n_samples, opening, rate=rate, cutoffs=cutoffs, cents=cents, voices=4)
    sub = np.sin(2 * np.pi * cycles(frequency, n_samples, rate))
    return (growl + 0.7 * sub) * envelope(n_samples, rate, attack=0.01, release=0.04)


def sub_bass(frequency, n_samples, *, rate, warmth=1.5, decay=0.9):
    """A sine, slightly saturated so that small loudspeakers still show it."""
    wave = np.sin(2 * np.pi * cycles(frequency, n_samples, rate))
    return np.tanh(warmth * wave) * envelope(n_samples, rate, attack=0.008, decay=decay)


def chip_note(frequency, n_samples, *, rate, shape="square", decay=None, vibrato=0.0):
    """A bare waveform of a sound chip, with an optional delayed vibrato (a depth, 0 to 0.02)."""
    time = np.arange(n_samples) / rate
    bend = 1.0 + vibrato * np.minimum(time / 0.2, 1.0) * np.sin(2 * np.pi * 6.0 * time)
    wave = tone(frequency * bend, n_samples, rate=rate, shape=shape, cutoff=20000.0)
    return wave * envelope(n_samples, rate, attack=0.002, release=0.005, decay=decay)


def plucked_string(frequency, n_samples, *, rate, rng, brightness=0.5, sustain=0.996, pick=0.2):
    """A plucked string after Karplus and Strong (1983).

    brightness : 0 (thumb) to 1 (plectrum); sustain : gain of one trip along the string;
    pick : where it is plucked, as a fraction of its length.
    """
    size = 1 << int(n_samples - 1).bit_length()
    # The loop's response is sampled on a circle outside the unit circle: the string has then
    # died away within `size` samples, and a delay of a fraction of a sample costs nothing.
    shrink = 1e-4 ** (1.0 / size)
    turn = np.log(shrink) - 2j * np.pi * np.arange(size // 2 + 1) / size
    delay = np.exp(turn)
    period = rate / frequency
    burst = rng.uniform(-1.0, 1.0, int(period) + 1)
    excitation = np.fft.rfft((burst - burst.mean()) * shrink ** np.arange(len(burst)), size)
    excitation *= (1.0 - np.exp(turn * pick * period)) / (1.0 - (0.95 - 0.9 * brightness) * delay)
    loop = 0.5 * sustain * np.exp(turn * (period - 0.5)) * (1.0 + delay)
    wave = np.fft.irfft(excitation / (1.0 - loop), size)[:n_samples] * shrink ** -np.arange(
        n_samples
    )
    return wave / np.abs(wave).max() * envelope(n_samples, rate, attack=0.001, release=0.05)


def electric_piano(frequency, n_samples, *, rate, index=1.2, tine=0.15, decay=0.9):
    """A frequency-modulated electric piano: a mellow body and the click of its tine.

    index : modulation depth in radians; tine : loudness of the click; decay : seconds.
    """
    phase = (2 * np.pi * cycles(frequency, n_samples, rate)).astype(np.float32)
    fading = envelope(n_samples, rate, attack=0.002, decay=decay / 2)
    body = np.sin(phase + index * fading * np.sin(phase))
    click = np.sin(phase + 0.8 * fading * np.sin(7 * phase)) * fading**3
    return (body + tine * click) * envelope(n_samples, rate, attack=0.003, decay=decay)


def bell(frequency, n_samples, *, rate, decay=1.8):
    """A soft glass bell of three inharmonic partials."""
    phase = (2 * np.pi * cycles(frequency, n_samples, rate)).astype(np.float32)
    partials = sum(gain * np.sin(ratio * phase) for ratio, gain in BELL_PARTIALS)
    return partials * envelope(n_samples, rate, attack=0.01, release=0.3, decay=decay)


def sing(frequency, n_samples, *, rate, vowels=("a", "o"), tract=1.1, vibrato=0.012):
    """A sung note that scoops up to its pitch, glides between two vowels and gains vibrato."""
    time = np.arange(n_samples) / rate
    scoop = 2.0 ** (-np.exp(-time / 0.04) / 12)
    swing = 1.0 + vibrato * np.minimum(time / 0.4, 1.0) * np.sin(2 * np.pi * 5.6 * time)
    phase = cycles(frequency * scoop * swing, n_samples, rate)
    semitone = nearest_semitone(frequency)
    first, second = (read_table(vowel_period(v, semitone, tract, rate), phase) for v in vowels)
    glide = np.clip(time * rate / n_samples * 2.0 - 0.3, 0.0, 1.0)
    wave = first + (second - first) * glide
    return wave * envelope(n_samples, rate, attack=0.05, release=min(0.1, n_samples / rate / 3))


def speak(frequency, n_samples, *, rate, rng, vowels=("a", "e"), tract=1.0):
    """A spoken syllable: a noisy consonant, then a vowel whose pitch falls."""
    time = np.arange(n_samples) / rate
    phase = cycles(frequency * (1.15 - 0.3 * time * rate / n_samples), n_samples, rate)
    semitone = nearest_semitone(frequency)
    first, second = (read_table(vowel_period(v, semitone, tract, rate), phase) for v in vowels)
    wave = first + (second - first) * time * rate / n_samples
    voiced = wave * envelope(n_samples, rate, attack=0.025, release=0.04)
    hiss = np.diff(rng.standard_normal(n_samples + 1)) * np.exp(-time / rng.uniform(0.008, 0.025))
    return voiced + rng.uniform(0.02, 0.2) * hiss


def overdrive(signal, drive):
    """Clip a signal softly after raising it to `drive` times its RMS; returns within [-1, 1]."""
    return np.tanh(signal * (drive / (np.sqrt(np.mean(signal**2)) + 1e-9)))


def band_pass(signal, low, high, *, rate):
    """Keep what lies between two frequencies in Hz, falling by 12 dB an octave outside."""
    return sosfilt(
        butter(2, (low, min(high, 0.45 * rate)), "bandpass", fs=rate, output="sos"), signal
    )
