"""audiorec evaluate: it tells a good model from a bad one, honestly, fold by fold."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from audiorec_cli import files
from audiorec_cli.commands import rounds
from audiorec_cli.convnet import presets
from audiorec_cli.convnet.training import Trainer
from audiorec_cli.listening.factorization import AlsSettings, fit_factors
from audiorec_cli.records import LoggedTracks, Plays

N = 48  # tracks
TRAIN = "--preset spotify2014 --epochs 12 --batch-size 4 --lr 0.001"
FOLDS = ("evaluate", "--folds", 2, "--device", "cpu", "--json")


@pytest.fixture
def library(here, mels_file, monkeypatch, quick_training):
    """Tracks that are low or high, listeners who like the one or the other, and small networks."""
    rng = np.random.default_rng(0)
    mels = rng.random((N, 128, 599)) * 4
    kind = np.arange(N) // 2 % 2
    for track in range(N):
        mels[track, 64 * kind[track] : 64 * kind[track] + 64] += 1
    mels_file("mels.h5", mels=mels)
    plays = (rng.random((60, N)) < 0.4) * (np.arange(60)[:, None] % 2 == kind)
    write_factors(plays)
    for name, preset in presets.PRESETS.items():
        network = replace(
            preset.network, conv_channels=(32, 32), conv_pools=(4, 2), dense_units=(64,)
        )
        monkeypatch.setitem(presets.PRESETS, name, replace(preset, network=network))
    return plays


def write_factors(plays, held_out=None):
    listeners = np.count_nonzero(plays, axis=0)
    artists = [f"artist {i // 2}" for i in range(N)]
    tracks = LoggedTracks(
        [f"folder/{i}" for i in range(N)], [""] * N, artists, [""] * N, [""] * N,
        plays.sum(axis=0).astype(float), listeners,
    )  # fmt: skip
    log = Plays([f"u{u}" for u in range(60)], tracks, csr_matrix(plays.astype(np.float32)))
    settings = AlsSettings(n_factors=4)
    files.save_factors("factors.h5", fit_factors(log, settings, held_out=held_out))


def train(audiorec):
    assert audiorec("train", *TRAIN.split(), "--device", "cpu")[0] == 0
    assert audiorec("predict", "--device", "cpu")[0] == 0


@pytest.fixture(scope="module")
def trained_files():
    """What training on the library writes, {name: content}, filled by the first test to need it."""
    return {}


@pytest.fixture
def trained(library, audiorec, trained_files):
    """The library, with the network that it trained and its predictions in the current folder."""
    if not trained_files:
        train(audiorec)
        written = (Path("model.h5"), Path("predictions.h5"))
        trained_files.update({path.name: path.read_bytes() for path in written})
    for name, content in trained_files.items():
        Path(name).write_bytes(content)
    return library


def told(out):
    """AUC by model, and the mean differences in AUC by the two models' names."""
    result = json.loads(out)
    auc = {row["model"]: row["auc"]["mean"] for row in result["models"]}
    differences = {(d["model"], d["minus"]): d["auc"] for d in result["differences"]}
    return result, auc, differences


def test_a_trained_network_stands_between_chance_and_the_ceiling(trained, audiorec):
    status, out, err = audiorec("evaluate", "--json")
    assert status == 0, err
    result, auc, differences = told(out)
    assert result["protocol"] == "paper"
    assert set(auc) == {
        "network", "random", "popularity (oracle)", "factors, unit norm (ceiling)",
        "factors, raw (ceiling)", "mean factor", "ridge on mel statistics",
        "linear on MFCC words", "MLP on MFCC words",
    }  # fmt: skip
    assert auc["network"] > 0.8
    assert auc["ridge on mel statistics"] > 0.8
    assert auc["factors, unit norm (ceiling)"] > 0.9
    assert auc["mean factor"] == 0.5
    gain = differences["network", "mean factor"]
    assert gain["mean"] == pytest.approx(auc["network"] - 0.5)
    assert gain["low"] > 0
    assert ("network", "random") in differences


def test_the_table_says_which_protocol(trained, audiorec):
    status, out, _ = audiorec("evaluate", "--no-baselines", "--protocol", "paper")
    header, *rows = out.splitlines()
    assert status == 0
    assert header.split("\t")[:2] == ["model (paper)", "AUC"]
    assert rows[0].startswith("network\t0.")
    assert "ridge" not in out
    assert any(row.startswith("network − random\t") for row in rows)


def test_strict_wants_tracks_that_no_factor_has_seen(trained, audiorec):
    status, out, err = audiorec("evaluate", "--protocol", "strict", "--no-baselines")
    assert (status, out) == (1, "")
    assert "factors.h5: user factors saw the test tracks" in err
    write_factors(trained, held_out=np.arange(N) % 6 < 2)
    train(audiorec)
    status, out, err = audiorec("evaluate", "--no-baselines", "--json")
    result, auc, _ = told(out)
    assert result["protocol"] == "strict"
    assert auc["network"] > 0.8
    assert auc["factors, unit norm (ceiling)"] > 0.85
    assert audiorec("evaluate", "--protocol", "paper")[0] == 1


def test_min_listeners_leaves_out_what_is_hardly_known(trained, audiorec):
    assert audiorec("evaluate", "--no-baselines", "--min-listeners", 1)[0] == 0
    status, _, err = audiorec("evaluate", "--no-baselines", "--min-listeners", 60)
    assert status == 1
    assert "0 test tracks have 60 listeners or more" in err


def test_predictions_of_another_network_are_refused(trained, audiorec):
    predictions = files.load_predictions("predictions.h5")
    files.save_predictions("predictions.h5", replace(predictions, fingerprint="another"))
    status, _, err = audiorec("evaluate")
    assert status == 1
    assert "predictions.h5 was not made from model.h5 as it is now" in err


def test_predictions_of_other_factors_are_refused(trained, audiorec):
    write_factors(trained[::-1])
    status, _, err = audiorec("evaluate")
    assert status == 1
    assert "predictions.h5 holds predictions of other factors than factors.h5 has" in err


def test_the_surer_half_is_that_of_the_smaller_deviations(trained, audiorec):
    tested = files.load_checkpoint("model.h5").split["test"]
    predictions = files.load_predictions("predictions.h5")
    factors, deviation = predictions.predicted_factors.copy(), np.full((N, 4), 0.1, np.float32)
    for track_id in tested[::2]:
        row = predictions.tracks.row_of_track_id[track_id]
        factors[row] *= -1
        deviation[row] = 0.9
    files.save_predictions(
        "predictions.h5", replace(predictions, predicted_factors=factors, deviation=deviation)
    )
    status, out, err = audiorec("evaluate", "--no-baselines", "--json")
    assert status == 0, err
    _, auc, _ = told(out)
    assert auc["network (surer half)"] > 0.8
    assert auc["network (less sure half)"] < 0.2


def test_more_resamples_and_another_seed_draw_other_intervals(trained, audiorec):

    def interval(*options):
        _, out, _ = audiorec("evaluate", "--no-baselines", "--json", *options)
        auc = json.loads(out)["models"][0]["auc"]
        return auc["low"], auc["high"]

    assert interval() == interval()
    assert interval() != interval("--resamples", 150)
    assert interval() != interval("--seed", 1)


def test_folds_test_every_track_once_and_hold_it_out(library, audiorec, monkeypatch):
    seen = []
    fitted = rounds.Folds._fitted

    def spied(self, *arguments):
        seen.append(fitted(self, *arguments))
        return seen[-1]

    monkeypatch.setattr(rounds.Folds, "_fitted", spied)
    status, out, err = audiorec(*FOLDS, "--train", TRAIN)
    assert status == 0, err
    result, auc, _ = told(out)
    assert result["protocol"] == "strict"
    assert auc[TRAIN] > 0.8 > auc["random"]
    held_out = np.array([factors.is_held_out for factors in seen])
    assert (held_out.sum(axis=0) == 1).all()
    # whatever the factors file held out, the paper's users have seen everything
    write_factors(library, held_out=np.arange(N) < 6)
    status, out, _ = audiorec(*FOLDS, "--train", TRAIN, "--protocol", "paper", "--no-baselines")
    assert status == 0
    assert not any(factors.is_held_out.any() for factors in seen[2:])
    assert [factors.is_test.sum() for factors in seen[2:]] == [N // 2, N // 2]


def test_where_the_log_lists_artists_folds_rank_them_by_all_their_songs(library, audiorec):
    artists = [f"artist {i}" for i in range(N // 2)]
    with h5py.File("mels.h5", "r+") as file:
        file["tracks/artist"][:] = np.repeat(artists, 2).astype(object)
    plays = (library[:, ::2] + library[:, 1::2]).astype(np.float32)
    listeners = np.count_nonzero(plays, axis=0)
    none = [""] * len(artists)
    tracks = LoggedTracks(
        artists, none, artists, none, none, plays.sum(axis=0, dtype=float), listeners
    )
    log = Plays([f"u{u}" for u in range(60)], tracks, csr_matrix(plays))
    factors = fit_factors(log, AlsSettings(n_factors=4))
    files.save_factors("factors.h5", replace(factors, params=factors.params | {"items": "artists"}))
    status, out, err = audiorec(*FOLDS, "--train", TRAIN)
    assert status == 0, err
    assert "48 of 48 tracks are in the log: 48 by artist" in err
    _, auc, _ = told(out)
    assert auc[TRAIN] > 0.8 > auc["random"]
    assert auc["ridge on mel statistics"] > 0.8
    # each fold's 12 artists are ranked, so that the 10 of a top are nearly all of them
    coverage = {row["model"]: row["coverage"] for row in json.loads(out)["models"]}
    assert coverage["popularity (oracle)"] == pytest.approx(10 / 12)


def test_recipes_are_compared_and_surer_halves_shown(library, audiorec):
    two = ("--train", TRAIN, "--train", f"{TRAIN} --predict-variance")
    status, out, err = audiorec(*FOLDS, *two, "--no-baselines")
    assert status == 0, err
    _, auc, differences = told(out)
    sure = f"{TRAIN} --predict-variance"
    assert {sure, f"{sure} (surer half)", f"{sure} (less sure half)"} <= set(auc)
    assert (sure, TRAIN) in differences


def test_a_stopped_run_goes_on_and_kept_folds_are_not_trained_again(
    library, here, audiorec, monkeypatch
):
    folds = (*FOLDS, "--train", TRAIN, "--no-baselines")
    undisturbed = audiorec(*folds)[1]
    kept = (*folds, "--keep", "kept")
    run_epoch, epochs = Trainer.run_epoch, []

    def interrupted(trainer, **options):
        epochs.append(trainer)
        if len(epochs) == 15:  # in the second fold
            raise KeyboardInterrupt
        run_epoch(trainer, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupted)
        assert audiorec(*kept)[0] == 130
    status, first, err = audiorec(*kept)
    assert (status, first) == (0, undisturbed)
    assert "going on after epoch 2" in err
    (model,) = here.glob("kept/*/fold-1/preset-spotify2014-epochs-12-batch-size-4-lr-0.001.h5")
    before = model.stat().st_mtime_ns
    status, again, err = audiorec(*kept)
    assert (status, again) == (0, first)
    assert "train:" not in err
    assert model.stat().st_mtime_ns == before
    # as a stop between the last epoch and the end leaves it
    model.rename(model.with_suffix(".unfinished.h5"))
    model.with_suffix(".predictions.h5").unlink()
    assert audiorec(*kept)[:2] == (0, first)
    assert model.exists()


def test_kept_folds_are_not_taken_for_those_of_other_inputs(library, mels_file):
    def folder():
        factors = files.load_factors("factors.h5")
        made = rounds.Folds(
            "mels.h5", factors, {}, "strict", seed=0, device="cpu", folder=Path("kept")
        )
        return made.folder_of(2)

    names = [folder()]
    assert names[0] == folder()
    write_factors(library[::-1])
    names.append(folder())
    with h5py.File("mels.h5", "r+") as file:
        file.attrs["params"] = json.dumps(json.loads(file.attrs["params"]) | {"hop_length": 1000})
    names.append(folder())
    with h5py.File("mels.h5", "r+") as file:
        file["tracks/artist"][0] = "another"
    names.append(folder())
    assert len(set(names)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--train", "--epochs 1"), "--train, --keep and --device go with --folds"),
        (("--device", "cpu"), "--train, --keep and --device go with --folds"),
        (("--folds", 2, "--min-listeners", 60), "0 test tracks have 60 listeners or more"),
        (
            ("--folds", 99),
            "48 artists cannot be dealt into 99 folds: ask for 48 with --folds at most",
        ),
        (
            ("--folds", 2, "--train", "", "--train", "--layers 99"),
            '--train "--layers 99": 550 frames are too few for 99 convolutions',
        ),
        (("--folds", 2, "--train", "--validation 30"), "30 tracks set apart leave none of 24"),
        (("--folds", 2, "--train", "--validation 1.5"), "--validation 1.5: give a share between"),
        (("--folds", 2, "--checkpoint", "m.h5"), "--folds trains networks of its own"),
    ],
)
def test_what_does_not_go_together_is_one_line(library, audiorec, arguments, message):
    status, out, err = audiorec("evaluate", *arguments)
    assert (status, out) == (1, "")
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("--epocks 3", "No such option: --epocks"),
        ("--out x.h5", "evaluate itself sets --out: leave it out"),
        ("--test 5", "evaluate itself sets --test: leave it out"),
        ('--out "x', "there is an open quotation"),
    ],
)
def test_wrong_options_of_training_are_wrong_usage_of_train(
    library, audiorec, monkeypatch, recipe, message
):
    monkeypatch.setenv("COLUMNS", "200")
    status, _, err = audiorec("evaluate", "--folds", 2, "--train", recipe)
    assert status == 2
    assert f"Invalid value for --train: {recipe}: {message}" in err
