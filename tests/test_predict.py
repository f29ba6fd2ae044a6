"""audiorec predict: factors of a track, and how sure of them the network is."""

import json
from dataclasses import asdict, replace

import h5py
import numpy as np
import pytest
import torch

from audiorec_cli import files
from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.settings import NetworkSettings
from audiorec_cli.records import AnalysedTrack, Tracks

pytestmark = pytest.mark.usefixtures("loading_in_process")


@pytest.fixture
def unsure():
    """A small network that predicts deviations."""
    torch.manual_seed(0)
    settings = NetworkSettings(
        conv_channels=(8, 8), conv_pools=(4, 2), dense_units=(16,), n_factors=3,
        predict_variance=True,
    )  # fmt: skip
    return Network(settings, mel_mean=torch.zeros(128), mel_deviation=torch.ones(128)).eval()


@pytest.fixture
def two_excerpts(here, tracks):
    """A mels file of two tracks with two excerpts each, one of them loud. Returns the mels."""
    mels = np.random.default_rng(0).random((2, 2, 128, 599)).astype(np.float16)
    mels[:, 1] *= 8
    table = tracks(2)
    params = asdict(SpectrogramSettings())
    with files.MelsWriter("mels.h5", audio_folder="/music", params=params) as writer:
        columns = [{c: getattr(table, c)[row] for c in Tracks.columns()} for row in range(2)]
        starts, whole = np.array([0.0, 30.0]), np.full(2, 30.0)
        writer.append([AnalysedTrack(columns[i], starts, whole, mels[i]) for i in range(2)])
    return mels


@torch.inference_mode()
def test_deviations_are_those_of_the_mixture_on_the_scale_of_unit_norm(
    two_excerpts, audiorec, checkpoint_file, unsure
):
    checkpoint_file("model.h5", network=unsure)
    status, _, err = audiorec("predict", "--device", "cpu", "--batch-size", 3)
    assert status == 0
    assert "with their deviations" in err
    predicted = files.load_predictions("predictions.h5")
    for track in range(2):
        outputs = unsure(torch.from_numpy(two_excerpts[track])).double().numpy()
        means, variances = outputs[:, :3], np.exp(outputs[:, 3:])
        mean = means.mean(axis=0)
        deviation = np.sqrt(variances.mean(axis=0) + means.var(axis=0))
        length = np.linalg.norm(mean)
        np.testing.assert_allclose(predicted.predicted_factors[track], mean / length, rtol=1e-3)
        np.testing.assert_allclose(predicted.deviation[track], deviation / length, rtol=1e-3)


def test_a_network_without_variances_writes_no_deviations(two_excerpts, audiorec, checkpoint_file):
    checkpoint_file("model.h5")
    assert audiorec("predict", "--device", "cpu")[0] == 0
    assert files.load_predictions("predictions.h5").deviation is None


def test_mel_statistics_are_means_over_the_excerpts(two_excerpts, audiorec, checkpoint_file):
    checkpoint_file("model.h5")
    assert audiorec("predict", "--device", "cpu", "--batch-size", 3)[0] == 0
    statistics = files.load_predictions("predictions.h5").mel_statistics
    heard = two_excerpts.astype(np.float64)
    mean, deviation = heard.mean(axis=-1).mean(axis=1), heard.std(axis=-1).mean(axis=1)
    np.testing.assert_allclose(statistics, np.hstack([mean, deviation]), rtol=1e-3)


def test_predictions_of_another_space_are_replaced_with_a_note(
    two_excerpts, audiorec, checkpoint_file
):
    checkpoint_file("model.h5")
    said = "predictions.h5: predictions that were made by other factors are replaced"
    assert said not in audiorec("predict", "--device", "cpu")[2]
    assert said not in audiorec("predict", "--device", "cpu")[2]
    old = files.load_predictions("predictions.h5")
    params = {**old.params, "factors": "of another log"}
    files.save_predictions("predictions.h5", replace(old, params=params))
    status, _, err = audiorec("predict", "--device", "cpu")
    assert status == 0
    assert said in err


def test_spectrograms_of_other_windows_are_refused(
    here, audiorec, mels_file, factors_file, quick_training
):
    mels_file("mels.h5", 12)
    factors_file("factors.h5", 12)
    assert audiorec("train", "--epochs", 1, "--lr", 1e-3, "--device", "cpu")[0] == 0
    assert audiorec("predict", "--device", "cpu")[0] == 0
    with h5py.File("mels.h5", "r+") as file:
        settings = {**json.loads(file.attrs["params"]), "hop_length": 512}
        file.attrs["params"] = json.dumps(settings)
    for command in ("predict", "top-activations"):
        status, out, err = audiorec(command, "--device", "cpu")
        assert (status, out) == (1, "")
        assert "mels.h5 has spectrograms of hop_length 512" in err.splitlines()[-1]
        assert "trained on 1102" in err.splitlines()[-1]
