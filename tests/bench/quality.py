"""How well recipes rank new artists, so that one can be chosen without a look at what is reported.

Before anything is tried a quarter of the artists are set apart. The others are dealt into folds,
and recipes are compared on these; at the end, and once, networks that learned from all the others
rank the artists that were set apart. What is reported of all artists in folds compares with what
others report, but most of it was looked at. All is strict: no factor has seen what is ranked.

    python tests/bench/quality.py --keep DIR --train "--preset modern" --train ""    # to choose
    python tests/bench/quality.py --keep DIR --train "--preset modern" --part apart  # at the end
    python tests/bench/quality.py --keep DIR --train "--preset modern" --part all    # to report

In the folder must be the mels file of a library and the factors file of its log. Figures are means
over listeners, each the mean over the seeds, with 95 % intervals over listeners. --features takes a
NumPy archive with an array a track, named by its path, for ridge regression beside that on mel
statistics; the penalty of both is chosen on the validation tracks of the first recipe.
"""

import argparse
from pathlib import Path

import numpy as np

from audiorec_cli import files
from audiorec_cli.commands import rounds
from audiorec_cli.convnet.splitting import folds_by_group
from audiorec_cli.evaluation.baselines import Known, ridge
from audiorec_cli.evaluation.contest import Contest, scores_of_factors
from audiorec_cli.evaluation.features import Sound
from audiorec_cli.options import Device, found

APART, SEED_APART = 0.25, 20261124
SHOWN = {"auc": "AUC", "map": "mAP@500", "ndcg": "nDCG@10"}
SEED = " --seed "


def main():
    arguments = _arguments()
    mels, factors = found("mels", None), found("factors", None)
    loaded = files.load_factors(factors)
    names = [f"{text}{SEED}{seed}" for text in arguments.train for seed in range(arguments.seeds)]
    recipes = {name: rounds.recipe_of(name) for name in names}
    every = rounds.Folds(
        mels, loaded, recipes, "strict", seed=0, device=Device.cpu, folder=arguments.keep
    )
    contest, n_ranked = Contest(len(loaded.log.user_id), seed=0, resamples=1000), 0
    with files.MelsReader(mels) as reader:
        for number, (tested, left_out) in enumerate(_deals(every, mels, arguments)):
            place = (
                every.folder_of(arguments.folds) / f"{arguments.part}-{APART}-{SEED_APART}-{number}"
            )
            one = every.round_of(np.sort(np.concatenate([tested, left_out])), place)
            n_ranked += _enter(contest, one, every.tracks_of(tested), reader, arguments)
    print(f"{n_ranked} ranked")
    _print(contest, arguments.train)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", action="append", required=True, help="options of train")
    parser.add_argument(
        "--keep", type=Path, required=True, help="folder for the files of the folds"
    )
    parser.add_argument("--part", choices=("others", "apart", "all"), default="others")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--min-listeners", type=int, default=5)
    parser.add_argument("--features", type=Path, help="a NumPy archive")
    return parser.parse_args()


def _deals(every, mels, arguments):
    """(rows to rank, rows that nothing learns from either) of the matched tracks, for each fold."""
    groups = np.array(every.groups)
    apart = _apart(every, mels) if arguments.part != "all" else np.zeros(len(groups), bool)
    if arguments.part == "apart":
        return [(np.flatnonzero(apart), np.empty(0, int))]
    others = np.flatnonzero(~apart)
    dealt = folds_by_group(groups[others], arguments.folds, seed=0)
    return [(others[rows], np.flatnonzero(apart)) for rows in dealt]


def _apart(every, mels):
    """Which of the matched tracks are by artists that are set apart: (n,) bool."""
    names, first = np.unique(every.groups, return_index=True)
    tags = files.load_mels(mels).tracks.artist
    by_tag = names[np.argsort([tags[row] for row in every.tracks_of(first)], kind="stable")]
    shuffled = np.random.default_rng(SEED_APART).permutation(by_tag)
    return np.isin(every.groups, shuffled[: max(1, int(APART * len(names)))])


def _enter(contest, one, wanted, reader, arguments):
    """Enter networks and regressions for those of the round's test tracks that are wanted.

    Returns how many tracks of the log, or artists, are ranked.
    """
    tracks, items = one.rows_of("test")
    kept = np.isin(tracks, wanted)
    candidates = rounds.candidates_to_rank(
        one.factors.log, tracks[kept], items[kept], arguments.min_listeners
    )

    def enter(name, predicted, user_factors=one.factors.user_factors):
        of_items = candidates.item_factors(predicted)
        of_users = user_factors[candidates.users]
        contest.enter(name, candidates, scores_of_factors(of_users, of_items))

    for name, predictions in one.predictions.items():
        predicted = predictions.predicted_factors[candidates.tracks]
        enter(name.rsplit(SEED, 1)[0], predicted, one.user_factors_for(predictions))
    for name, features in _features(one, reader, arguments.features).items():
        known = [
            Known(features(tracks), one.factors.track_factors[items])
            for tracks, items in map(one.rows_of, ("train", "validation"))
        ]
        enter(f"ridge on {name}", ridge(*known, features(candidates.tracks)))
    return len(candidates.items)


def _features(one, reader, archive):
    """name → what gives the features of tracks, by their rows in the library."""
    sound = Sound(reader, one.library.excerpt_track, compression=one.library.params["compression"])
    features = {"mel statistics": sound.statistics}
    if archive is not None:
        arrays, paths = np.load(archive), one.library.tracks.path
        features[archive.stem] = lambda tracks: np.stack([arrays[paths[row]] for row in tracks])
    return features


def _print(contest, recipes):
    print("model", *SHOWN.values(), sep="\t")
    for model, score in contest.scores().items():
        print(model, *(_interval(score.figures[figure], "") for figure in SHOWN), sep="\t")
    others = [model for model in contest.models if model not in recipes]
    for place, recipe in enumerate(recipes):
        for other, figures in contest.differences(recipe, [*recipes[:place], *others]).items():
            shown = (_interval(figures[figure], "+") for figure in SHOWN)
            print(f"{recipe} − {other}", *shown, sep="\t")


def _interval(mean, sign):
    return f"{mean.mean:{sign}.3f} [{mean.low:{sign}.3f}, {mean.high:{sign}.3f}]"


if __name__ == "__main__":
    main()
