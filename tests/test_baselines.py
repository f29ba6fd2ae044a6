"""The baselines learn what is there to learn."""

import numpy as np
import pytest
from librosa.feature import delta, mfcc
from sklearn.datasets import make_regression

from audiorec_cli.evaluation.baselines import (
    Known,
    linear_regression,
    mean_factor,
    perceptron,
    ridge,
)
from audiorec_cli.evaluation.features import BagOfWords, Sound, mel_statistics, mfccs

COMPRESSION = 10_000.0


class Reader:
    """Spectrograms in memory, read as from a mels file."""

    def __init__(self, mels):
        self.mels = mels

    def read(self, row):
        return self.mels[row]


def noise(n, seed=0):
    return np.random.default_rng(seed).random((n, 128, 599)).astype(np.float16) * 5


def test_mel_statistics_are_mean_and_deviation_over_time():
    mels = noise(3)
    statistics = mel_statistics(Reader(mels), [2, 0])
    expected = mels[[2, 0]].astype(np.float32)
    np.testing.assert_allclose(statistics[:, :128], expected.mean(axis=2), rtol=1e-4)
    np.testing.assert_allclose(statistics[:, 128:], expected.std(axis=2), rtol=1e-4)


def test_mfccs_are_librosas_with_both_differences():
    mel = noise(1)[0].astype(np.float64)
    decibels = 20 * np.log10(np.maximum(np.expm1(mel) / COMPRESSION, 1e-10))
    expected = mfcc(S=decibels, n_mfcc=13)
    expected = np.concatenate([expected, delta(expected), delta(expected, order=2)])
    np.testing.assert_allclose(mfccs(mel, compression=COMPRESSION).T, expected, atol=1e-3)


def two_kinds_of_sound():
    """Low hum and high hiss, half of each excerpt or all of it."""
    low, high = np.zeros((128, 599)), np.zeros((128, 599))
    low[:30], high[90:] = 4, 4
    half = low.copy()
    half[:, 300:] = high[:, 300:]
    # a little noise, as no two frames are alike
    return np.array([low, high, half, high, low]) + noise(5) * 0.02


def test_a_bag_of_words_tells_what_sounds_how_long(monkeypatch):
    monkeypatch.setattr("audiorec_cli.evaluation.features.WORDS", 40)
    reader = Reader(two_kinds_of_sound().astype(np.float16))
    bags = BagOfWords(reader, [0, 1, 2], compression=COMPRESSION, seed=0).counts(reader, range(5))
    assert bags.shape == (5, 40)
    np.testing.assert_allclose(bags.sum(axis=1), 1, rtol=1e-5)
    in_low, in_high = bags[0] > 0, bags[1] > 0
    assert not (in_low & in_high).any()
    assert bags[2][in_low].sum() == pytest.approx(0.5, abs=0.05)
    assert bags[3][in_low].sum() < 0.01
    assert bags[4][in_low].sum() > 0.9


def test_a_small_library_has_a_small_dictionary():
    reader = Reader(noise(2))
    bags = BagOfWords(reader, [0], compression=COMPRESSION, seed=0).counts(reader, [0, 1])
    assert bags.shape == (2, 599 // 20)


def test_features_are_means_over_a_tracks_excerpts_in_the_order_asked_for():
    mels = two_kinds_of_sound().astype(np.float16)
    # track 0 is low and high, track 1 half and high, track 2 low
    sound = Sound(Reader(mels), np.array([0, 0, 1, 1, 2]), compression=COMPRESSION)
    of_excerpts = mel_statistics(Reader(mels), range(5))
    expected = [of_excerpts[4], of_excerpts[:2].mean(axis=0)]
    np.testing.assert_allclose(sound.statistics(np.array([2, 0])), expected, rtol=1e-6)
    bags = sound.bags(np.array([0]), np.array([2, 0]), seed=0)
    words = BagOfWords(Reader(mels), [0, 1], compression=COMPRESSION, seed=0)
    counts = words.counts(Reader(mels), range(5))
    np.testing.assert_allclose(bags, [counts[4], counts[:2].mean(axis=0)], rtol=1e-6)


@pytest.fixture(scope="module")
def linear():
    """Known tracks, validation tracks and tests whose factors follow from their features."""
    x, y = make_regression(300, 20, n_informative=20, n_targets=3, random_state=0, noise=1.0)
    parts = [Known(x[rows], y[rows]) for rows in (slice(200), slice(200, 250), slice(250, 300))]
    return parts


def explained(predicted, truth):
    return 1 - ((predicted - truth) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum()


def test_each_regression_learns_a_linear_law(linear):
    train, validation, test = linear
    small = [Known(known.features / 20, known.factors / 100) for known in (train, test)]
    predictions = {
        "ridge": (ridge(train, validation, test.features), test.factors),
        "linear": (linear_regression(train, test.features), test.factors),
        "perceptron": (perceptron(small[0], small[1].features, seed=0), small[1].factors),
    }
    for name, (predicted, truth) in predictions.items():
        assert explained(predicted, truth) > 0.8, name
    np.testing.assert_array_equal(mean_factor(train.factors, 2)[1], train.factors.mean(axis=0))


def test_ridge_shrinks_what_is_noise(linear):
    rng = np.random.default_rng(0)
    noisy = [Known(rng.normal(size=(n, 60)), rng.normal(size=(n, 3))) for n in (80, 40)]
    predicted = ridge(*noisy, rng.normal(size=(50, 60)))
    assert np.abs(predicted).mean() < 0.2


def test_the_perceptron_depends_on_the_seed_alone(linear):
    train, _, test = linear
    known = Known(train.features[:60], train.factors[:60])
    one, two, other = (perceptron(known, test.features, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
