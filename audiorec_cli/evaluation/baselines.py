"""What a network has to beat: simpler ways to get from sound to factors."""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

RIDGE_PENALTIES = tuple(10.0**power for power in range(6))
VARIANCE_KEPT = 0.95  # by the principal components of the bags of words [B]
HIDDEN_UNITS = 1000  # of the perceptron [B]


class Known(NamedTuple):
    """Tracks whose factors are known: features (n, n_features) and factors (n, n_factors)."""

    features: np.ndarray
    factors: np.ndarray


class Learnt(NamedTuple):
    """Tracks by their rows in the library (k,), and their factors (k, n_factors)."""

    tracks: np.ndarray
    factors: np.ndarray


def predict_by_baselines(sound, train, validation, tracks, *, seed):
    """Yield (name, (k, n_factors) float64 predictions) of each baseline for `tracks` (k,).

    sound : Sound; train, validation : Learnt, what the network learned from and was chosen by
    """
    both = Learnt(*(np.concatenate(parts) for parts in zip(train, validation, strict=True)))
    yield "mean factor", mean_factor(both.factors, len(tracks))
    known = [Known(sound.statistics(part.tracks), part.factors) for part in (train, validation)]
    yield "ridge on mel statistics", ridge(*known, sound.statistics(tracks))
    everything = np.concatenate([both.tracks, tracks])
    bags = sound.bags(both.tracks, everything, seed=seed)
    words, asked = Known(bags[: len(both.tracks)], both.factors), bags[len(both.tracks) :]
    yield "linear on MFCC words", linear_regression(words, asked)
    yield "MLP on MFCC words", perceptron(words, asked, seed=seed)


def mean_factor(factors, n):
    """The mean of the known factors for each of n tracks: (n, n_factors) float64."""
    return np.tile(factors.mean(axis=0, dtype=np.float64), (n, 1))


def ridge(train, validation, features):
    """Ridge regression on standardised features.

    train, validation : Known; the penalty with the least squared error on the validation tracks is
        taken, of powers of ten, and the regression fitted again to both
    features : (n, n_features), of the tracks to predict
    Returns (n, n_factors) float64.
    """

    def error(penalty):
        predicted = _ridge(penalty, *train).predict(validation.features)
        return ((predicted - validation.factors) ** 2).mean()

    penalty = min(RIDGE_PENALTIES, key=error)
    both = (np.concatenate(parts) for parts in zip(train, validation, strict=True))
    return _ridge(penalty, *both).predict(features)


def _ridge(penalty, features, factors):
    return make_pipeline(StandardScaler(), Ridge(penalty)).fit(features, factors)


def linear_regression(known, features):
    """Linear regression on the principal components of bags of words ([B], section 4).

    known : Known bags; features : (n, n_words), of the tracks to predict
    Returns (n, n_factors) float64.
    """
    model = make_pipeline(PCA(VARIANCE_KEPT, svd_solver="full"), LinearRegression())
    return model.fit(*known).predict(features)


def perceptron(known, features, *, seed):
    """A multilayer perceptron with one layer of 1000 hidden units on the same components ([B]).

    known, features : as in linear_regression
    It stops when a tenth of the known tracks, drawn at random, is predicted no better for ten
    passes, or after 500; [B] does not state how it was trained. Returns (n, n_factors) float64.
    """
    model = make_pipeline(
        PCA(VARIANCE_KEPT, svd_solver="full"),
        MLPRegressor(
            hidden_layer_sizes=(HIDDEN_UNITS,),
            early_stopping=True,
            max_iter=500,
            random_state=seed,
        ),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*known).predict(features)
