"""audiorec train: what it promises on the command line."""

import os
import re
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from audiorec_cli import files
from audiorec_cli.convnet.training import Trainer

SHORT = ("--epochs", 3, "--batch-size", 4, "--lr", 0.01, "--device", "cpu")


@pytest.fixture
def library(here, mels_file, factors_file):
    """Mels and factors of 12 tracks by 2 artists in the current folder."""
    mels_file("mels.h5", 12)
    factors_file("factors.h5", 12)
    return here


def weights(path):
    return files.load_checkpoint(path).latest_weights


def assert_same_weights(one, other):
    one, other = weights(one), weights(other)
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_the_same_seed_gives_the_same_weights(library, audiorec, quick_training):
    assert audiorec("train", *SHORT, "--out", "one.h5")[0] == 0
    assert audiorec("train", *SHORT, "--out", "two.h5")[0] == 0
    assert_same_weights("one.h5", "two.h5")
    assert audiorec("train", *SHORT, "--seed", 1, "--out", "other.h5")[0] == 0
    one, other = weights("one.h5"), weights("other.h5")
    assert not np.array_equal(one["output.weight"], other["output.weight"])


def test_after_ctrl_c_the_same_command_goes_on_as_if_nothing_had_been(
    library, audiorec, monkeypatch
):
    longer = ("train", *SHORT, "--epochs", 4)
    assert audiorec(*longer, "--out", "whole.h5")[0] == 0
    run_epoch = Trainer.run_epoch

    def interrupted(trainer, **options):
        if len(trainer.history["epoch"]) == 2:
            raise KeyboardInterrupt
        run_epoch(trainer, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupted)
        status, _, err = audiorec(*longer, "--out", "cut.h5")
    assert status == 130
    assert err.splitlines()[-1].startswith("cut.h5: stopped after epoch 2: go on with")
    assert files.load_checkpoint("cut.h5").epochs_done == 2
    status, _, err = audiorec(*longer, "--out", "cut.h5", "--resume")
    assert status == 0
    assert "going on after epoch 2" in err
    assert_same_weights("whole.h5", "cut.h5")


def test_the_best_epoch_is_kept(library, audiorec, quick_training):
    options = ("train", *SHORT, "--preset", "spotify2014")
    status, _, err = audiorec(*options)
    assert status == 0
    assert "replaced" not in err
    assert "model.h5: the network there will be replaced" in audiorec(*options)[2]
    checkpoint = files.load_checkpoint("model.h5")
    best = int(np.argmin(checkpoint.history["validation_loss"])) + 1
    assert f"epoch {best} of 3 is kept" in err
    assert "loss" in err
    assert "excerpts/s" in err
    assert re.search(r"\d\d:\d\d left", err)
    is_last = best == 3
    same = all(
        np.array_equal(checkpoint.weights[n], checkpoint.latest_weights[n])
        for n in checkpoint.weights
    )
    assert same == is_last


def test_the_split_is_kept_by_track_id(library, audiorec, quick_training):
    audiorec("train", *SHORT)
    split = files.load_checkpoint("model.h5").split
    every = [track_id for part in split.values() for track_id in part]
    assert sorted(every) == sorted(f"folder/{i}" for i in range(12))


def test_with_match_artist_every_song_takes_the_factors_of_its_artist(
    here, audiorec, mels_file, factors_file, quick_training
):
    mels_file("mels.h5", 12)
    factors = files.load_factors(factors_file("factors.h5", 2))
    artists = replace(factors.log.tracks, track_id=["a", "b"], title=["", ""])
    files.save_factors("factors.h5", replace(factors, log=replace(factors.log, tracks=artists)))
    assert audiorec("train", *SHORT, "--epochs", 1)[0] == 1
    status, _, err = audiorec("train", *SHORT, "--epochs", 1, "--match", "artist")
    assert status == 0, err
    assert "12 of 12 tracks are in the log: 12 by artist" in err


@pytest.mark.parametrize(
    ("sizes", "n"),
    [
        ((), (10, 1, 1)),
        (("--validation", 5), (6, 5, 1)),
        (("--test", 0.25), (8, 1, 3)),
        (("--validation", 3, "--test", 6), (3, 3, 6)),
    ],
)
def test_parts_are_as_large_as_asked_for(library, audiorec, sizes, n, quick_training):
    assert audiorec("train", *SHORT, "--epochs", 1, *sizes)[0] == 0
    split = files.load_checkpoint("model.h5").split
    assert tuple(len(split[part]) for part in ("train", "validation", "test")) == n


def test_parts_that_leave_nothing_to_train_on_are_one_line(library, audiorec, quick_training):
    status, _, err = audiorec("train", *SHORT, "--validation", 0)
    assert status == 1
    assert "--validation 0: give a share between 0 and 1, or a whole number of tracks" in err
    status, _, err = audiorec("train", *SHORT, "--validation", 8, "--test", 4)
    assert status == 1
    assert "12 tracks set apart leave none of 12 to train on: ask for fewer" in err
    factors = files.load_factors("factors.h5")
    files.save_factors("factors.h5", replace(factors, is_test=np.arange(12) < 3))
    status, _, err = audiorec("train", *SHORT, "--test", 4)
    assert status == 1
    assert "the factors file says which tracks are tested: leave out --test" in err
    assert not os.path.exists("model.h5")


def test_a_loss_that_is_no_number_is_one_line(library, audiorec, quick_training):
    status, _, err = audiorec("train", *SHORT, "--lr", 1e9)
    assert status == 1
    assert re.search(r"^error: the loss is no longer a number in epoch 1: .*--lr$", err, re.M)
    assert not os.path.exists("model.h5")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_no_cuda_is_one_line(library, audiorec, quick_training):
    status, _, err = audiorec("train", "--epochs", 40, "--device", "cuda")
    assert (status, err) == (
        1,
        "error: no cuda device on this machine: use --device cpu or --device auto\n",
    )


def test_nothing_matched_is_one_line(here, audiorec, mels_file, factors_file, quick_training):
    mels_file("mels.h5", 3)
    path = factors_file("factors.h5", 3)
    with h5py.File(path, "r+") as file:
        for column in ("track_id", "title"):
            file[f"tracks/{column}"][:] = [f"other {i}" for i in range(3)]
    status, _, err = audiorec("train", *SHORT)
    assert status == 1
    assert "no track of the library is in the log" in err
    assert not os.path.exists("model.h5")


def test_too_few_tracks_are_one_line(here, audiorec, mels_file, factors_file, quick_training):
    mels_file("mels.h5", 2)
    factors_file("factors.h5", 2)
    status, _, err = audiorec("train", *SHORT)
    assert status == 1
    assert "test need one each: add tracks" in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--lr", 0.2), "learning_rate 0.01, not 0.2"),
        (("--seed", 5), "seed 0, not 5"),
        ((), "has its 3 epochs: ask for more with --epochs"),
    ],
)
def test_resume_refuses_another_training(library, audiorec, change, message, quick_training):
    audiorec("train", *SHORT)
    before = (library / "model.h5").read_bytes()
    status, _, err = audiorec("train", *SHORT, *change, "--resume")
    assert status == 1
    assert message in err.splitlines()[-1]
    assert (library / "model.h5").read_bytes() == before


def test_resume_without_a_checkpoint_is_one_line(library, audiorec, quick_training):
    status, _, err = audiorec("train", *SHORT, "--resume")
    assert status == 1
    assert "model.h5: no such file" in err


def test_resume_refuses_other_tracks(library, audiorec, mels_file, quick_training):
    audiorec("train", *SHORT)
    (library / "mels.h5").unlink()
    mels_file("mels.h5", 11)
    status, _, err = audiorec("train", *SHORT, "--epochs", 4, "--resume")
    assert status == 1
    assert "others than model.h5 was trained on" in err


def test_a_killed_training_goes_on_from_what_it_saved(library, audiorec, loading_in_process):
    small = ("--layers", 1, "--descriptors", "none")
    longer = [str(argument) for argument in ("train", *SHORT, *small, "--epochs", 6)]
    script = (
        "from audiorec_cli.commands import train\n"
        "from audiorec_cli.cli import main\n"
        "if __name__ == '__main__':\n"
        "    train.SECONDS_BETWEEN_SAVES = 0\n"
        f"    main({[*longer, '--out', 'cut.h5']!r})\n"
    )
    (library / "script.py").write_text(script)
    with subprocess.Popen([sys.executable, "script.py"], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not os.path.exists("cut.h5"):
            time.sleep(0.02)
        process.kill()
    done = files.load_checkpoint("cut.h5").epochs_done
    assert 1 <= done < 6
    assert audiorec(*longer, "--out", "cut.h5", "--resume")[0] == 0
    assert audiorec(*longer, "--out", "whole.h5")[0] == 0
    assert_same_weights("whole.h5", "cut.h5")
