"""audiorec export: what it writes is read back by the library that it is for."""

import json
import os
import re
import shutil
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import voyager
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from audiorec_cli import files
from audiorec_cli.output import tables, voyager_index
from audiorec_cli.output.voyager_index import built_index
from audiorec_cli.records import Predictions, Tracks
from audiorec_cli.retrieval.neighbors import nearest

TEXTS = ("track_id", "artist", "title", "album", "genre", "path", "isrc", "mbid")


@pytest.fixture
def predicted(here):
    """predictions.h5 of 40 tracks, two of them with hostile tags. Returns the Predictions."""
    n = 40
    numbers, none = [str(row) for row in range(n)], [""] * n
    nasty = ["a\tb\nc\r\x1b[2J\u202e\u2028d", 'quote " \\ Ünïcode ☃']
    table = Tracks(
        track_id=[f"folder/{i}" for i in numbers], path=[f"folder/{i}.mp3" for i in numbers],
        title=[*nasty, *numbers[2:]], artist=["artist"] * n, album=none,
        duration_s=np.linspace(1, 300, n), size=np.arange(n), mtime_ns=np.arange(n),
        isrc=none, mbid=none, genre=["rock", "", *none[2:]],
    )  # fmt: skip
    factors = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    deviation = np.full((n, 4), 0.1, np.float32)
    made = Predictions(table, factors, "a print", "/müsic", deviation)
    files.save_predictions("predictions.h5", made)
    return made


def test_numpy_reads_the_npz_without_pickle(predicted, exported):
    exported("t.npz")
    with np.load("t.npz", allow_pickle=False) as read:
        assert set(read) == {
            "predicted_factors", "deviation", *TEXTS, "duration_s", "fingerprint", "audio_folder"
        }  # fmt: skip
        np.testing.assert_array_equal(read["predicted_factors"], predicted.predicted_factors)
        np.testing.assert_array_equal(read["deviation"], predicted.deviation)
        for name in TEXTS:
            assert read[name].tolist() == getattr(predicted.tracks, name)
        assert (read["fingerprint"], read["audio_folder"]) == ("a print", "/müsic")


def test_numpy_reads_the_npy(predicted, exported):
    exported("t.npy")
    read = np.load("t.npy", allow_pickle=False)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, predicted.predicted_factors)


def test_polars_reads_the_parquet_file(predicted, exported):
    exported("t.parquet")
    read = pl.read_parquet("t.parquet")
    assert read.columns == ["row", *TEXTS, "duration_s", "predicted_factors", "deviation"]
    assert read.schema["predicted_factors"] == pl.Array(pl.Float32, 4)
    np.testing.assert_array_equal(read["predicted_factors"].to_numpy(), predicted.predicted_factors)
    np.testing.assert_array_equal(read["deviation"].to_numpy(), predicted.deviation)
    assert read["row"].to_list() == list(range(40))
    for name in TEXTS:
        assert read[name].to_list() == getattr(predicted.tracks, name)
    assert pl.read_parquet_metadata("t.parquet")["fingerprint"] == "a print"


def test_predictions_without_deviations_have_none(here, exported, predictions_file):
    predictions_file("predictions.h5")
    for name in ("t.npz", "t.parquet"):
        exported(name)
    assert "deviation" not in np.load("t.npz")
    assert "deviation" not in pl.read_parquet("t.parquet").columns


def test_voyager_finds_what_similar_finds(predicted, exported):
    err = exported("t.voy")
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


def test_an_index_says_how_much_it_misses(predicted, exported, monkeypatch):
    monkeypatch.setattr(voyager_index, "built_index", Forgetful)
    err = exported("t.voy")
    assert "of the 10 nearest it finds 50.0%, with query_ef=100 100.0%" in err


def test_tensorboard_shows_the_projector(predicted, exported):
    err = exported("projector")
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


def test_a_projector_is_written_over_and_nothing_else_is(predicted, audiorec, exported, here):
    exported("projector")
    before = sorted((here / "projector").iterdir())
    (here / "projector/tensors.tsv").write_text("old")
    exported("projector")
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


def test_the_format_that_is_asked_for_goes_before_the_suffix(predicted, exported, here):
    exported("t.npz", "--format", "npy")
    assert np.load("t.npz").shape == (40, 4)
    exported("v1.2", "--format", "projector")
    assert (here / "v1.2/tensors.tsv").exists()


def test_a_projector_has_no_suffix_unless_asked(predicted, audiorec, exported, here):
    (here / "d.npz").mkdir()
    (here / "my.csv").write_text("mine")
    status, _, err = audiorec("export", "d.npz")
    assert status == 1
    assert "d.npz is a folder: name a file to write, or say --format projector" in err
    status, _, err = audiorec("export", "my.csv", "--format", "projector")
    assert status == 1
    assert "my.csv is no folder: name a folder to make" in err
    assert (here / "my.csv").read_text() == "mine"
    exported("d.npz", "--format", "projector")
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


def test_outdated_predictions_are_said_to_be(predicted, exported, checkpoint_file):
    checkpoint_file("model.h5")
    files.save_predictions("predictions.h5", replace(predicted, params={"checkpoint": "model.h5"}))
    assert "was not made from model.h5 as it is now" in exported("t.npy")


def test_a_text_that_would_fill_the_memory_is_refused(predicted, audiorec, monkeypatch, here):
    monkeypatch.setattr(tables, "MAX_TEXT_BYTES", 1000)
    status, _, err = audiorec("export", "t.npz")
    assert status == 1
    assert "letters: write .parquet" in " ".join(err.split())
    assert not (here / "t.npz").exists()


def test_names_that_are_not_utf8_stay_different(predicted, exported):
    table = predicted.tracks
    names = ["a\udcff", "a\udcfe", *table.track_id[2:]]
    files.save_predictions(
        "predictions.h5", replace(predicted, tracks=replace(table, track_id=names))
    )
    for out in ("t.npz", "t.parquet", "t.voy"):
        exported(out)
    assert np.load("t.npz")["track_id"].tolist() == names
    escaped = ["a\\udcff", "a\\udcfe", *names[2:]]
    assert pl.read_parquet("t.parquet")["track_id"].to_list() == escaped
    with open("t.names.json", encoding="utf-8") as file:
        assert json.load(file) == escaped


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


def test_tables_of_others_are_left_alone_and_its_own_are_replaced(
    predicted, audiorec, exported, here
):
    pl.DataFrame({"user": ["ann"], "track": ["x"]}).write_parquet("log.parquet")
    np.savez("mine.npz", plays=np.ones(3))
    np.save("mine.npy", np.arange(3.0))
    np.save("of-objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("longer.npy", 2 * np.eye(4, dtype=np.float32))
    np.save("number.npy", np.float32(1))
    shutil.copy("mine.npz", "archive.npy")
    (here / "mine.voy").write_text("mine")
    (here / "mine.names.json").write_text("[]")
    exported("t.voy")
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
        assert "is replaced" not in exported(out)
        assert f"{out}: what is there is replaced" in exported(out)


def test_names_of_another_index_are_left_alone(predicted, audiorec, exported, here):
    (here / "t.names.json").write_text("[]")
    status, _, err = audiorec("export", "t.voy")
    assert status == 1
    assert "t.names.json exists without its index, so it is something else" in err
    (here / "t.names.json").unlink()
    for _ in range(2):
        assert " and t.names.json" in exported("t.voy")
