"""train --objective contrastive: what the same listeners play lies together, from the log alone."""

import json
from dataclasses import replace

import numpy as np
import pytest

from audiorec_cli import files
from audiorec_cli.commands.own_space import OWN_SPACE, factors_in_space_of
from audiorec_cli.convnet.training import Trainer
from audiorec_cli.records import Factors

N, N_USERS = 31, 40
KIND = np.arange(N) // 2 % 2  # of a track: low or high
SMALL = (
    "--batch-size",
    12,
    "--n-factors",
    4,
    "--lr",
    0.02,
    "--descriptors",
    "none",
    "--dropout",
    0,
)
SHORT = (*SMALL, "--device", "cpu")
CONTRAST = ("train", "--objective", "contrastive", *SHORT, "--epochs", 16)


@pytest.fixture
def world(here, mels_file, quick_training):
    """Tracks that are low or high, and log.tsv, whose listeners play the ones or the others."""
    rng = np.random.default_rng(0)
    mels = rng.random((N, 128, 599)) * 4
    for track in range(N):
        mels[track, 64 * KIND[track] : 64 * KIND[track] + 64] += 1
    mels_file("mels.h5", mels=mels)
    plays = (rng.random((N_USERS, N)) < 0.5) & (np.arange(N_USERS)[:, None] % 2 == KIND)
    write_log(plays)
    return plays


def write_log(plays):
    rows = [f"u{user}\tfolder/{track}\t3\n" for user, track in np.argwhere(plays)]
    with open("log.tsv", "w") as file:
        file.write("user_id\ttrack_id\tplays\n" + "".join(rows))


def weights(path="model.h5"):
    return files.load_checkpoint(path).latest_weights


def same(one, other):
    return set(one) == set(other) and all(np.array_equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("contrast", ["infonce", "drlim"])
def test_what_the_same_listeners_play_lies_together_without_any_factors(world, audiorec, contrast):
    status, _, err = audiorec(*CONTRAST, "--contrast", contrast, "--log", "log.tsv")
    assert status == 0, err
    assert "one place for all tracks has" in err.splitlines()[-1]
    assert "no better" not in err
    checkpoint = files.load_checkpoint("model.h5")
    assert checkpoint.settings["factors"] == OWN_SPACE
    # half of the tracks are partners, and which is nearer of these nobody can tell
    assert checkpoint.history["validation_loss"][-1] < 0.35
    assert audiorec("predict", "--device", "cpu")[0] == 0
    predicted = files.load_predictions("predictions.h5")
    assert predicted.predicted_factors.shape == (N, 4)
    cosines = predicted.predicted_factors @ predicted.predicted_factors.T
    is_alike = KIND[:, None] == KIND
    # those to test on too, which training never met
    assert (
        np.where(is_alike, cosines, 1).min(axis=1) > np.where(is_alike, -1, cosines).max()
    ).all()


def test_what_predictions_are_for_works_in_a_space_of_their_own(world, audiorec):
    audiorec("factorize", "log.tsv", "--factors", 4)
    assert audiorec(*CONTRAST)[0] == 0
    audiorec("predict", "--device", "cpu")
    status, out, err = audiorec("evaluate", "--no-baselines", "--json")
    assert status == 0, err
    assert "predictions.h5 lies in a space of its own" in err
    auc = {model["model"]: model["auc"]["mean"] for model in json.loads(out)["models"]}
    # of tracks of the same kind nobody can tell which a listener played
    assert auc["network"] > 0.75 > auc["random"]
    status, out, _ = audiorec("similar", "title 1", "-k", 5, "--json")
    assert status == 0
    assert all(KIND[int(row["title"].split()[1])] == KIND[1] for row in json.loads(out))
    status, out, err = audiorec("similar", "title 1", "--by", "usage")
    assert (status, out) == (1, "")
    assert "predictions.h5 holds predictions in a space of their own" in err.splitlines()[-1]
    assert audiorec("map", "--out", "map.png")[0] == 0
    assert audiorec("top-activations", "--layer", "conv1", "--device", "cpu")[0] == 0


def test_folds_rank_it_beside_other_objectives(world, audiorec):
    audiorec("factorize", "log.tsv", "--factors", 4)
    contrastive = " ".join(map(str, ("--objective", "contrastive", "--epochs", 24, *SMALL)))
    recipes = [contrastive, "--epochs 1 --descriptors none"]
    status, out, err = audiorec(
        "evaluate", "--folds", 2, "--no-baselines", "--json", "--device", "cpu",
        *(argument for recipe in recipes for argument in ("--train", recipe)),
    )  # fmt: skip
    assert status == 0, err
    auc = {model["model"]: model["auc"]["mean"] for model in json.loads(out)["models"]}
    assert set(recipes) < set(auc)
    assert auc[recipes[0]] > 0.75


def test_nothing_is_learned_from_plays_of_test_tracks(world, audiorec):
    longer = (*CONTRAST[:-1], 2, "--log", "log.tsv")
    assert audiorec(*longer)[0] == 0
    learned, split = weights(), files.load_checkpoint("model.h5").split
    tested = [int(track_id.split("/")[1]) for track_id in split["test"]]
    changed = world.copy()
    changed[:, tested] = ~changed[:, tested]
    write_log(changed)
    assert audiorec(*longer)[0] == 0
    assert files.load_checkpoint("model.h5").split == split
    assert same(weights(), learned)
    trained = int(split["train"][0].split("/")[1])
    changed[:, trained] = ~changed[:, trained]
    write_log(changed)
    assert audiorec(*longer)[0] == 0
    assert not same(weights(), learned)


def test_tracks_that_factors_mark_as_tested_are_not_learned_from(world, audiorec):
    audiorec("factorize", "log.tsv", "--factors", 4)
    factors = files.load_factors("factors.h5")
    is_test = np.array([track_id.endswith("1") for track_id in factors.log.tracks.track_id])
    files.save_factors("factors.h5", replace(factors, is_test=is_test))
    assert audiorec(*CONTRAST[:-1], 1)[0] == 0
    split = files.load_checkpoint("model.h5").split
    assert sorted(split["test"]) == [f"folder/{i}" for i in (1, 11, 21)]


def test_after_ctrl_c_it_goes_on_as_if_nothing_had_been(world, audiorec, monkeypatch):
    longer = (*CONTRAST, "--descriptors", "all", "--log", "log.tsv", "--epochs", 3)
    assert audiorec(*longer, "--out", "whole.h5")[0] == 0
    assert audiorec(*longer, "--out", "again.h5")[0] == 0
    assert same(weights("whole.h5"), weights("again.h5"))
    assert audiorec(*longer, "--out", "other.h5", "--seed", 1)[0] == 0
    assert not same(weights("whole.h5"), weights("other.h5"))
    run_epoch = Trainer.run_epoch

    def interrupted(trainer, **options):
        if trainer.epochs_done == 1:
            raise KeyboardInterrupt
        run_epoch(trainer, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupted)
        assert audiorec(*longer, "--out", "cut.h5")[0] == 130
    assert audiorec(*longer, "--out", "cut.h5", "--resume", "--temperature", 0.5)[0] == 1
    status, _, err = audiorec(*longer, "--out", "cut.h5", "--resume", "--n-factors", 5)
    assert status == 1
    assert "cut.h5 was trained with n_factors 4, not 5" in err
    assert audiorec(*longer, "--out", "cut.h5", "--resume")[0] == 0
    assert same(weights("whole.h5"), weights("cut.h5"))
    write_log(world[::-1, ::-1])
    status, _, err = audiorec(*longer[:-1], 4, "--out", "cut.h5", "--resume")
    assert status == 1
    assert "others than cut.h5 was trained on" in err


def test_songs_of_an_artist_share_the_plays_of_the_artist(here, audiorec, mels_file, tracks):
    names = [f"artist {row % 10}" for row in range(N)]
    mels_file("mels.h5", tracks=replace(tracks(N), artist=names), n=N)
    rows = [f"u{u}\tartist {a}\t2\n" for u in range(6) for a in range(u % 2, 10, 2)]
    (here / "log.tsv").write_text("user_id\tartist\tplays\n" + "".join(rows))
    artist = ("--match", "artist", "--epochs", 1, "--log", "log.tsv")
    status, _, err = audiorec("train", "--objective", "contrastive", *SHORT, *artist)
    assert status == 0, err
    assert f"{N} of {N} tracks are in the log: {N} by artist" in err
    split = files.load_checkpoint("model.h5").split
    artists = {part: {int(name.split("/")[1]) % 10 for name in split[part]} for part in split}
    assert artists["train"].isdisjoint(artists["validation"])
    assert len(split["train"]) > len(artists["train"])


def test_a_log_without_shared_listeners_is_one_line(world, audiorec):
    write_log(np.eye(N, dtype=bool))
    status, out, err = audiorec(*CONTRAST, "--log", "log.tsv")
    assert (status, out) == (1, "")
    assert "error: no listener of the log plays two of the 27 tracks to train on" in err
    write_log(np.ones((1, N), dtype=bool))
    status, out, err = audiorec(*CONTRAST, "--log", "log.tsv")
    assert (status, out) == (1, "")
    assert "share as many listeners, so nothing tells which belong together" in err
    plays = world.copy()
    # whoever plays it, plays nothing else
    plays[:, 7] = np.arange(N_USERS) == 0
    plays[0] = np.arange(N) == 7
    write_log(plays)
    status, _, err = audiorec(*CONTRAST[:-1], 1, "--log", "log.tsv", "--seed", 3)
    split = files.load_checkpoint("model.h5").split
    assert status == 0
    assert "folder/7" not in {track_id for part in split.values() for track_id in part}
    assert "1 tracks are without a listener who plays another track to train on" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--objective", "contrastive"), "no factors file in this folder whose log could be taken"),
        (("--log", "log.tsv"), "--log goes with --objective contrastive"),
        (
            ("--objective", "contrastive", "--log", "log.tsv", "--factors", "f.h5"),
            "--log and --factors both name a log to learn from",
        ),
        (("--n-factors", 3), "--n-factors goes with --objective contrastive: leave it out"),
        (("--contrast", "drlim"), "--contrast goes with --objective contrastive: leave it out"),
        (
            ("--objective", "contrastive", "--margin", 1),
            "--margin goes with --contrast drlim: leave it out",
        ),
        (
            ("--objective", "contrastive", "--contrast", "drlim", "--temperature", 1),
            "--temperature goes with --contrast infonce: leave it out",
        ),
        (
            ("--objective", "contrastive", "--batch-size", 7),
            "--objective contrastive takes excerpts by pairs",
        ),
        (("--objective", "contrastive", "--log", "no.tsv"), "no.tsv: no such file"),
    ],
)
def test_what_does_not_go_together_is_one_line(world, audiorec, arguments, message):
    status, out, err = audiorec("train", *arguments)
    assert (status, out) == (1, "")
    assert message in err.splitlines()[-1]


def test_listeners_are_placed_by_what_they_played_of_the_tracks_that_count(log_of):
    predicted = np.eye(3, dtype=np.float32)[[0, 1, 1, 2]]
    log = log_of([[3, 0, 0], [0, 1, 0], [0, 0, 9], [1, 1, 0]])
    ones = np.ones(3, np.float32)
    elsewhere = Factors(log, ones[:, None], ones, np.ones((4, 1), np.float32), np.zeros(3, bool))
    placed = factors_in_space_of(predicted, np.array([0, 1, 1, -1]), elsewhere)
    np.testing.assert_array_equal(placed.track_factors, np.diag([1, 1, 0]))
    assert placed.is_held_out.tolist() == [False, False, True]
    listeners = placed.user_factors
    assert listeners.shape == (4, 3)
    assert listeners[0].argmax() == 0
    assert listeners[1].argmax() == 1
    assert np.count_nonzero(listeners[:2]) == 2
    assert not listeners[2].any()
    # two songs count as the one row that they share
    assert listeners[3, 0] == pytest.approx(listeners[3, 1], rel=0.1)
