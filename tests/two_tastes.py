"""Listeners of two tastes, and what `recommend` lists for them."""

import json
from pathlib import Path

import numpy as np

from audiorec_cli import files
from audiorec_cli.records import Predictions

N_LOGGED, N_TRACKS, N_USERS = 24, 32, 30


def write_two_tastes(audiorec, tracks):
    """Write log.tsv, and factors.h5 and predictions.h5 of it, to the current folder.

    Even listeners play even tracks and odd ones odd tracks, all but a few of their own taste.
    Tracks 24 to 31 are new; predicted factors are of the right taste. The tags are those of the
    fixture tracks: "artist 0" made the even ones, "artist 1" the odd ones.
    """
    rng = np.random.default_rng(0)
    lines = ["user_id\ttrack_id\tplays"]
    for user in range(N_USERS):
        lines += [f"u{user}\tfolder/{t}\t{1 + rng.integers(9)}" for t in sorted(played_by(user))]
    Path("log.tsv").write_text("\n".join(lines) + "\n")
    assert audiorec("factorize", "log.tsv", "--factors", 2)[0] == 0
    factors = files.load_factors("factors.h5")
    row_of, logged = factors.log.tracks.row_of_track_id, factors.track_factors
    tastes = np.array(
        [
            np.mean([logged[row_of[f"folder/{t}"]] for t in range(p, N_LOGGED, 2)], axis=0)
            for p in (0, 1)
        ]
    )
    tastes /= np.linalg.norm(tastes, axis=1, keepdims=True)
    angles = rng.normal(scale=0.05, size=N_TRACKS)
    turn = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
    predicted = np.einsum("ijn,nj->ni", turn, tastes[np.arange(N_TRACKS) % 2]).astype(np.float32)
    params = {"factors": factors.fingerprint}
    made = Predictions(tracks(N_TRACKS), predicted, "print", "/music", params=params)
    files.save_predictions("predictions.h5", made)


def listed(audiorec, *arguments):
    """The table of `recommend` as dictionaries."""
    status, out, err = audiorec("recommend", *arguments, "--json")
    assert status == 0, err
    return json.loads(out)


def numbers(table):
    """The n of the tracks folder/n that a table lists."""
    return [int(row["track_id"].removeprefix("folder/")) for row in table]


def played_by(user):
    """The numbers of the tracks that listener u`user` played."""
    return {t for t in range(N_LOGGED) if t % 2 == user % 2 and (t // 2 + user // 2) % 4}
