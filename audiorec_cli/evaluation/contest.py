"""Every model on the same candidates and the same users, and what they differ by."""

from typing import NamedTuple

import numpy as np

from audiorec_cli.evaluation.bootstrap import Mean, bootstrapped_means
from audiorec_cli.evaluation.ranking import FIGURES, rank_candidates

COMPARED = tuple(figure for figure in FIGURES if figure != "tail")  # what is better when higher


class Score(NamedTuple):
    """A model's figures over all rounds: name → Mean over the users, and the coverage."""

    figures: dict[str, Mean]
    coverage: float


def scores_of_factors(user_factors, item_factors):
    """The scores xᵤ·yᵢ, as rank_candidates asks for them.

    user_factors : (n_users, n_factors); item_factors : (n_items, n_factors)
    """
    return lambda rows: user_factors[rows] @ item_factors.T


def scores_of_popularity(listeners):
    """The same scores for every user: how many listeners each item has."""
    return lambda rows: np.tile(listeners.astype(np.float64), (len(rows), 1))


def scores_at_random(n_items, seed):
    """Scores drawn at random for each user."""
    return lambda rows: np.array([np.random.default_rng((seed, r)).random(n_items) for r in rows])


class Contest:
    """Collects the figures of models over rounds, one for each set of candidates.

    n_users : of the log. A user's figure is the mean over the rounds in which there is one.
    """

    def __init__(self, n_users, *, seed, resamples):
        self._n_users, self._seed, self._resamples = n_users, seed, resamples
        self._of_users, self._coverage = {}, {}

    @property
    def models(self):
        """Names of the models, in the order in which they were entered."""
        return list(self._of_users)

    def enter(self, model, candidates, scores_of):
        """Rank the Candidates by a model's scores and keep the figures of this round."""
        figures = rank_candidates(scores_of, candidates.truth, candidates.is_tail, seed=self._seed)
        of_users = np.full((self._n_users, len(FIGURES)), np.nan)
        of_users[candidates.users] = np.column_stack([figures.of_users[f] for f in FIGURES])
        self._of_users.setdefault(model, []).append(of_users)
        self._coverage.setdefault(model, []).append(figures.coverage)

    def scores(self):
        """model → Score, each over the users that have the figure."""
        columns = np.hstack([self._figures(model) for model in self.models])
        means = iter(self._means(columns))
        return {
            model: Score(
                {figure: next(means) for figure in FIGURES}, float(np.mean(self._coverage[model]))
            )
            for model in self.models
        }

    def differences(self, model, others):
        """other → figure → Mean of the difference model - other, paired by user."""
        compared = [FIGURES.index(figure) for figure in COMPARED]
        mine = self._figures(model)[:, compared]
        columns = [mine - self._figures(other)[:, compared] for other in others]
        means = iter(self._means(np.hstack(columns)) if columns else ())
        return {other: {figure: next(means) for figure in COMPARED} for other in others}

    def _figures(self, model):
        rounds = np.array(self._of_users[model])
        known = np.isfinite(rounds).sum(axis=0)
        return np.divide(
            np.nansum(rounds, axis=0), known, out=np.full(known.shape, np.nan), where=known > 0
        )

    def _means(self, columns):
        return bootstrapped_means(columns, resamples=self._resamples, seed=self._seed)
