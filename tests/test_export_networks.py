"""audiorec export of networks, and the examples of the page on exports, which need one."""

import json
import logging
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from audiorec_cli import files
from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.convnet import descriptors, onnx_export, presets
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.settings import NetworkSettings

pytestmark = pytest.mark.usefixtures("loading_in_process")
SMALL = {
    "conv_channels": (8, 8), "conv_pools": (4, 2), "dense_units": (16, 16), "n_factors": 3
}  # fmt: skip


@pytest.fixture(autouse=True)
def untraced(monkeypatch):
    """Pytest does not listen to what torch tells of every step of an export, which takes long."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "handlers", [])


@pytest.fixture
def untrained(here, checkpoint_file):
    """Makes a network with random weights, and model.h5, its checkpoint. Returns the network."""

    def make(settings=None, seed=0):
        torch.manual_seed(seed)
        mean, deviation = np.linspace(1, 3, 128, dtype=np.float32), np.full(128, 2, np.float32)
        statistics = {"mel_mean": mean, "mel_deviation": deviation}
        network = Network(settings or NetworkSettings(**SMALL), **statistics).eval()
        checkpoint_file("model.h5", network=network)
        files.save_checkpoint("model.h5", replace(files.load_checkpoint("model.h5"), **statistics))
        return network

    return make


@pytest.fixture(scope="module")
def onnx_file():
    """The bytes of an ONNX file of the network of checkpoint_file, made once."""
    torch.manual_seed(0)
    network = Network(
        NetworkSettings(**SMALL), mel_mean=torch.zeros(128), mel_deviation=torch.ones(128)
    )
    return onnx_export.onnx_bytes(network.eval(), {"made": "once"})


def settings_of(preset, **different):
    """The settings of a preset that quick_training made small."""
    grid = presets.Grid(599, 22_050, 1102)
    return presets.settings_of(preset, grid, network={**different, "n_factors": 3})[0]


def outputs_of(path, mels):
    """What onnxruntime makes of spectrograms (batch, n_mels, n_frames), by name."""
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"log_mel_spectrogram": mels}), strict=True))


@pytest.mark.parametrize(
    ("preset", "different"),
    [
        ("spotify2014", {"bypass": True}),
        ("nips2013", {"predict_variance": True, "pooling": "stochastic", "activation": "maxout"}),
        ("modern", {}),
    ],
)
@torch.inference_mode()
def test_onnxruntime_predicts_what_predict_does(
    audiorec, exported, quick_training, mels_file, untrained, preset, different, monkeypatch
):
    # more of the same takes longer to export
    monkeypatch.setattr(descriptors, "N_DESCRIPTOR_HEADS", 1)
    monkeypatch.setattr(descriptors, "WINDOWS_S", (2.0, None))
    network = untrained(settings_of(preset, **different))
    err = exported("t.onnx")
    # nothing of what the exporter or the runtime say besides
    assert [line.split(":")[0] for line in err.splitlines()] == [
        "checkpoint", "the checkpoint does not say how its spectrograms were made",
        "tracing the network, which may take a minute", "t.onnx",
    ]  # fmt: skip
    mels = np.random.default_rng(0).random((4, 128, 599)).astype(np.float16) * 5
    mels[3] = 0
    mels_file("mels.h5", mels=mels)
    assert audiorec("predict", "--device", "cpu")[0] == 0
    predicted, mels = files.load_predictions("predictions.h5"), mels.astype(np.float32)
    found = outputs_of("t.onnx", mels)
    np.testing.assert_allclose(found["factors"], predicted.predicted_factors, atol=2e-6)
    if predicted.deviation is not None:
        np.testing.assert_allclose(found["deviation"], predicted.deviation, rtol=1e-4)
    for shorter in (mels[:1, :, :300], mels[:3, :, : onnx_export.shortest_input(network.settings)]):
        found = outputs_of("t.onnx", shorter)
        before = network(torch.from_numpy(shorter))[:, :3]
        np.testing.assert_allclose(found["norm"][:, None] * found["factors"], before, atol=2e-6)


def test_the_metadata_tells_how_to_make_the_spectrograms(
    here, exported, checkpoint_file, onnx_file, monkeypatch
):
    checkpoint_file("model.h5")
    trained = files.load_checkpoint("model.h5")
    settings = SpectrogramSettings(hop_length=512)
    trained.settings["spectrogram"] = asdict(settings)
    files.save_checkpoint("model.h5", trained)
    told = {}

    def made(network, properties):
        told.update(properties)
        return onnx_file

    monkeypatch.setattr(onnx_export, "onnx_bytes", made)
    exported("t.onnx")
    assert told == {
        "sample_rate": "22050", "n_fft": "2048", "hop_length": "512", "n_mels": "128",
        "seconds": "30.0", "compression": "10000.0", "n_factors": "3", "min_frames": "23",
        "fingerprint": trained.fingerprint,
    }  # fmt: skip


def test_an_onnx_file_carries_its_metadata_and_no_paths(onnx_file):
    session = onnxruntime.InferenceSession(onnx_file)
    about = session.get_modelmeta()
    assert about.custom_metadata_map == {"made": "once"}
    assert "Slaney" in about.description
    assert session.get_inputs()[0].shape == ["batch", 128, "frames"]
    assert [output.shape for output in session.get_outputs()] == [["batch", 3], ["batch"]]
    assert b"network.py" not in onnx_file


def test_a_file_that_is_of_another_network_is_not_left(
    here, audiorec, untrained, onnx_file, monkeypatch
):
    untrained(seed=1)
    (here / "t.onnx").write_text("an older one of audiorec")
    monkeypatch.setattr(onnx_export, "onnx_bytes", lambda *arguments: onnx_file)
    status, out, err = audiorec("export", "t.onnx")
    assert (status, out) == (1, "")
    assert "t.onnx is not written: onnxruntime predicts something else" in err.splitlines()[-1]
    assert (here / "t.onnx").read_text() == "an older one of audiorec"


def test_without_onnxruntime_it_is_not_compared_and_says_so(
    here, exported, checkpoint_file, onnx_file, monkeypatch
):
    checkpoint_file("model.h5")
    monkeypatch.setattr(onnx_export, "onnx_bytes", lambda *arguments: onnx_file)
    assert "t.onnx: onnxruntime predicts the same" in exported("t.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "onnxruntime is not installed" in exported("t.onnx")


def test_what_torch_cannot_export_is_one_line(here, audiorec, checkpoint_file, monkeypatch):
    def fails(*arguments, **options):
        raise torch.onnx.OnnxExporterError("no way to translate aten.sort")

    checkpoint_file("model.h5")
    monkeypatch.setattr(torch.onnx, "export", fails)
    status, out, err = audiorec("export", "t.onnx")
    assert (status, out) == (1, "")
    assert "cannot export this network to ONNX: upgrade torch" in err.splitlines()[-1]
    assert not (here / "t.onnx").exists()


@torch.inference_mode()
def test_a_ctrl_c_within_the_exporter_stops_it(here, audiorec, checkpoint_file, monkeypatch):
    def interrupted(*arguments, **options):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise torch.onnx.OnnxExporterError("step 1 failed") from error

    checkpoint_file("model.h5")
    monkeypatch.setattr(torch.onnx, "export", interrupted)
    assert audiorec("export", "model.onnx")[0] == 130
    assert not (here / "model.onnx").exists()


def test_a_network_is_built_from_safetensors_alone(exported, untrained):
    network = untrained(NetworkSettings(**SMALL, normalization="batch"))
    assert "t.safetensors: " in exported("t.safetensors")
    tensors = load_file("t.safetensors")
    with safe_open("t.safetensors", "np") as file:
        about = file.metadata()
    statistics = {name: tensors.pop(name) for name in ("mel_mean", "mel_deviation")}
    rebuilt = Network(NetworkSettings(**json.loads(about["settings"])["network"]), **statistics)
    rebuilt.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    mels = torch.rand(2, 128, 599)
    assert torch.equal(rebuilt.eval()(mels), network(mels))
    assert about["fingerprint"] == files.load_checkpoint("model.h5").fingerprint


def test_the_examples_of_the_page_run(
    predictions_file, exported, untrained, onnx_file, here, capfd
):
    predictions_file("predictions.h5")
    untrained(NetworkSettings(**SMALL))
    exported("tracks.voy")
    exported("model.safetensors")
    (here / "model.onnx").write_bytes(onnx_file)
    page = (Path(__file__).parents[1] / "docs/export.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        exec(compile(example, "docs/export.md", "exec"), {})
    assert "folder/0" in capfd.readouterr().out
