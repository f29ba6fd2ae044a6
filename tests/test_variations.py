"""Every variation with every preset: it does something, again the same, and after a stop too."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from audiorec_cli import files
from audiorec_cli.convnet import presets
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.training import Trainer

SHORT = ("--batch-size", 4, "--lr", 0.01, "--device", "cpu")
VARIATIONS = {
    "layers": ("--layers", 3),
    "maxout": ("--activation", "maxout"),
    "stochastic": ("--pooling", "stochastic"),
    "normalization": ("--normalization", "batch"),
    "dropout": ("--dropout", 0),
    "l2-output": ("--l2-output",),
    "stretch": ("--stretch", 0.2),
    "bypass": ("--bypass",),
    "descriptors": ("--descriptors", "all"),
    "variance": ("--predict-variance",),
    "cosine": ("--objective", "cosine"),
    "wpe": ("--objective", "wpe"),
    "wpe-l2": ("--objective", "wpe", "--l2-output"),
    "bfloat16": ("--mixed-precision",),
    "updates": ("--updates", 4),
    "everything": (
        "--layers", 3, "--activation", "maxout", "--pooling", "stochastic", "--l2-output",
        "--stretch", 0.2, "--bypass", "--descriptors", "all", "--predict-variance",
        "--mixed-precision", "--updates", 4,
    ),
}  # fmt: skip
# what a preset does anyway is left out of it instead
WITHOUT = {
    ("modern", "normalization"): ("--normalization", "none"),
    ("modern", "cosine"): ("--objective", "mse"),
    ("modern", "descriptors"): ("--descriptors", "none"),
}


# modern predicts at unit norm anyway
CASES = [
    (preset, name)
    for preset in presets.PRESETS
    for name in VARIATIONS
    if (preset, name) != ("modern", "l2-output")
]


@pytest.fixture
def library(here, quick_training, mels_file, factors_file):
    """Mels and factors of 12 tracks, and what the fit of the factors leaves, in this folder."""
    mels_file("mels.h5", 12)
    factors = files.load_factors(factors_file("factors.h5", 12))
    listeners = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    params = {"model": "als", "alpha": 2.0, "epsilon": 1.0}
    files.save_factors("factors.h5", replace(factors, user_factors=listeners, params=params))
    return here


def weights(path):
    return files.load_checkpoint(path).latest_weights


def are_same(one, other):
    return set(one) == set(other) and all(np.array_equal(one[n], other[n]) for n in one)


def length(options):
    return () if "--updates" in options else ("--epochs", 2)


@pytest.fixture(scope="module")
def plain_weights():
    """Weights of each preset without a variation, filled by the first test that needs them."""
    return {}


@pytest.mark.parametrize(("preset", "name"), CASES)
def test_it_trains_goes_on_and_predicts(
    library, audiorec, monkeypatch, plain_weights, preset, name
):
    options = WITHOUT.get((preset, name), VARIATIONS[name])
    common = ("train", *SHORT, "--preset", preset)
    varied = (*common, *options, *length(options))
    if preset not in plain_weights:
        assert audiorec(*common, "--epochs", 2, "--out", "plain.h5")[0] == 0
        plain_weights[preset] = weights("plain.h5")
    assert audiorec(*varied, "--out", "one.h5")[0] == 0
    assert not are_same(weights("one.h5"), plain_weights[preset])

    run_epoch = Trainer.run_epoch

    def interrupted(trainer, **more):
        if trainer.epochs_done == 1:
            raise KeyboardInterrupt
        run_epoch(trainer, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupted)
        assert audiorec(*varied, "--out", "cut.h5")[0] == 130
    assert audiorec(*varied, "--out", "cut.h5", "--resume")[0] == 0
    # the same seed twice, and the second time with a stop between
    assert are_same(weights("one.h5"), weights("cut.h5"))

    model = ("--checkpoint", "one.h5")
    assert audiorec("predict", *model, "--device", "cpu")[0] == 0
    predicted = files.load_predictions("predictions.h5")
    assert predicted.predicted_factors.shape == (12, 3)
    assert (predicted.deviation is not None) == ("--predict-variance" in options)
    status, out, _ = audiorec("similar", "title 1", "-k", 2, "--json")
    assert status == 0
    assert ("confidence" in json.loads(out)[0]) == ("--predict-variance" in options)
    layers = ("--layer", "conv2", "--layer", "dense1")
    assert audiorec("top-activations", *model, *layers, "--device", "cpu")[0] == 0


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_compiling_runs_the_network_through_the_compiler(library, audiorec, monkeypatch, preset):
    compiled = []

    def traced(network):
        compiled.append(network)
        nn.Module.compile(network, backend="eager")  # the real one takes half a minute

    monkeypatch.setattr(Network, "compile", traced)
    common = ("train", *SHORT, "--epochs", 1, "--preset", preset)
    assert audiorec(*common, "--out", "plain.h5")[0] == 0
    assert not compiled
    assert audiorec(*common, "--compile", "--out", "one.h5")[0] == 0
    assert len(compiled) == 1
    assert set(weights("one.h5")) == set(weights("plain.h5"))
    torch._dynamo.reset()


def test_a_machine_without_a_compiler_is_one_line(library, audiorec, monkeypatch):
    def no_compiler(*arguments):
        raise FileNotFoundError("c++")

    monkeypatch.setattr(
        Network, "compile", lambda network: nn.Module.compile(network, backend=no_compiler)
    )
    status, _, err = audiorec("train", *SHORT, "--epochs", 1, "--compile")
    assert status == 1
    assert err.splitlines()[-1] == (
        f"error: torch.compile does not work here with torch {torch.__version__}; it needs a C++ "
        "compiler, or Triton for a GPU: train without --compile"
    )
    torch._dynamo.reset()


def test_the_network_runs_in_bfloat16_where_asked(library, audiorec, monkeypatch):
    seen = []
    hidden = Network.dense_activations

    def spied(network, features):
        for units in hidden(network, features):
            seen.append(units.dtype)
            yield units

    monkeypatch.setattr(Network, "dense_activations", spied)
    assert audiorec("train", *SHORT, "--epochs", 1, "--mixed-precision")[0] == 0
    assert set(seen) == {torch.bfloat16}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--epochs", 3, "--updates", 9), "both say how long to train: give one of them"),
        (("--predict-variance", "--objective", "mse"), "an objective of its own: leave out"),
        (("--layers", 1, "--bypass"), "--bypass goes by later convolutions, and there is one"),
        (("--layers", 100), "too few for 100 convolutions: ask for --layers"),
        (("--preset", "nips2013", "--stretch", 9), "do not fit excerpts of 599 frames"),
    ],
)
def test_what_does_not_go_together_is_one_line(library, audiorec, options, message):
    status, out, err = audiorec("train", *SHORT, *options)
    assert (status, out) == (1, "")
    assert message in err.splitlines()[-1]


def test_the_most_layers_that_fit_are_named_and_fit(library, audiorec):
    _, _, err = audiorec("train", *SHORT, "--preset", "nips2013", "--layers", 100)
    most = int(err.split("--layers ")[1].split()[0])
    options = ("--preset", "nips2013", "--epochs", 1)
    assert audiorec("train", *SHORT, *options, "--layers", most)[0] == 0
    assert audiorec("train", *SHORT, *options, "--layers", most + 1)[0] == 1


def test_the_weighted_error_needs_factors_that_know_a_confidence(library, audiorec):
    factors = files.load_factors("factors.h5")
    files.save_factors("factors.h5", replace(factors, params={"model": "bpr"}))
    status, _, err = audiorec("train", *SHORT, "--objective", "wpe")
    assert status == 1
    assert "factors are of another model: make them with 'audiorec factorize" in err


def test_the_weighted_error_takes_the_confidence_of_the_fit(library, audiorec):
    factors = files.load_factors("factors.h5")
    linear = replace(factors, params={"model": "als", "alpha": 2.0, "confidence": "linear"})
    files.save_factors("linear.h5", linear)
    for name in ("factors", "linear"):
        options = ("--objective", "wpe", "--epochs", 2, "--factors", f"{name}.h5")
        assert audiorec("train", *SHORT, *options, "--out", f"{name}.model.h5")[0] == 0
    assert not are_same(weights("factors.model.h5"), weights("linear.model.h5"))


def test_updates_stop_where_they_should_and_are_shown(library, audiorec):
    status, _, err = audiorec("train", *SHORT, "--updates", 4)
    assert status == 0
    assert "update 4/4" in err
    assert files.load_checkpoint("model.h5").epochs_done == 2
    status, _, err = audiorec("train", *SHORT, "--updates", 4, "--resume")
    assert status == 1
    assert "model.h5 has its 4 updates" in err


def test_resume_demands_the_same_variation_and_old_checkpoints_go_on(library, audiorec):
    plain = ("train", *SHORT, "--preset", "spotify2014")
    assert audiorec(*plain, "--epochs", 1)[0] == 0
    status, _, err = audiorec(*plain, "--epochs", 2, "--bypass", "--resume")
    assert status == 1
    assert "was trained with bypass False, not True: repeat its options" in err
    with h5py.File("model.h5", "r+") as file:
        settings = json.loads(file.attrs["params"])
        for name in (
            "activation", "pooling", "bypass", "predict_variance", "window_frames",
            "normalization", "spread", "descriptors", "sample_rate", "hop_length",
        ):  # fmt: skip
            del settings["network"][name]
        for name in (
            "updates", "stretch", "objective", "mixed_precision", "compile", "optimizer",
            "weight_decay", "schedule", "warmup",
        ):  # fmt: skip
            del settings["training"][name]
        file.attrs["params"] = json.dumps(settings)
    assert audiorec(*plain, "--epochs", 2, "--resume")[0] == 0


@pytest.mark.parametrize(
    "forge",
    [
        lambda state: state.__delitem__("output.bias.step"),
        lambda state: state.__delitem__("output.bias.exp_avg_sq"),
        lambda state: state["output.bias.step"].__setitem__(0, -1),
        lambda state: state["output.bias.exp_avg_sq"].__setitem__(0, -1),
        lambda state: state.create_dataset("output.bias", data=np.zeros(3, np.float32)),
        lambda state: state.create_dataset("other.step", data=np.ones(1, np.float32)),
    ],
)
def test_what_is_no_state_of_the_optimiser_is_one_line(library, audiorec, forge):
    options = ("train", *SHORT, "--preset", "modern")
    assert audiorec(*options, "--epochs", 1)[0] == 0
    with h5py.File("model.h5", "r+") as file:
        forge(file["optimizer"])
    status, _, err = audiorec(*options, "--epochs", 2, "--resume")
    assert status == 1
    assert err.splitlines()[-1].startswith("error: the checkpoint is damaged")


def test_batches_of_one_are_not_normalised(library, audiorec):
    options = ("--preset", "modern", "--batch-size", 1, "--device", "cpu", "--epochs", 1)
    status, _, err = audiorec("train", *options)
    assert status == 1
    assert "ask for more with --batch-size, or for --normalization none" in err
    assert audiorec("train", *options, "--normalization", "none")[0] == 0


def test_test_tracks_of_the_factors_are_the_test_and_their_artists_are_left_out(library, audiorec):
    factors = files.load_factors("factors.h5")
    held, marked = 0, 5
    norm, vectors, is_test = factors.norm.copy(), factors.track_factors.copy(), factors.is_test
    norm[held], vectors[held] = 0, 0
    is_test[[held, marked]] = True
    artists = [f"artist {i // 2}" for i in range(12)]
    with h5py.File("mels.h5", "r+") as file:
        file["tracks/artist"][:] = artists
    changed = replace(factors, norm=norm, track_factors=vectors, is_test=is_test)
    files.save_factors("factors.h5", changed)
    status, _, err = audiorec("train", *SHORT, "--epochs", 1)
    assert status == 0
    assert "2 tracks are by artists of test tracks and left out" in err
    split = files.load_checkpoint("model.h5").split
    assert sorted(split["test"]) == ["folder/0", "folder/5"]
    seen = [track_id for part in ("train", "validation") for track_id in split[part]]
    assert sorted(seen) == sorted(f"folder/{i}" for i in (2, 3, 6, 7, 8, 9, 10, 11))


def test_where_all_tracks_are_test_tracks_is_one_line(library, audiorec):
    factors = files.load_factors("factors.h5")
    files.save_factors("factors.h5", replace(factors, is_test=np.ones(12, bool)))
    status, _, err = audiorec("train", *SHORT, "--epochs", 1)
    assert status == 1
    assert "12 are test tracks" in err.splitlines()[-1]
