"""The spectrogram is librosa's, and means what it says."""

import librosa
import numpy as np
import pytest

from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.audio.spectrogram import (
    as_float16,
    log_mel_spectrogram,
    mel_filterbank,
)
from audiorec_cli.records import N_FRAMES, N_MELS

SETTINGS = SpectrogramSettings()


def librosa_log_mel(samples):
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=SETTINGS.sample_rate,
        n_fft=SETTINGS.n_fft,
        hop_length=SETTINGS.hop_length,
        n_mels=SETTINGS.n_mels,
        center=False,
        power=1.0,
    )
    return np.log(1 + SETTINGS.compression * mel)


@pytest.mark.parametrize("level", [1.0, 0.1, 1e-4])
def test_agrees_with_librosa(level):
    rng = np.random.default_rng(0)
    chirp = librosa.chirp(fmin=30, fmax=10_000, sr=SETTINGS.sample_rate, duration=30.0)
    samples = (level * (chirp + 0.1 * rng.normal(size=len(chirp)))).astype(np.float32)
    ours = log_mel_spectrogram(samples, SETTINGS)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, librosa_log_mel(samples), atol=1e-3)


def test_filterbank_is_librosas():
    theirs = librosa.filters.mel(sr=SETTINGS.sample_rate, n_fft=SETTINGS.n_fft, n_mels=N_MELS)
    np.testing.assert_allclose(mel_filterbank(SETTINGS).toarray(), theirs, atol=1e-7)


def test_thirty_seconds_give_599_frames_of_128_bins():
    silence = np.zeros(SETTINGS.n_samples, np.float32)
    assert (SETTINGS.n_mels, SETTINGS.n_frames) == (N_MELS, N_FRAMES) == (128, 599)
    assert log_mel_spectrogram(silence, SETTINGS).shape == (128, 599)
    assert not log_mel_spectrogram(silence, SETTINGS).any()


def test_half_precision_is_numpys():
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (halves[:-1] + halves[1:]) / 2
    above, below = np.nextafter(ties, np.float32(1e9)), np.nextafter(ties, np.float32(0))
    is_normal = ties >= 2.0**-14
    for values in (halves, ties, above[is_normal], below[is_normal]):
        np.testing.assert_array_equal(as_float16(values), values.astype(np.float16))
    tiny = np.random.default_rng(0).uniform(0, 2.0**-14, 10_000).astype(np.float32)
    off = as_float16(tiny).astype(float) - tiny.astype(np.float16)
    assert np.abs(off).max() <= 2.0**-24
    assert (off != 0).mean() < 1e-3


@pytest.mark.parametrize("hz", [110, 440, 1760, 7040])
def test_a_tone_lights_the_bin_of_its_frequency(tone, hz):
    mel = log_mel_spectrogram(tone(3.0, hz=hz), SETTINGS).mean(axis=1)
    centres = librosa.mel_frequencies(N_MELS + 2, fmax=SETTINGS.sample_rate / 2)[1:-1]
    assert abs(mel.argmax() - np.abs(centres - hz).argmin()) <= 1
    assert np.sort(mel)[-5] < mel.max()
