"""How well each factor model ranks the plays of a log that it was not shown.

A fifth of the pairs of listener and track are held out; each model is fitted to the rest and ranks,
for each listener, all tracks that the rest does not have of him or her.

    python tests/bench/factor_models.py LOG                # each model with its defaults
    python tests/bench/factor_models.py LOG --neighbours   # and with one setting off its default

The neighbours of a number are its half and its double, of a choice the other choices. What is best
here was chosen on these same pairs: other --seed values hold out others.
"""

import argparse
import time
from dataclasses import fields, replace

import numpy as np
from scipy.sparse import csr_matrix

from audiorec_cli.evaluation.ranking import rank_candidates
from audiorec_cli.listening.factorization import fit_factors
from audiorec_cli.listening.log_settings import LogSettings
from audiorec_cli.listening.logs import read_log
from audiorec_cli.listening.settings import CHOICES, SETTINGS
from audiorec_cli.records import Plays

HELD_OUT = 0.2


def main():
    arguments = _arguments()
    log = read_log(arguments.log, LogSettings()).plays
    known, truth = _divided(log, np.random.default_rng(arguments.seed))
    print("model", "setting", "mAP@500", "AUC", "seconds", sep="\t")
    listeners = known.plays.getnnz(axis=0)
    _print("popularity", "", lambda rows: np.tile(listeners, (len(rows), 1)), known, truth, 0)
    for name in arguments.models:
        defaults = SETTINGS[name]()
        neighbours = _neighbours(name, defaults) if arguments.neighbours else []
        for described, settings in [("", defaults), *neighbours]:
            start = time.perf_counter()
            factors = fit_factors(known, settings)
            seconds = time.perf_counter() - start
            _print(name, described, _scores(factors, known), known, truth, seconds)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", help="a listening log, as audiorec factorize reads it")
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--neighbours", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of the pairs that are held out")
    return parser.parse_args()


def _divided(log, rng):
    """The log without the pairs held out, and those, (n_users, n_tracks), of the same tracks."""
    plays = log.plays.tocsr()
    is_held_out = rng.random(plays.nnz) < HELD_OUT
    rest, truth = plays.copy(), plays.copy()
    rest.data, truth.data = (
        np.where(is_held_out, 0, plays.data),
        np.where(is_held_out, plays.data, 0),
    )
    rest.eliminate_zeros()
    truth.eliminate_zeros()
    left = np.flatnonzero(rest.getnnz(axis=0))
    return Plays(log.user_id, log.tracks.take(left), csr_matrix(rest[:, left])), truth[:, left]


def _neighbours(name, defaults):
    """(what is changed, settings) with one of the settings off its default."""
    for field in fields(defaults):
        value = getattr(defaults, field.name)
        if field.name in ("n_factors", "seed", "n_samples"):
            continue
        others = (
            [choice for choice in CHOICES[field.name] if choice not in (value, "auto", "none")]
            if field.name in CHOICES
            else [type(value)(value / 2), value * 2]
        )
        for other in others:
            yield f"{field.name} {other}", replace(defaults, **{field.name: other})


def _scores(factors, log):
    """Scores of the log's tracks by factors as fitted, popularity and all."""
    row_of = log.tracks.row_of_track_id
    rows = [row_of[track_id] for track_id in factors.log.tracks.track_id]
    tracks = np.zeros((len(log.tracks), factors.track_factors.shape[1]), dtype=np.float32)
    tracks[rows] = factors.fitted_track_factors
    return lambda users: factors.user_factors[users] @ tracks.T


def _print(name, described, scores_of, known, truth, seconds):
    n_known = known.plays.getnnz(axis=1)

    def without_known(rows):
        return np.where(known.plays[rows].toarray() > 0, -np.inf, scores_of(rows))

    nothing_special = np.zeros(truth.shape[1], dtype=bool)
    figures = rank_candidates(without_known, truth, nothing_special, seed=0).of_users
    # what is known stands last as so many pairs in the right order: it is taken out of the AUC
    unplayed = truth.shape[1] - truth.getnnz(axis=1)
    auc = (figures["auc"] * unplayed - n_known) / (unplayed - n_known)
    shown = n_known > 0
    print(
        name,
        described,
        f"{np.nanmean(figures['map'][shown]):.3f}",
        f"{np.nanmean(auc[shown]):.3f}",
        f"{seconds:.1f}",
        sep="\t",
        flush=True,
    )


if __name__ == "__main__":
    main()
