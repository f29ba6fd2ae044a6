"""How well a network tuned by thumbs orders tracks that nobody has played, by whom it never met.

    python tests/bench/thumbs.py --keep DIR
    python tests/bench/thumbs.py --keep DIR --stations 10 --flipped 0.2

In the folder must be the mels file of a library and the factors file of its log. Half of the
listeners are taken out of the log and become stations instead: a track of each artist (or each
track) that one played has a thumb up there, and of as many that he or she did not, drawn by their
popularity, a thumb down. A quarter of the artists is tested: neither factors nor networks learn of
them. Of a third more the log knows nothing, as of new releases, and only thumbs do. A network is
trained on the rest, and tuned by all thumbs but those of tests, of which a share is flipped at
random. Printed are the shares of pairs of tests in order, whose thumbs are not flipped, before and
after; what is predicted for the stations' tracks moves by 1 - cos. Each figure is a mean over the
splits, with the standard error of the difference over them.
"""

import argparse
import csv
import shlex
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix

from audiorec_cli import files, matching
from audiorec_cli.cli import main as audiorec
from audiorec_cli.commands.joining import groups_of_matches
from audiorec_cli.convnet import tuning
from audiorec_cli.listening.factorization import fit_factors, settings_of
from audiorec_cli.options import found
from audiorec_cli.records import Plays

NEW, TESTED = 0.35, 0.25  # shares of the artists
LOSSES = {
    "sigmoid": tuning.loss_of,
    "logistic": lambda margins: torch.nn.functional.softplus(-margins),
    "logistic, 3 times as wide": lambda margins: torch.nn.functional.softplus(-margins / 3),
}


def main():
    """Split, train, tune and print."""
    arguments = _arguments()
    mels, factors = found("mels", None), files.load_factors(found("factors", None))
    figures = defaultdict(list)
    for split in range(arguments.splits):
        folder = arguments.keep / f"split-{split}"
        folder.mkdir(parents=True, exist_ok=True)
        thumbs = _prepare(folder, mels, factors, split, arguments)
        for flipped in arguments.flipped:
            _write_thumbs(folder / "thumbs.csv", thumbs, flipped, split)
            for name, loss in LOSSES.items():
                tuning.loss_of = loss
                figures[flipped, name].append(_tuned(folder, mels, arguments))
    _print(figures)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, required=True, help="folder for the files made")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--flipped", type=float, nargs="+", default=[0.0, 0.2, 0.4])
    parser.add_argument("--stations", type=int, help="use so many of them; all if not given")
    parser.add_argument("--min-plays", type=int, default=6, help="items that a station must know")
    parser.add_argument("--train", default="", help="options of train, for the network first")
    parser.add_argument("--tune", default="", help="options of train, for the tuning")
    return parser.parse_args()


def _prepare(folder, mels, factors, split, arguments):
    """Make the network of a split; rows of (station, track_id, whether up, whether tested)."""
    library, log = files.load_mels(mels), factors.log
    by_artist = factors.params.get("items") == "artists"
    matches = matching.match(library.tracks, log.tracks, by_artist=by_artist)
    rng = np.random.default_rng(split)
    part_of = _parts(groups_of_matches(library.tracks, log.tracks, matches), rng)
    is_station = rng.permutation(len(log.user_id)) < len(log.user_id) // 2
    rows = {part: matches.log_rows[part_of == part] for part in ("new", "tested")}
    if not (folder / "model.h5").exists():
        _train(folder, mels, factors, ~is_station, rows, split, arguments)
    wanted = arguments.stations or len(log.user_id)
    stations = _stations(log.plays[is_station], matches, rng, arguments.min_plays)[:wanted]
    ids, tested = library.tracks.track_id, set(rows["tested"])
    return [
        (f"station {number}", ids[rng.choice(tracks_of)], is_up, item in tested)
        for number, thumbs in enumerate(stations)
        for item, tracks_of, is_up in thumbs
    ]


def _parts(groups, rng):
    """ "new", "tested" or "known" for each of the matched tracks, whole artists."""
    names = rng.permutation(np.unique(groups))
    n_new, n_tested = int(NEW * len(names)), int(TESTED * len(names))
    part_of = dict.fromkeys(names, "known") | dict.fromkeys(names[:n_new], "new")
    part_of |= dict.fromkeys(names[n_new : n_new + n_tested], "tested")
    return np.array([part_of[group] for group in groups])


def _train(folder, mels, factors, is_listener, rows, split, arguments):
    log = factors.log
    items = np.setdiff1d(np.arange(len(log.tracks)), rows["new"])
    plays = csr_matrix(log.plays[is_listener][:, items])
    users = [name for name, kept in zip(log.user_id, is_listener, strict=True) if kept]
    known = Plays(users, log.tracks.take(items), plays)
    fitted = fit_factors(
        known, settings_of(factors.params), held_out=np.isin(items, rows["tested"])
    )
    files.save_factors(folder / "factors.h5", fitted)
    by_artist = factors.params.get("items") == "artists"
    _run(
        "train", "--mels", mels, "--factors", folder / "factors.h5", "--seed", split,
        "--match", "artist" if by_artist else "track", "--out", folder / "unfinished.h5",
        *shlex.split(arguments.train),
    )  # fmt: skip
    (folder / "unfinished.h5").rename(folder / "model.h5")


def _stations(plays, matches, rng, min_plays):
    """For each listener who played enough, in a random order, [(item, its tracks, is up)]."""
    items, place = np.unique(matches.log_rows, return_inverse=True)
    tracks_of = [matches.library_rows[place == number] for number in range(len(items))]
    played = plays[:, items].toarray() > 0
    popularity, stations = played.sum(axis=0) + 1.0, []
    for own in played[rng.permutation(len(played))]:
        ups, others = np.flatnonzero(own), np.flatnonzero(~own)
        if not min_plays <= len(ups) <= len(others):
            continue
        share = popularity[others] / popularity[others].sum()
        downs = rng.choice(others, len(ups), replace=False, p=share)
        rows = [*((row, True) for row in ups), *((row, False) for row in downs)]
        stations.append([(items[row], tracks_of[row], is_up) for row, is_up in rows])
    return stations


def _write_thumbs(path, thumbs, flipped, seed):
    rng = np.random.default_rng(seed)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("station", "track", "thumb"))
        for station, track, is_up, is_tested in thumbs:
            is_flipped = rng.random() < flipped and not is_tested
            writer.writerow((station, track, "up" if is_up != is_flipped else "down"))


def _tuned(folder, mels, arguments):
    """Shares of the pairs of tests in order before and after tuning, and how far it moved."""
    _run(
        "train", "--objective", "rank", "--thumbs", folder / "thumbs.csv", "--mels", mels,
        "--checkpoint", folder / "model.h5", "--out", folder / "tuned.h5",
        *shlex.split(arguments.tune),
    )  # fmt: skip
    told = files.load_checkpoint(folder / "tuned.h5").settings["tuning"]
    return *told["in_order"]["test"], told["moved"]


def _run(*arguments):
    if status := audiorec([str(argument) for argument in arguments]):
        raise SystemExit(status)


def _print(figures):
    print("flipped", "loss", "before", "after", "difference", "moved", sep="\t")
    for (flipped, loss), of_splits in figures.items():
        before, after, moved = np.array(of_splits).T
        error = (after - before).std(ddof=1) / np.sqrt(len(after)) if len(after) > 1 else np.nan
        print(
            flipped, loss, f"{before.mean():.3f}", f"{after.mean():.3f}",
            f"{(after - before).mean():+.3f} ± {error:.3f}", f"{moved.mean():.3f}", sep="\t",
        )  # fmt: skip


if __name__ == "__main__":
    main()
