"""Descriptors tell timbre, harmony, rhythm and repetition, on spectrograms of any length."""

import numpy as np
import pytest
import torch

from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.audio.spectrogram import log_mel_spectrogram
from audiorec_cli.convnet.descriptors import (
    N_MOMENTS,
    N_PERIODS,
    Descriptors,
    harmony,
    n_descriptors,
    repetition,
    rhythm,
)

SETTINGS = SpectrogramSettings()
MAJOR, CLUSTER = (0, 4, 7), (0, 1, 2)


def described(mels, settings=SETTINGS):
    descriptors = Descriptors(
        settings.n_mels, sample_rate=settings.sample_rate, hop_length=settings.hop_length
    )
    return descriptors(torch.as_tensor(mels)[None])[0]


def chord(root, intervals, *, settings=SETTINGS, seconds=4):
    """Log-mel spectrogram of a chord of plain tones over MIDI pitch `root` and two octaves up."""
    time = np.arange(seconds * settings.sample_rate) / settings.sample_rate
    pitches = [root + octave + interval for octave in (0, 12, 24) for interval in intervals]
    tones = [np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) for pitch in pitches]
    return log_mel_spectrogram(np.mean(tones, axis=0).astype(np.float32), settings)


def harmony_of(mels, settings=SETTINGS):
    return described(mels, settings)[2 * settings.n_mels : -N_PERIODS - N_MOMENTS]


def test_mean_and_deviation_of_each_bin_come_first():
    mels = torch.rand(128, 100)
    of_timbre = described(mels)[:256]
    torch.testing.assert_close(of_timbre[:128], mels.mean(dim=1))
    torch.testing.assert_close(of_timbre[128:], mels.std(dim=1, correction=0))


@pytest.mark.parametrize("n_mels", [128, 64])
@pytest.mark.parametrize("n_frames", [1, 3, 60, 599])
def test_any_length_gives_as_many(n_mels, n_frames):
    settings = SpectrogramSettings(n_mels=n_mels)
    found = described(torch.rand(n_mels, n_frames), settings)
    assert found.shape == (n_descriptors(n_mels),)
    assert found.isfinite().all()


def test_silence_is_nothing():
    assert (described(torch.zeros(128, 599)) == 0).all()


@pytest.mark.parametrize("steps", range(1, 12))
def test_harmony_is_the_same_in_every_key(steps):
    chroma = torch.rand(2, 3, 12, 5)
    torch.testing.assert_close(harmony(chroma.roll(steps, dims=2)), harmony(chroma))


@pytest.mark.parametrize("shift", [1, 2, 5])
def test_a_chord_in_another_key_is_nearer_than_another_chord_on_the_same_root(shift):
    here = harmony_of(chord(60, MAJOR))
    moved, changed = harmony_of(chord(60 + shift, MAJOR)), harmony_of(chord(60, CLUSTER))
    assert (here - moved).norm() < (here - changed).norm()


def test_other_frames_and_rates_tell_the_same_harmony():
    finer = SpectrogramSettings(hop_length=512)
    faster = SpectrogramSettings(sample_rate=44_100, n_fft=4096, hop_length=2204, n_mels=154)
    here, other = harmony_of(chord(60, MAJOR)), harmony_of(chord(60, CLUSTER))
    for settings in (finer, faster):
        same = harmony_of(chord(60, MAJOR, settings=settings), settings)
        assert (here - same).norm() < (here - other).norm() / 2


def test_how_long_a_chord_lasts_shows():
    """Two chords in turn are one harmony over the whole; over windows they are two."""
    one, two = chord(60, MAJOR), chord(66, MAJOR)
    slow = np.concatenate([one, one, two, two], axis=1)
    quick = np.concatenate([part[:, i : i + 4] for i in range(0, 72, 4) for part in (one, two)], 1)
    slow, quick = (harmony_of(np.tile(mels, 2)) for mels in (slow, quick))
    a_window = len(slow) // 3
    torch.testing.assert_close(slow[-a_window:], quick[-a_window:], atol=0.1, rtol=0)
    assert (slow[:a_window] - quick[:a_window]).abs().max() > 0.2


def clicks(period, n_frames=599, strength=3.0):
    """(1, 128, n_frames) log-mel spectrogram of noise with a louder frame every `period` frames."""
    mels = torch.rand(1, 128, n_frames, generator=torch.Generator().manual_seed(0))
    mels[..., ::period] += strength
    return mels


def test_regular_onsets_show_at_any_tempo():
    slow, quick, none = (rhythm(clicks(n), shortest=2, longest=60) for n in (20, 10, 1))
    assert slow.shape == (1, N_PERIODS)
    # at a period and its multiples the onsets meet again, all but those of the end
    assert slow.max() > 0.8
    assert quick.max() > 0.8
    assert none.max() < 0.4
    assert (slow[:, :-1] <= slow[:, 1:]).all()


def test_what_is_not_repeated_shows():
    generator = torch.Generator().manual_seed(0)
    two = torch.randn(1, 12, 2, generator=generator)
    in_turn = repetition(two.repeat(1, 1, 40))
    once = repetition(torch.randn(1, 12, 80, generator=generator))
    assert in_turn.shape == (1, N_MOMENTS)
    torch.testing.assert_close(in_turn, torch.ones(1, N_MOMENTS), atol=0.01, rtol=0)
    assert once.max() < 0.6
