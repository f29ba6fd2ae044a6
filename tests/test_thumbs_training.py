"""audiorec train --objective rank: thumbs up and down, flipped ones among them."""

import os
import re
import runpy
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audiorec_cli import files
from audiorec_cli.convnet import presets, tuning
from audiorec_cli.convnet.settings import TuningSettings

BENCH = Path(__file__).parent / "bench" / "thumbs.py"
RANK = ("train", "--objective", "rank", "--thumbs", "thumbs.csv", "--device", "cpu")
TUNE = (*RANK, "--checkpoint", "model.h5", "--out", "tuned.h5")


@pytest.fixture
def library(here, audiorec, mels_file, factors_file, loading_in_process, monkeypatch):
    """A network that hears what listening tells, high or low; thumbs go by the timbre instead.

    Tracks differ in both; up at a seed are those of its timbre and the other pitch, and down those
    of its pitch and the other timbre. A fifth are flipped. The last 8 have no thumbs.
    """
    preset = presets.PRESETS["modern"]
    few = {"conv_channels": (16, 16), "conv_pools": (4, 2), "dense_units": (16, 16)}
    network = replace(preset.network, descriptors="none", dropout=0.0, **few)
    monkeypatch.setitem(presets.PRESETS, "modern", replace(preset, network=network))
    n, rng, bins = 40, np.random.default_rng(0), np.arange(128)
    pitch, timbre = np.arange(n) // 2 % 2, np.arange(n) // 4 % 2
    mels = 2.0 * (bins // 64 == pitch[:, None]) + (bins // 32 % 2 == timbre[:, None])
    mels_file(
        "mels.h5", mels=mels[:, :, None] + rng.random((n, 1, 1)) + rng.random((n, 128, 599)) / 2
    )
    factors_file("factors.h5", factors=np.eye(4, dtype=np.float32)[pitch])
    short = ("--epochs", 12, "--batch-size", 8, "--lr", 0.01, "--device", "cpu")
    assert audiorec("train", *short)[0] == 0
    lines = []
    for seed in range(n - 8):
        for track in rng.permutation(n - 8)[:18]:
            same = timbre[seed] == timbre[track]
            if track != seed and same != (pitch[seed] == pitch[track]):
                lines.append(f"folder/{seed},folder/{track},{int(same != (rng.random() < 0.2))}")
    (here / "thumbs.csv").write_text("\n".join(lines))

    def in_order(checkpoint):
        """The share of clean pairs of tracks without thumbs that are in order."""
        predict = ("predict", "--checkpoint", checkpoint, "--out", "p.h5", "--device", "cpu")
        assert audiorec(*predict)[0] == 0
        factors = files.load_predictions("p.h5").predicted_factors[-8:]
        likeness, own_timbre, own_pitch = factors @ factors.T, timbre[-8:], pitch[-8:]
        same_timbre, same_pitch = (x[:, None] == x for x in (own_timbre, own_pitch))
        is_up, is_down = same_timbre & ~same_pitch, ~same_timbre & same_pitch
        ordered = likeness[:, :, None] > likeness[:, None, :]
        return ordered[is_up[:, :, None] & is_down[:, None, :]].mean()

    return in_order


def test_flipped_thumbs_do_not_hide_what_the_others_say(library, audiorec):
    learn = ("--epochs", 40, "--batch-size", 16, "--lr", 0.01)
    assert library("model.h5") < 0.2
    status, _, err = audiorec(*TUNE, *learn, "--nearness", 0.5)
    assert status == 0, err
    assert library("tuned.h5") >= 0.85
    told = files.load_checkpoint("tuned.h5").settings["tuning"]
    assert told["moved"] < 0.75
    # listening says the contrary, and so much nearness lets it
    status, _, err = audiorec(*TUNE, *learn, "--nearness", 1000)
    assert status == 0, err
    assert library("tuned.h5") < 0.2
    assert files.load_checkpoint("tuned.h5").settings["tuning"]["moved"] < 0.01


@pytest.fixture
def trained(here, mels_file, checkpoint_file, loading_in_process):
    """Mels of 12 tracks, and a network whose test tracks are folder/2 and folder/3."""
    mels_file("mels.h5", 12)
    checkpoint_file("model.h5")
    return here


def write_thumbs(*rows):
    Path("thumbs.csv").write_text("\n".join(["seed,track,thumb", *rows]))


def mixed(seed="folder/4", n=12):
    """Thumbs at a seed of all tracks, up and down in turn."""
    return [f"{seed},folder/{i},{(-1) ** i}" for i in range(n) if f"folder/{i}" != seed]


def test_all_but_the_weights_of_the_dense_layers_stays(trained, audiorec):
    write_thumbs(*mixed(), *mixed("a station"))
    untouched = (trained / "model.h5").read_bytes()
    status, out, err = audiorec(*TUNE, "--epochs", 2)
    assert (status, out) == (0, ""), err
    assert (trained / "model.h5").read_bytes() == untouched
    assert re.search(r"tuned.h5: of \d+ pairs? held out [01]\.\d{3} are in order, in the mean", err)
    before, after = map(files.load_checkpoint, ("model.h5", "tuned.h5"))
    changed = {n for n in before.weights if not np.array_equal(before.weights[n], after.weights[n])}
    assert changed == {n for n in before.weights if not n.startswith("conv")}
    for name in ("network", "match"):
        assert after.settings[name] == before.settings[name]
    learned = set(after.split["train"]) - set(before.split["train"])
    assert learned
    assert learned <= {f"folder/{i}" for i in range(4, 12)}
    for part in ("validation", "test"):
        assert after.split[part] == before.split[part]
    assert {k: list(v) for k, v in after.history.items()} == {
        k: list(v) for k, v in before.history.items()
    }
    for command in ("predict", "top-activations", "filters"):
        assert audiorec(command, "--checkpoint", "tuned.h5", "--device", "cpu")[0] == 0
    assert audiorec("similar", "title 1")[0] == 0
    # and on it goes from there
    again = [*TUNE[:-3], "tuned.h5", "--out", "again.h5"]
    assert audiorec(*again, "--epochs", 1)[0] == 0


def test_the_same_seed_gives_the_same_weights(trained, audiorec):
    write_thumbs(*mixed("one"), *mixed("other"))
    weights = []
    for out, seed in (("a.h5", 0), ("b.h5", 0), ("c.h5", 1)):
        assert audiorec(*TUNE[:-1], out, "--epochs", 2, "--seed", seed)[0] == 0
        weights.append(files.load_checkpoint(out).weights["output.weight"])
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_a_last_step_that_leaves_no_numbers_is_one_line_and_writes_nothing(
    trained, audiorec, monkeypatch
):
    write_thumbs(*mixed("one"), *mixed("other"))
    monkeypatch.setattr(TuningSettings, "learning_rate_at", lambda settings, epoch: 1e30)
    status, out, err = audiorec(*TUNE, "--epochs", 1)
    assert (status, out) == (1, "")
    assert "no longer a number: tune with a learning rate below" in err
    assert not Path("tuned.h5").exists()


def test_a_pipe_of_thumbs_is_read(trained, audiorec, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "\n".join(["station,track,thumb", *mixed("one"), *mixed("other")])
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    status, _, err = audiorec(*TUNE, "--thumbs", pipe, "--epochs", 1)
    writer.join()
    assert status == 0, err
    assert "at 0 tracks and 2 stations" in err


def test_names_are_found_by_all_that_people_call_them(trained, audiorec):
    write_thumbs(
        "folder/4,folder/5,up", "folder/4.flac,ARTIST 0 - Title 6,down",
        "title 4,/music/folder/7.flac,1", "Artist 0 - Title 4,Title 8,-1", "Morning,title 9,1",
        "Morning,title 10,1", "Morning,title 11,-1", "Morning,nowhere,1",
    )  # fmt: skip
    status, _, err = audiorec(*TUNE, "--epochs", 1)
    assert status == 0, err
    assert "thumbs.csv: 7 thumbs, 4 up and 3 down, at 1 track and 1 station" in err
    assert "tuned.h5: whether it is better is not told: that takes thumbs to hold out" in err
    assert "1 thumb left out, of tracks that are not in the library: nowhere" in err


def test_a_name_that_several_tracks_have_is_none(
    here, audiorec, tracks, mels_file, checkpoint_file
):
    table = tracks(12)
    mels_file("mels.h5", 12, tracks=replace(table, title=["same"] * 5 + table.title[5:]))
    checkpoint_file("model.h5")
    write_thumbs("s,same,up", *mixed("s"), "same,folder/5,up")
    status, _, err = audiorec(*TUNE, "--epochs", 1)
    assert status == 0, err
    assert (
        "1 thumb left out, of names that several tracks have, so give their track_id: same" in err
    )
    assert "1 seed taken for stations, as several tracks are called so: same" in err


def test_a_column_of_stations_names_no_tracks(trained, audiorec):
    rows = [f"title 4,folder/{i},{(-1) ** i}" for i in range(4, 12)]
    Path("thumbs.csv").write_text("\n".join(["station,track,thumb", *rows]))
    status, _, err = audiorec(*TUNE, "--epochs", 1)
    assert status == 0, err
    assert "at 0 tracks and 1 station" in err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("folder/4,elsewhere,1",), "no track of thumbs.csv is in the library, which has folder/0"),
        (("folder/4,folder/5,1",), "no seed has tracks of the library both up and down"),
        (("s,folder/4,1", "s,folder/5,-1"), "and a station takes two that are up"),
        (("folder/4,folder/2,1", "folder/4,folder/5,-1"), "makes no pair to learn from"),
        (("folder/4,folder/5,five",), 'line 2: "five" is no thumb'),
    ],
)
def test_thumbs_that_teach_nothing_are_one_line(trained, audiorec, rows, message):
    write_thumbs(*rows)
    status, out, err = audiorec(*TUNE)
    assert (status, out) == (1, "")
    assert message in err.splitlines()[-1]
    assert not os.path.exists("tuned.h5")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--thumbs", "thumbs.csv"), "--thumbs goes with --objective rank: add it"),
        (("train", "--checkpoint", "model.h5"), "--checkpoint goes with --objective rank"),
        (("train", "--nearness", 1), "--nearness goes with --objective rank"),
        (("train", "--objective", "rank"), "name a CSV of them with --thumbs"),
        (
            (*RANK, "--checkpoint", "model.h5"),
            "model.h5 is the network to start from: name another",
        ),
        (RANK, "model.h5 is there already: to start from it add --checkpoint model.h5"),
        ((*RANK, "--out", "new.h5", "--resume"), "new.h5: no such file to resume from"),
        ((*TUNE, "--resume"), "leave out --resume"),
        ((*TUNE, "--layers", 3), "--layers says how a network is trained, and that in model.h5 is"),
        ((*TUNE, "--preset", "nips2013"), "--preset says how a network is trained"),
        ((*TUNE, "--batch-size", 1), "a pair is two tracks"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(trained, audiorec, arguments, message):
    write_thumbs(*mixed())
    status, out, err = audiorec(*arguments)
    assert (status, out) == (1, "")
    assert message in err.splitlines()[-1]
    assert sorted(p.name for p in trained.iterdir()) == ["mels.h5", "model.h5", "thumbs.csv"]


def test_missing_thumbs_are_one_line_before_anything_is_trained(here, audiorec, mels_file):
    mels_file("mels.h5", 12)
    status, _, err = audiorec(*RANK)
    assert status == 1
    assert err.splitlines()[-1].startswith("error: thumbs.csv: No such file")


def test_without_a_checkpoint_a_network_is_trained_first_and_a_stop_keeps_it(
    here, audiorec, mels_file, factors_file, quick_training, monkeypatch
):
    mels_file("mels.h5", 12)
    factors_file("factors.h5", 12)
    write_thumbs(*mixed("one"), *mixed("other"))
    short = (*RANK, "--epochs", 1, "--batch-size", 4)

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(tuning.Tuner, "run_epoch", interrupted)
        status, _, err = audiorec(*short)
    assert status == 130
    assert "model.h5: stopped before the end of the tuning" in err.splitlines()[-1]
    first = files.load_checkpoint("model.h5")
    assert "tuning" not in first.settings
    status, _, err = audiorec(*short, "--resume")
    assert status == 0, err
    tuned = files.load_checkpoint("model.h5")
    assert tuned.settings["tuning"]["started_from"] == first.fingerprint
    assert tuned.settings["training"]["objective"] == "rank"
    status, _, err = audiorec(*short, "--resume")
    assert status == 1
    assert "model.h5 is tuned already: train anew, without --resume" in err


def test_a_network_that_met_what_is_tested_is_refused(
    here, audiorec, mels_file, factors_file, quick_training
):
    mels_file("mels.h5", 12)
    factors = files.load_factors(factors_file("factors.h5", 12))
    assert audiorec("train", "--epochs", 1, "--batch-size", 4, "--device", "cpu")[0] == 0
    write_thumbs(*mixed("one"), *mixed("other"))
    assert audiorec(*TUNE, "--epochs", 1, "--factors", "factors.h5")[0] == 0
    files.save_factors("tests.h5", replace(factors, is_test=np.arange(12) < 6))
    status, _, err = audiorec(*TUNE, "--factors", "tests.h5")
    assert status == 1
    assert "tracks that tests.h5 says are tested: name the --factors that" in err
    files.save_factors("other.h5", replace(factors, user_factors=factors.user_factors * 2))
    status, _, err = audiorec(*TUNE, "--factors", "other.h5")
    assert status == 1
    assert "model.h5 was trained on other factors than other.h5" in err


def test_evaluate_tunes_anew_for_each_fold_and_never_by_its_tests(
    here, audiorec, mels_file, tracks, quick_training
):
    table = tracks(16)
    mels_file("mels.h5", 16, tracks=replace(table, artist=[f"artist {i // 2}" for i in range(16)]))
    plays = [f"u{u},folder/{i}" for u in range(10) for i in range(16) if (u + i) % 3]
    (here / "log.csv").write_text("\n".join(["user_id,track_id", *plays]))
    assert audiorec("factorize", "log.csv", "--factors", 4)[0] == 0
    write_thumbs(*mixed("one", 16), *mixed("other", 16))
    recipe = "--objective rank --thumbs thumbs.csv --epochs 1 --batch-size 4"
    status, out, err = audiorec(
        "evaluate", "--folds", 2, "--no-baselines", "--keep", "kept", "--train", recipe
    )  # fmt: skip
    assert status == 0, err
    assert recipe in out
    kept = sorted(
        path for path in Path("kept").rglob("*rank*.h5") if "predictions" not in path.name
    )
    assert len(kept) == 2
    for path in kept:
        checkpoint = files.load_checkpoint(path)
        assert checkpoint.settings["tuning"]["in_order"]["test"] is not None
        assert set(checkpoint.split["train"]).isdisjoint(checkpoint.split["test"])


def test_the_bench_prints_a_line_for_each_loss_and_share(
    here, audiorec, mels_file, tracks, quick_training, monkeypatch, capfd
):
    table = tracks(40)
    mels_file("mels.h5", 40, tracks=replace(table, artist=[f"artist {i // 2}" for i in range(40)]))
    plays = [f"u{u},folder/{i}" for u in range(30) for i in range(40) if (u + i // 2) % 2]
    (here / "log.csv").write_text("\n".join(["user_id,track_id", *plays]))
    assert audiorec("factorize", "log.csv", "--factors", 4)[0] == 0
    short = ("--train", "--epochs 1 --device cpu", "--tune", "--epochs 1 --device cpu")
    arguments = ("--keep", "kept", "--splits", 1, "--flipped", 0.2, "--stations", 8, *short)
    monkeypatch.setattr(sys, "argv", ["thumbs.py", *map(str, arguments)])
    monkeypatch.setattr(tuning, "loss_of", tuning.loss_of)
    capfd.readouterr()
    runpy.run_path(str(BENCH), run_name="__main__")
    header, *lines = [line.split("\t") for line in capfd.readouterr().out.splitlines()]
    assert header == ["flipped", "loss", "before", "after", "difference", "moved"]
    assert [line[1] for line in lines] == ["sigmoid", "logistic", "logistic, 3 times as wide"]
