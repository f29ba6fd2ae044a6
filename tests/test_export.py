"""audiorec export: what it writes is read back by the library that it is for."""

import json
import logging
import os
import re
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest
import torch
import voyager
from safetensors import safe_open
from safetensors.numpy import load_file
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from audiorec_cli import files
from audiorec_cli.audio.spectrogram import SpectrogramSettings
from audiorec_cli.convnet import descriptors, onnx_export, presets
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.settings import NetworkSettings
from audiorec_cli.output import tables, voyager_index
from audiorec_cli.output.voyager_index import built_index
from audiorec_cli.records import Predictions, Tracks
from audiorec_cli.retrieval.neighbors import nearest

pytestmark = pytest.mark.usefixtures("loading_in_process")

TEXTS = ("track_id", "artist", "title", "album", "genre", "path", "isrc", "mbid")
SMALL = {
    "conv_channels": (8, 8), "conv_pools": (4, 2), "dense_units": (16, 16), "n_factors": 3
}  # fmt: skip


@pytest.fixture(autouse=True)
def untraced(monkeypatch):
    """Pytest does not listen to what torch tells of every step of an export, which takes long."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "handlers", [])


@pytest.fixture
def predicted(here, unit_rows):
    """predictions.h5 of 40 tracks, two of them with hostile tags. Returns the Predictions."""
    n = 40
    numbers, none = [str(row) for row in range(n)], [""] * n
    nasty = ["a\tb\nc\r\x1b[2J\u202e\u2028d", 'quote " \\ Ünïcode ☃']
    tracks = Tracks(
        track_id=[f"folder/{i}" for i in numbers], path=[f"folder/{i}.mp3" for i in numbers],
        title=[*nasty, *numbers[2:]], artist=["artist"] * n, album=none,
        duration_s=np.linspace(1, 300, n), size=np.arange(n), mtime_ns=np.arange(n),
        isrc=none, mbid=none, genre=["rock", "", *none[2:]],
    )  # fmt: skip
    deviation = np.full((n, 4), 0.1, np.float32)
    made = Predictions(tracks, unit_rows((n, 4)), "a print", "/müsic", deviation)
    files.save_predictions("predictions.h5", made)
    return made


@pytest.fixture(scope="session")
def unit_rows():
    """Makes random rows of unit norm, float32."""

    def make(shape):
        rows = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return make


def exported(audiorec, *arguments):
    """Run the command; returns what it says."""
    status, out, err = audiorec("export", *arguments)
    assert (status, out) == (0, ""), err
    return err


def test_numpy_reads_the_npz_without_pickle(predicted, audiorec):
    exported(audiorec, "t.npz")
    with np.load("t.npz", allow_pickle=False) as read:
        assert set(read) == {
            "predicted_factors", "deviation", *TEXTS, "duration_s", "fingerprint", "audio_folder"
        }  # fmt: skip
        np.testing.assert_array_equal(read["predicted_factors"], predicted.predicted_factors)
        np.testing.assert_array_equal(read["deviation"], predicted.deviation)
        for name in TEXTS:
            assert read[name].tolist() == getattr(predicted.tracks, name)
        assert (read["fingerprint"], read["audio_folder"]) == ("a print", "/müsic")


def test_numpy_reads_the_npy(predicted, audiorec):
    exported(audiorec, "t.npy")
    read = np.load("t.npy", allow_pickle=False)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, predicted.predicted_factors)


def test_polars_reads_the_parquet_file(predicted, audiorec):
    exported(audiorec, "t.parquet")
    read = pl.read_parquet("t.parquet")
    assert read.columns == ["row", *TEXTS, "duration_s", "predicted_factors", "deviation"]
    assert read.schema["predicted_factors"] == pl.Array(pl.Float32, 4)
    np.testing.assert_array_equal(read["predicted_factors"].to_numpy(), predicted.predicted_factors)
    np.testing.assert_array_equal(read["deviation"].to_numpy(), predicted.deviation)
    assert read["row"].to_list() == list(range(40))
    for name in TEXTS:
        assert read[name].to_list() == getattr(predicted.tracks, name)
    assert pl.read_parquet_metadata("t.parquet")["fingerprint"] == "a print"


def test_predictions_without_deviations_have_none(here, audiorec, predictions_file):
    predictions_file("predictions.h5")
    for name in ("t.npz", "t.parquet"):
        exported(audiorec, name)
    assert "deviation" not in np.load("t.npz")
    assert "deviation" not in pl.read_parquet("t.parquet").columns


def test_voyager_finds_what_similar_finds(predicted, audiorec):
    err = exported(audiorec, "t.voy")
    assert "of the 10 nearest it finds 100.0%" in err
    index = voyager.Index.load("t.voy")
    factors = predicted.predicted_factors
    with open("t.names.json", encoding="utf-8") as file:
        names = json.load(file)
    assert (index.space, index.num_dimensions, len(index)) == (voyager.Space.Cosine, 4, 40)
    assert names == predicted.tracks.track_id
    for query in factors:
        found, distances = index.query(query, k=10)
        rows, scores = nearest(query, factors, 10)
        assert found.tolist() == rows.tolist()
        np.testing.assert_allclose(1 - distances, scores, atol=1e-6)


class Forgetful:
    """An index that has the farthest track in half of the places, unless it looks deep."""

    def __init__(self, factors, *, on_batch):
        self._index = built_index(factors)

    def as_bytes(self):
        return self._index.as_bytes()

    def query(self, vectors, k, **how):
        found, distances = self._index.query(vectors, k=len(self._index))
        if not how:
            found[:, k // 2 : k] = found[:, -1:]
        return found[:, :k], distances[:, :k]


def test_an_index_says_how_much_it_misses(predicted, audiorec, monkeypatch):
    monkeypatch.setattr(voyager_index, "built_index", Forgetful)
    err = exported(audiorec, "t.voy")
    assert "of the 10 nearest it finds 50.0%, with query_ef=100 100.0%" in err


def test_tensorboard_shows_the_projector(predicted, audiorec):
    err = exported(audiorec, "projector")
    assert "run tensorboard --logdir projector and open http://localhost:6006/#projector" in err
    plugin = ProjectorPlugin(TBContext(logdir=os.path.abspath("projector")))
    apps = plugin.get_plugin_apps()
    assert Client(apps["/runs"]).get("/runs").json == ["."]
    (embedding,) = Client(apps["/info"]).get("/info?run=.").json["embeddings"]
    assert embedding["tensorShape"] == [40, 4]
    asked = {"run": ".", "name": embedding["tensorName"]}
    data = Client(apps["/tensor"]).get("/tensor", query_string=asked).data
    read = np.frombuffer(data, np.float32).reshape(40, 4)
    np.testing.assert_array_equal(read, predicted.predicted_factors)
    text = Client(apps["/metadata"]).get("/metadata", query_string=asked).text
    header, *rows = [line.split("\t") for line in text.rstrip("\n").split("\n")]
    assert header == ["name", "artist", "title", "album", "genre", "track_id"]
    assert [row[-1] for row in rows] == predicted.tracks.track_id
    assert rows[0][:3] == ["artist - a b c [2J d", "artist", "a b c [2J d"]


def test_a_projector_is_written_over_and_nothing_else_is(predicted, audiorec, here):
    exported(audiorec, "projector")
    before = sorted((here / "projector").iterdir())
    (here / "projector/tensors.tsv").write_text("old")
    exported(audiorec, "projector")
    assert sorted((here / "projector").iterdir()) == before
    assert (here / "projector/tensors.tsv").read_text() != "old"
    (here / "projector/diary.txt").write_text("mine")
    (here / "other").mkdir()
    (here / "other/projector_config.pbtxt").write_text("embeddings {}")
    for folder in ("projector", "other"):
        status, out, err = audiorec("export", folder)
        assert (status, out) == (1, "")
        assert f"{folder} holds something else than a projector of audiorec" in err


@pytest.mark.parametrize("out", ["t.voy", "projector"])
def test_files_that_belong_together_are_all_there_or_none(
    predicted, audiorec, here, out, monkeypatch
):
    before = sorted(here.iterdir())
    fsync, synced = os.fsync, []

    def full(file):
        if synced:
            raise OSError(28, "No space left on device")
        synced.append(file)
        fsync(file)

    monkeypatch.setattr(os, "fsync", full)
    status, _, err = audiorec("export", out)
    assert status == 1
    assert "cannot be written: No space left on device" in err.splitlines()[-1]
    assert sorted(here.iterdir()) == before


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
    audiorec, quick_training, mels_file, untrained, preset, different, monkeypatch
):
    # more of the same takes longer to export
    monkeypatch.setattr(descriptors, "N_DESCRIPTOR_HEADS", 1)
    monkeypatch.setattr(descriptors, "WINDOWS_S", (2.0, None))
    network = untrained(settings_of(preset, **different))
    err = exported(audiorec, "t.onnx")
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
    here, audiorec, checkpoint_file, onnx_file, monkeypatch
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
    exported(audiorec, "t.onnx")
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
    here, audiorec, checkpoint_file, onnx_file, monkeypatch
):
    checkpoint_file("model.h5")
    monkeypatch.setattr(onnx_export, "onnx_bytes", lambda *arguments: onnx_file)
    assert "t.onnx: onnxruntime predicts the same" in exported(audiorec, "t.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "onnxruntime is not installed" in exported(audiorec, "t.onnx")


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


def test_a_network_is_built_from_safetensors_alone(audiorec, untrained):
    network = untrained(NetworkSettings(**SMALL, normalization="batch"))
    assert "t.safetensors: " in exported(audiorec, "t.safetensors")
    tensors = load_file("t.safetensors")
    with safe_open("t.safetensors", "np") as file:
        about = file.metadata()
    statistics = {name: tensors.pop(name) for name in ("mel_mean", "mel_deviation")}
    rebuilt = Network(NetworkSettings(**json.loads(about["settings"])["network"]), **statistics)
    rebuilt.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    mels = torch.rand(2, 128, 599)
    assert torch.equal(rebuilt.eval()(mels), network(mels))
    assert about["fingerprint"] == files.load_checkpoint("model.h5").fingerprint


def test_the_format_that_is_asked_for_goes_before_the_suffix(predicted, audiorec, here):
    exported(audiorec, "t.npz", "--format", "npy")
    assert np.load("t.npz").shape == (40, 4)
    exported(audiorec, "v1.2", "--format", "projector")
    assert (here / "v1.2/tensors.tsv").exists()


def test_a_projector_has_no_suffix_unless_asked(predicted, audiorec, here):
    (here / "d.npz").mkdir()
    (here / "my.csv").write_text("mine")
    status, _, err = audiorec("export", "d.npz")
    assert status == 1
    assert "d.npz is a folder: name a file to write, or say --format projector" in err
    status, _, err = audiorec("export", "my.csv", "--format", "projector")
    assert status == 1
    assert "my.csv is no folder: name a folder to make" in err
    assert (here / "my.csv").read_text() == "mine"
    exported(audiorec, "d.npz", "--format", "projector")
    assert (here / "d.npz/tensors.tsv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("t.csv",), "t.csv: no known format: end its name in one of .npz, .npy, .parquet, .voy"),
        (("t.npz", "--checkpoint", "model.h5"), "--checkpoint has no part in npz: leave it out"),
        (("t.onnx", "--predictions", "p.h5"), "--predictions has no part in onnx: leave it out"),
        (("predictions.h5", "--format", "npz"), "predictions.h5 exists and is no npz file"),
        (("no/t.voy",), "no: no such folder to write t.voy in"),
        (("no/projector",), "no: no such folder to make projector in"),
        (("predictions.h5/x",), "predictions.h5: no such folder to make x in"),
    ],
)
def test_what_cannot_be_is_one_line(predicted, audiorec, here, arguments, message):
    before = {path: path.read_bytes() for path in here.iterdir()}
    status, out, err = audiorec("export", *arguments)
    assert (status, out) == (1, "")
    assert message in err.splitlines()[-1]
    assert {path: path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.parametrize(
    ("out", "package"),
    [("t.voy", "voyager"), ("t.onnx", "onnxscript"), ("t.safetensors", "safetensors")],
)
def test_a_package_that_is_not_installed_is_named(here, audiorec, monkeypatch, out, package):
    monkeypatch.setitem(sys.modules, package, None)
    status, _, err = audiorec("export", out)
    assert status == 1
    assert f"needs the package {package}: pip install 'audiorec[export]'" in err


@pytest.mark.parametrize("out", ["t.onnx", "t.safetensors"])
def test_a_checkpoint_that_is_none_is_one_line(here, audiorec, predictions_file, out):
    assert "make one with 'audiorec train'" in audiorec("export", out)[2]
    predictions_file("model.h5")
    status, _, err = audiorec("export", out, "--checkpoint", "model.h5")
    assert status == 1
    assert (
        "model.h5 holds predictions, not a checkpoint: make a checkpoint with"
        in err.splitlines()[-1]
    )
    assert not (here / out).exists()


def test_predictions_of_no_track_are_one_line(here, audiorec, predictions_file):
    predictions_file("predictions.h5", np.zeros((0, 4), np.float32))
    for out in ("t.npz", "t.voy", "projector"):
        status, _, err = audiorec("export", out)
        assert status == 1
        assert "predictions.h5 holds no tracks" in err.splitlines()[-1]


def test_outdated_predictions_are_said_to_be(predicted, audiorec, checkpoint_file):
    checkpoint_file("model.h5")
    files.save_predictions("predictions.h5", replace(predicted, params={"checkpoint": "model.h5"}))
    assert "was not made from model.h5 as it is now" in exported(audiorec, "t.npy")


def test_a_text_that_would_fill_the_memory_is_refused(predicted, audiorec, monkeypatch, here):
    monkeypatch.setattr(tables, "MAX_TEXT_BYTES", 1000)
    status, _, err = audiorec("export", "t.npz")
    assert status == 1
    assert "letters: write .parquet" in " ".join(err.split())
    assert not (here / "t.npz").exists()


def test_names_that_are_not_utf8_stay_different(predicted, audiorec):
    table = predicted.tracks
    names = ["a\udcff", "a\udcfe", *table.track_id[2:]]
    files.save_predictions(
        "predictions.h5", replace(predicted, tracks=replace(table, track_id=names))
    )
    for out in ("t.npz", "t.parquet", "t.voy"):
        exported(audiorec, out)
    assert np.load("t.npz")["track_id"].tolist() == names
    escaped = ["a\\udcff", "a\\udcfe", *names[2:]]
    assert pl.read_parquet("t.parquet")["track_id"].to_list() == escaped
    with open("t.names.json", encoding="utf-8") as file:
        assert json.load(file) == escaped


def test_the_examples_of_the_page_run(predicted, audiorec, untrained, onnx_file, here, capfd):
    untrained(NetworkSettings(**SMALL))
    exported(audiorec, "tracks.voy")
    exported(audiorec, "model.safetensors")
    (here / "model.onnx").write_bytes(onnx_file)
    page = (Path(__file__).parents[1] / "docs/export.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        exec(compile(example, "docs/export.md", "exec"), {})
    assert "folder/0" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("out", "arguments"),
    [
        *(("log.tsv", ("--format", "npz")), ("log.npz", ()), ("log.parquet", ())),
        *(("net.onnx", ()), ("net.safetensors", ())),
    ],
)
def test_a_file_that_is_something_else_is_left_alone(predicted, audiorec, here, out, arguments):
    (here / out).write_text("my diary")
    status, _, err = audiorec("export", out, *arguments)
    assert status == 1
    assert re.search(rf"{out} exists and is no \w+ file that export wrote: name another", err)
    assert (here / out).read_text() == "my diary"


def test_tables_of_others_are_left_alone_and_its_own_are_replaced(predicted, audiorec, here):
    pl.DataFrame({"user": ["ann"], "track": ["x"]}).write_parquet("log.parquet")
    np.savez("mine.npz", plays=np.ones(3))
    np.save("mine.npy", np.arange(3.0))
    np.save("of-objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("longer.npy", 2 * np.eye(4, dtype=np.float32))
    np.save("number.npy", np.float32(1))
    shutil.copy("mine.npz", "archive.npy")
    (here / "mine.voy").write_text("mine")
    (here / "mine.names.json").write_text("[]")
    exported(audiorec, "t.voy")
    shutil.copy("t.voy", "other.voy")
    (here / "other.names.json").write_text("{}")
    for out in ("log.parquet", "mine.npz", "mine.npy", "of-objects.npy", "longer.npy", "number.npy",
                "archive.npy", "mine.voy",
                "other.voy"):  # fmt: skip
        before = (here / out).read_bytes()
        assert audiorec("export", out)[0] == 1
        assert (here / out).read_bytes() == before
    assert (here / "mine.names.json").read_text() == "[]"
    for out in ("t.parquet", "t.npz", "t.npy", "u.voy"):
        assert "is replaced" not in exported(audiorec, out)
        assert f"{out}: what is there is replaced" in exported(audiorec, out)


def test_names_of_another_index_are_left_alone(predicted, audiorec, here):
    (here / "t.names.json").write_text("[]")
    status, _, err = audiorec("export", "t.voy")
    assert status == 1
    assert "t.names.json exists without its index, so it is something else" in err
    (here / "t.names.json").unlink()
    for _ in range(2):
        assert " and t.names.json" in exported(audiorec, "t.voy")
