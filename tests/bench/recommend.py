"""How good recommendations are of tracks that nobody, or few, have played.

    python tests/bench/recommend.py --keep DIR --plot blend.png --train "--preset modern"

In the folder must be the mels file of a library and the factors file of its log. The artists are
dealt into folds; for each, factors are fitted without them and a network learns from the rest (the
files are those of `evaluate --folds --keep DIR`). Printed is, with 95 % intervals over listeners:

- how well `recommend --new-only` ranks the tracks of the fold, beside the mean factor and chance;
- how well items of the fold are ranked of which 0, 1, 3, 10 and 30 listeners are known, drawn at
  random, by sound, by listening (folded in by one step of the fit), and by `--blend`, whose C is
  chosen on the fold's validation tracks. Items are those with 35 listeners at least, the same
  throughout; plays that are known are not ranked;
- how well a history with tracks of the library alone places a listener: of listeners who played
  four of the fold's items or more, and more than ten that the fit has met, half of the former and
  0, 1, 3 or 10 of the latter are the history, and the rest are ranked, by what the fit has met
  alone and by sound as well;
- how well the audience of a new item is found among all listeners, by the cosine as `audience` does
  and by the product, in which listeners with more plays come first.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from audiorec_cli import files
from audiorec_cli.commands import rounds
from audiorec_cli.commands.blending import KNOWN, blends_of, chosen_trust
from audiorec_cli.evaluation.baselines import mean_factor
from audiorec_cli.evaluation.bootstrap import bootstrapped_means
from audiorec_cli.evaluation.candidates import Candidates
from audiorec_cli.evaluation.contest import Contest, scores_at_random
from audiorec_cli.evaluation.ranking import rank_candidates
from audiorec_cli.evaluation.revealing import auc, auc_by_model, with_listeners
from audiorec_cli.listening.folding import fold_in_listeners, with_tracks
from audiorec_cli.options import Device, found
from audiorec_cli.retrieval.neighbors import unit
from audiorec_cli.retrieval.recommendation import Recommender, Rules

SHOWN = {"auc": "AUC", "map": "mAP@500", "ndcg": "nDCG@10", "recall": "recall@20"}
NEW, MEAN, CHANCE = "recommend --new-only", "mean factor", "random"
SOUND, LISTENING, BLEND = "sound", "listening", "--blend"
BETTER = "--blend less the better side"
N_DRAWS = 10
N_FIRST = 20  # of an audience
IN_HISTORY = (0, 1, 3, 10)  # items that the fit has met
FEWEST_NEW = 4  # items of the fold that a listener with a history played
PLACED = ("listening alone", "and sound")


def main():
    """Measure all folds and print the tables."""
    arguments = _arguments()
    mels, loaded = found("mels", None), files.load_factors(found("factors", None))
    recipes = {arguments.train: rounds.recipe_of(arguments.train)}
    options = {"seed": 0, "device": Device.cpu, "folder": arguments.keep}
    every = rounds.Folds(mels, loaded, recipes, "strict", **options)
    n_users = len(loaded.log.user_id)
    contest = Contest(n_users, seed=0, resamples=1000)
    blends, histories, audiences = {}, {}, {}
    for one in every.rounds(arguments.folds, min_listeners=arguments.min_listeners):
        (predicted,) = one.predictions.values()
        items = rounds.candidates_to_rank(
            one.factors.log, *one.rows_of("test"), arguments.min_listeners
        )
        _enter_new(contest, one, items, predicted.predicted_factors[items.tracks])
        _add_blends(blends, one, items, predicted, n_users)
        where = items.item_factors(predicted.predicted_factors[items.tracks])
        _add_histories(histories, one, items, where)
        _add_audiences(audiences, one, items, where)
    _print_new(contest)
    _print_blends(blends, arguments.plot)
    _print_histories(histories)
    _print_audiences(audiences)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", default="", help="options of train")
    parser.add_argument("--keep", type=Path, required=True, help="folder for the folds' files")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--min-listeners", type=int, default=5)
    parser.add_argument("--plot", type=Path, help="picture of the second table")
    return parser.parse_args()


def _enter_new(contest, one, items, predicted):
    """Rank the tracks themselves, each of which a listener played if he or she played its item."""
    songs = Candidates(
        items.items[items.places],
        items.tracks,
        np.arange(len(items.tracks)),
        items.users,
        items.truth[:, items.places].tocsr(),
        items.listeners[items.places],
    )
    mean = mean_factor(one.factors.track_factors[~one.factors.is_held_out], len(predicted))
    for name, where in ((NEW, predicted), (MEAN, unit(mean))):
        listeners = one.factors.user_factors[songs.users]
        contest.enter(name, songs, lambda rows, w=where, x=listeners: _by_recommender(x[rows], w))
    contest.enter(CHANCE, songs, scores_at_random(len(songs.items), 0))


def _by_recommender(listeners, coordinates):
    """The scores (m, k) that the lists of `recommend` give k tracks, all of them new."""
    everything = np.ones(len(coordinates), bool)
    recommender = Recommender(coordinates, everything, Rules(len(coordinates)))
    scores = np.zeros((len(listeners), len(coordinates)))
    known = listeners.any(axis=1)  # who played only what was held out has no taste
    nothing = csr_matrix((known.sum(), len(coordinates)))
    lists = recommender.best(listeners[known], lambda part: nothing[part])
    for user, (rows, own) in zip(np.flatnonzero(known), lists, strict=True):
        scores[user, rows] = own
    return scores


def _add_blends(blends, one, items, predicted, n_users):
    """Add this fold's figures: blends[n][model] is a list of (n_users,), nan where there is none.

    Of an item without known listeners listening tells nothing.
    """
    trust = chosen_trust(predicted, one.factors, one.split["validation"])
    truth = one.factors.log.plays[:, items.items]
    enough = with_listeners(truth, max(KNOWN))
    print(f"{enough.sum()} of {len(enough)} items have listeners enough; C is {trust:g}")
    by_sound = items.item_factors(predicted.predicted_factors[items.tracks])[enough]
    models = {LISTENING: 0.0, BLEND: trust, SOUND: np.inf}

    def places(known, n):
        where = blends_of(known, one.factors, by_sound, n, models.values())
        by_model = {name: where[c] for name, c in models.items()}
        return by_model if n else by_model | {LISTENING: np.zeros_like(by_sound)}

    for n in (0, *KNOWN):
        auc = auc_by_model(
            one.factors.user_factors, truth[:, enough], n, lambda known, n=n: places(known, n),
            evaluated=items.users, n_draws=N_DRAWS if n else 1, seed=0,
        )  # fmt: skip
        for name, column in auc.items():
            of_all = np.full(n_users, np.nan)
            of_all[items.users] = column
            blends.setdefault(n, {}).setdefault(name, []).append(of_all)


def _add_histories(histories, one, items, where):
    """Add this fold's figures of listeners with histories.

    histories[n][model] is a list of (n_users, 2), of each listener the AUC of new items and of
    those that the fit has met; nan where there is none.
    """
    factors = one.factors
    every, rows = with_tracks(factors, factors.log.tracks.take(items.items), items.items, where)
    plays, is_met = factors.log.plays, ~factors.is_held_out
    is_new = np.isin(np.arange(len(is_met)), rows)
    n_new, n_met = (plays[:, which].getnnz(axis=1) for which in (is_new, is_met))
    listeners = np.flatnonzero((n_new >= FEWEST_NEW) & (n_met > max(IN_HISTORY)))
    for n in IN_HISTORY:
        figures = np.full((len(PLACED), plays.shape[0], 2), np.nan)
        for user in listeners:
            rng, played = np.random.default_rng((n, user)), plays[user].toarray()
            new = _drawn((played > 0) & is_new, None, rng)
            met = _drawn((played > 0) & is_met, n, rng)
            for model, known in enumerate((met, met | new)):
                listener = _placed(factors, np.where(known, played, 0), new & known, every)
                scores = listener @ every.track_factors.T
                figures[model, user] = [
                    auc(scores[:, which], played[:, which] > 0, left_out[:, which])[0]
                    for which, left_out in ((is_new, new), (is_met, met))
                ]
        for model, of_users in zip(PLACED, figures, strict=True):
            histories.setdefault(n, {}).setdefault(model, []).append(of_users)


def _drawn(which, n, rng):
    """(1, k) bool: n of those that are true, drawn at random; None for half of them."""
    rows = rng.permutation(np.flatnonzero(which))
    return np.isin(np.arange(which.size), rows[: len(rows) // 2 if n is None else n])[None]


def _placed(factors, plays, is_new, every):
    """A listener's factors (1, n_factors) by plays (1, n_tracks).

    is_new : (1, n_tracks) bool, which of the plays are of new items; every : Factors that have them
    """
    rows = np.flatnonzero(is_new)
    if len(rows):
        tracks = factors.log.tracks.take(rows)
        factors, _ = with_tracks(factors, tracks, rows, every.track_factors[rows])
    return fold_in_listeners(csr_matrix(plays, dtype=np.float32), factors)


def _add_audiences(audiences, one, items, where):
    """Add this fold's figures: audiences[how] is a list of (k, 3), of each item the AUC of its
    listeners among all, their share of the 20 first and of all.
    """
    by_item = one.factors.log.plays[:, items.items].T.tocsr()
    users = one.factors.user_factors
    for how, placed in (("cosine", unit(users)), ("product", users)):
        scores = where @ placed.T
        figures = rank_candidates(
            lambda rows, of=scores: of[rows], by_item, np.zeros(len(users), bool), seed=0
        )
        first = np.argsort(-scores, axis=1, kind="stable")[:, :N_FIRST]
        hits = [by_item[item, rows].nnz / N_FIRST for item, rows in enumerate(first)]
        share = by_item.getnnz(axis=1) / len(users)
        columns = np.column_stack([figures.of_users["auc"], hits, share])
        audiences.setdefault(how, []).append(columns)


def _print_new(contest):
    print("model", *SHOWN.values(), sep="\t")
    for model, score in contest.scores().items():
        print(model, *(_interval(score.figures[figure]) for figure in SHOWN), sep="\t")


def _print_blends(blends, plot):
    models, rows = (SOUND, LISTENING, BLEND), {}
    print("\nlisteners", *models, BETTER, sep="\t")
    for n, by_model in blends.items():
        folds = [np.ma.masked_invalid(by_model[model]) for model in models]
        columns = np.column_stack([each.mean(axis=0).filled(np.nan) for each in folds])
        better = columns[:, :2][:, np.nanmean(columns[:, :2], axis=0).argmax()]
        columns = np.column_stack([columns, columns[:, 2] - better])
        rows[n] = bootstrapped_means(columns, resamples=1000, seed=0)
        print(n, *map(_interval, rows[n][:3]), _interval(rows[n][3], "+"), sep="\t")
    if plot:
        _draw(rows, models, plot)


def _draw(rows, models, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    for place, (model, marker) in enumerate(zip(models, "os^", strict=True)):
        means = [row[place] for row in rows.values()]
        axes.plot(range(len(rows)), [mean.mean for mean in means], marker=marker, label=model)
        low, high = [mean.low for mean in means], [mean.high for mean in means]
        axes.fill_between(range(len(rows)), low, high, alpha=0.2)
    axes.set_xticks(range(len(rows)), list(map(str, rows)))
    axes.set_xlabel("known listeners of an artist")
    axes.set_ylabel("AUC per listener")
    axes.grid(alpha=0.3)
    axes.legend(title="placed by")
    figure.savefig(path, dpi=150)


def _print_histories(histories):
    kinds = [f"{kind}, by {model}" for kind in ("new", "met") for model in PLACED]
    print("\nmet items in the history", *kinds, sep="\t")
    for n, by_model in histories.items():
        folds = [np.ma.masked_invalid(by_model[model]).mean(axis=0) for model in PLACED]
        columns = np.stack([of_users.filled(np.nan) for of_users in folds], axis=2)
        means = bootstrapped_means(columns.reshape(len(columns), -1), resamples=1000, seed=0)
        print(n, *map(_interval, means), sep="\t")


def _print_audiences(audiences):
    print(f"\naudience by\tAUC\tof the {N_FIRST} first\tof all")
    for how, folds in audiences.items():
        means = bootstrapped_means(np.concatenate(folds), resamples=1000, seed=0)
        print(how, *map(_interval, means), sep="\t")


def _interval(mean, sign=""):
    return f"{mean.mean:{sign}.3f} [{mean.low:{sign}.3f}, {mean.high:{sign}.3f}]"


if __name__ == "__main__":
    main()
