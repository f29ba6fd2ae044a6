"""How well new releases are placed by their sound alone, on the demonstration library.

    python examples/new_releases.py [demo]

In the folder that 'audiorec demo' made, after mels, factorize and train, it takes the tracks that
nobody has played and counts how many of the 10 tracks nearest to each are of its style: among the
played tracks by the factors that listening gave them (where would it stand with listeners?), and
among all tracks by predicted factors (what 'audiorec similar' lists). Then the same network is
trained on factors that were dealt out to the wrong tracks, which must place no better than chance.
"""

import dataclasses
import os
import sys
from pathlib import Path

import numpy as np

from audiorec_cli import files, matching
from audiorec_cli.cli import main

K = 10


def styles_of(tracks):
    """The style of each track of the demonstration library, which is its first folder."""
    return np.array([path.split("/")[0] for path in tracks.path])


def share_of_style(scores, styles, query_styles):
    """Mean share of the K highest scores of each row that are of the query's style."""
    nearest = np.argsort(-scores, axis=1)[:, :K]
    return (styles[nearest] == query_styles[:, None]).mean()


def measure(predictions, factors):
    """Shares of the 10 nearest in the query's style for new releases: placed, similar."""
    tracks, predicted = predictions.tracks, predictions.predicted_factors
    matches = matching.match(tracks, factors.log.tracks)
    styles = styles_of(tracks)
    new = np.setdiff1d(np.arange(len(tracks)), matches.library_rows)
    heard = predicted[new] @ factors.track_factors[matches.log_rows].T
    among_all = predicted[new] @ predicted.T
    among_all[np.arange(len(new)), new] = -np.inf  # not the query itself
    placed = share_of_style(heard, styles[matches.library_rows], styles[new])
    return placed, share_of_style(among_all, styles, styles[new])


def run(*arguments):
    """Run an audiorec command; leave with its status where it fails."""
    status = main([str(argument) for argument in arguments])
    if status:
        sys.exit(status)


def train_on_shuffled(factors, folder, epochs):
    """Deal the factors out to other tracks, train on that, and return the predictions."""
    folder.mkdir(exist_ok=True)
    order = np.random.default_rng(0).permutation(len(factors.track_factors))
    shuffled = dataclasses.replace(factors, track_factors=factors.track_factors[order])
    files.save_factors(folder / "factors.h5", shuffled)
    made = folder / "model.h5", folder / "predictions.h5"
    shuffled_factors = ("--factors", folder / "factors.h5")
    run("train", *shuffled_factors, "--out", made[0], "--epochs", epochs, "--device", "cpu")
    run("predict", "--checkpoint", made[0], "--out", made[1], "--device", "cpu")
    return files.load_predictions(made[1])


def compare(folder, epochs):
    """Print and return the shares of both trainings: {name: (placed, similar)}."""
    os.chdir(folder)
    factors = files.load_factors("factors.h5")
    run("predict", "--checkpoint", "model.h5", "--device", "cpu")
    shares = {
        "trained on the factors": measure(files.load_predictions("predictions.h5"), factors),
        "trained on shuffled factors": measure(
            train_on_shuffled(factors, Path("shuffled"), epochs), factors
        ),
    }
    styles = styles_of(files.load_predictions("predictions.h5").tracks)
    chance = np.unique(styles, return_counts=True)[1].max() / len(styles)
    print(f"new releases: share of the {K} nearest that are of the query's style")
    print(f"{'':30}{'placed':>10}{'similar':>10}")
    for name, (placed, similar) in shares.items():
        print(f"{name:30}{placed:10.2f}{similar:10.2f}")
    print(f"{'chance':30}{chance:10.2f}{chance:10.2f}")
    return shares


if __name__ == "__main__":
    compare(sys.argv[1] if len(sys.argv) > 1 else "demo", epochs=40)
