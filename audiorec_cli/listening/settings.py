"""The settings of the factor models: light, so that the command line can tell their defaults."""

import math
from dataclasses import asdict, dataclass

from audiorec_cli.errors import AudiorecError


@dataclass(frozen=True)
class AlsSettings:
    """Settings of weighted matrix factorization; n_factors is [A]'s, the rest chosen here.

    confidence : "log" for c = 1 + α · log(1 + r / ε) in plays r [B], "linear" for 1 + α · r [C]
    alpha, epsilon : of the confidence; "linear" has no ε
    regularization : λ of [C], not scaled by the number of plays
    iterations : sweeps over both sides
    """

    n_factors: int = 40
    confidence: str = "log"
    alpha: float = 2.0
    epsilon: float = 1.0
    regularization: float = 1.0
    iterations: int = 20
    seed: int = 0


@dataclass(frozen=True)
class BprSettings:
    """Settings of Bayesian personalised ranking [J]; n_factors is [A]'s, the rest chosen here.

    learning_rate, regularization : of the stochastic gradient descent
    iterations : passes, each of as many draws as the log has pairs of listener and track
    """

    n_factors: int = 40
    learning_rate: float = 0.01
    regularization: float = 0.001
    iterations: int = 100
    seed: int = 0


@dataclass(frozen=True)
class LmfSettings:
    """Settings of logistic matrix factorization [D]; n_factors is [A]'s, the rest chosen here.

    counts : what r plays weigh: "plays" r, "log" log(1 + r), "once" 1
    learning_rate : of AdaGrad
    iterations : steps of both sides
    """

    n_factors: int = 40
    counts: str = "log"
    learning_rate: float = 1.0
    regularization: float = 5.0
    iterations: int = 100
    seed: int = 0


@dataclass(frozen=True)
class VectorExpSettings:
    """Settings of the exponential-family model; n_factors is [A]'s, the rest chosen here.

    counts : what r plays count as: "plays" r, "log" log(1 + r), "once" 1
    regularization : λ of the penalty λ/2 · (Σ ‖xᵤ‖² + Σ ‖yᵢ‖²) on the summed log-likelihood, as
        a share, under 1, of the least λ that leaves no factors
    learning_rate : of Adam at the first step, falling linearly to nothing
    iterations : steps, each over the whole log; to stop early foretells better
    proposal : what a sampled softmax draws tracks by: "popularity", or "log-uniform" in the rank
        by it; "none" for the full softmax; "auto" for none, or log-uniform where the log is large
    n_samples : tracks drawn a step
    """

    n_factors: int = 40
    counts: str = "log"
    regularization: float = 0.1
    learning_rate: float = 0.1
    iterations: int = 50
    proposal: str = "auto"
    n_samples: int = 1000
    seed: int = 0


SAMPLED = ("log-uniform", "popularity")  # proposals
CHOICES = {
    "confidence": ("log", "linear"),
    "counts": ("plays", "log", "once"),
    "proposal": ("auto", "none", *SAMPLED),
}
SETTINGS = {
    "als": AlsSettings,
    "bpr": BprSettings,
    "lmf": LmfSettings,
    "vector-exp": VectorExpSettings,
}


def model_of(settings):
    """Name of the model that the settings belong to."""
    return next(name for name, kind in SETTINGS.items() if type(settings) is kind)


def settings_of(params):
    """The settings that Factors were fitted with, by their params; what those lack is the default.

    Raises AudiorecError for a model or a value that this version does not know.
    """
    kind = SETTINGS.get(params.get("model"))
    if kind is None:
        raise AudiorecError(
            f"the factors come from the model {params.get('model')!r}, which is none of "
            f"{', '.join(SETTINGS)}: make them again with 'audiorec factorize LOG'"
        )
    defaults = asdict(kind())
    given = {name: params[name] for name in defaults if name in params}
    for name, value in given.items():
        if not isinstance(value, type(defaults[name])) or not _is_possible(name, value):
            raise AudiorecError(
                f"the factors were fitted with {name} {value!r}, which is no such setting: make "
                "them again with 'audiorec factorize LOG'"
            )
    return kind(**given)


def _is_possible(name, value):
    if isinstance(value, str):
        return value in CHOICES.get(name, [value])
    return math.isfinite(value) and value >= 0
