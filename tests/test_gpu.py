"""On a CUDA device, where there is one: it trains, the same each time, and agrees with a CPU."""

import copy
import json

import numpy as np
import pytest
import torch

from audiorec_cli import files
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.presets import PRESETS, Grid, settings_of
from audiorec_cli.convnet.training import Trainer, pick_device

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device on this machine"
)
GRID = Grid(n_frames=599, sample_rate=22_050, hop_length=1102)


class Batches:
    """A loader of a few batches of noise."""

    def __init__(self):
        made = torch.Generator().manual_seed(0)
        self._batches = [
            ((5 * torch.rand(16, 128, 550, generator=made)).half(), unit_rows(16, made))
            for _ in range(8)
        ]

    def __len__(self):
        return len(self._batches)

    def epoch(self, epoch):
        yield from self._batches


@pytest.fixture
def library(here, mels_file, factors_file):
    """Mels and factors of 40 tracks by 2 artists in the current folder."""
    mels_file("mels.h5", 40)
    factors_file("factors.h5", 40)
    return here


def unit_rows(n, generator):
    return torch.nn.functional.normalize(torch.randn(n, 40, generator=generator), dim=1)


def network_of(preset):
    network, training = settings_of(preset, GRID, network={"n_factors": 40})
    torch.manual_seed(0)
    mean, deviation = np.full(128, 2.5, np.float32), np.ones(128, np.float32)
    return Network(network, mel_mean=mean, mel_deviation=deviation), training


def trained(preset, epochs, earlier=None):
    network, training = network_of(preset)
    network.to(pick_device("cuda"))
    trainer = Trainer(network, training, train=Batches(), validation=Batches())
    if earlier is not None:
        network.load_state_dict(earlier.network.state_dict())
        trainer._optimizer.load_state_dict(earlier._optimizer.state_dict())
        trainer.history = copy.deepcopy(earlier.history)
    for _ in range(epochs):
        trainer.run_epoch()
    return trainer


def assert_same(one, other):
    for name, weights in one.state()["latest_weights"].items():
        np.testing.assert_array_equal(weights, other.state()["latest_weights"][name], name)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_seed_gives_the_same_weights(preset):
    assert_same(trained(preset, 2), trained(preset, 2))


@pytest.mark.parametrize("preset", PRESETS)
def test_training_that_was_stopped_goes_on_as_if_it_had_not(preset):
    assert_same(trained(preset, 3), trained(preset, 1, earlier=trained(preset, 2)))


@pytest.mark.parametrize("preset", PRESETS)
def test_it_predicts_what_a_cpu_predicts(preset):
    network, _ = network_of(preset)
    network.eval()
    (mels, _), *_ = Batches().epoch(0)
    with torch.inference_mode():
        expected = network(mels)
        predicted = copy.deepcopy(network).to(pick_device("cuda"))(mels.cuda()).cpu()
    likeness = torch.nn.functional.cosine_similarity(predicted, expected, dim=-1)
    assert (1 - likeness).abs().max() < 1e-5


def test_the_commands_of_the_readme(library, audiorec):
    status, _, err = audiorec("train", "--epochs", 40, "--device", "cuda")
    assert status == 0, err
    losses = files.load_checkpoint("model.h5").history["train_loss"]
    assert len(losses) == 40
    assert losses[-1] < losses[0]
    for device in ("cuda", "cpu"):
        out = ("--out", f"{device}.h5", "--device", device)
        assert audiorec("predict", *out)[0] == 0
    one, other = (files.load_predictions(f"{d}.h5").predicted_factors for d in ("cuda", "cpu"))
    np.testing.assert_allclose((one * other).sum(axis=1), 1, atol=1e-5)
    listed = ("top-activations", "--layer", "conv1", "--json", "--device")
    heard = [json.loads(audiorec(*listed, device)[1]) for device in ("cuda", "cpu")]
    same = [a["track_id"] == b["track_id"] for a, b in zip(*heard, strict=True)]
    assert np.mean(same) > 0.95  # but where tracks come to nearly the same


@pytest.mark.parametrize("preset", PRESETS)
def test_compiled_and_in_bfloat16(library, audiorec, preset):
    quick = ("--compile", "--mixed-precision", "--device", "cuda")
    status, _, err = audiorec("train", "--epochs", 3, "--preset", preset, *quick)
    assert status == 0, err
    assert "Warning" not in err
    history = files.load_checkpoint("model.h5").history
    assert np.isfinite(history["validation_loss"]).all()
    torch._dynamo.reset()
