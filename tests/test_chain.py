"""The whole chain on the demonstration library, as the documents give it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiorec_cli import files
from audiorec_cli.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"
EPOCHS = 15


def example(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demonstration library, with the lines at the head of the README run on it."""
    folder = tmp_path_factory.mktemp("chain") / "demo"
    assert main(["demo", str(folder)]) == 0
    before = os.getcwd()
    os.chdir(folder)
    try:
        for line in (
            "mels ./audio out.h5",
            "factorize listens.tsv",
            f"train --epochs {EPOCHS} --device cpu",
        ):
            assert main(line.split()) == 0
        assert main(["similar", "Juicy", "-k", "10"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def in_demo(demo, monkeypatch):
    monkeypatch.chdir(demo)
    return demo


def test_every_track_was_read_and_joined(in_demo):
    mels, factors = files.load_mels("out.h5"), files.load_factors("factors.h5")
    assert len(mels.tracks) >= 160
    assert mels.failures == []
    assert len(factors.log.user_id) >= 400
    split = files.load_checkpoint("model.h5").split
    assert sum(map(len, split.values())) == len(factors.log.tracks) < len(mels.tracks)
    artists = [{track_id.split("/")[1] for track_id in part} for part in split.values()]
    assert not artists[0] & artists[1] | artists[0] & artists[2] | artists[1] & artists[2]


def test_juicy_comes_first_among_ten(in_demo, audiorec):
    status, out, _ = audiorec("similar", "Juicy", "-k", 10)
    rows = [line.split("\t") for line in out.splitlines()[1:]]
    assert status == 0
    assert len(rows) == 10
    assert rows[0][3] == "Juicy"


def test_a_playlist_plays(in_demo, audiorec):
    audiorec("similar", "Juicy", "-k", 10, "-o", "juicy.m3u8")
    lines = Path("juicy.m3u8").read_text().splitlines()
    paths = [line for line in lines if not line.startswith("#")]
    assert len(paths) == 10
    assert all(os.path.isfile(path) for path in paths)


def test_new_releases_land_in_their_style_and_only_if_the_factors_say_so(in_demo, capsys):
    shares = example("new_releases").compare(".", epochs=EPOCHS)
    with capsys.disabled():
        print(f"\nnew releases (placed, similar): {shares}")
    placed, similar = shares["trained on the factors"]
    assert placed >= 0.8
    assert similar >= 0.8
    assert shares["trained on shuffled factors"][0] <= 0.25


def test_top_activations_of_every_layer(in_demo, audiorec):
    status, out, _ = audiorec(
        "top-activations", "--layer", "all", "--filter", "0-9", "-k", 10, "--json"
    )
    assert status == 0
    lists = {}
    for row in json.loads(out):
        lists.setdefault((row["layer"], row["filter"]), []).append(row)
    assert {layer for layer, _ in lists} == {
        "conv1",
        "conv2",
        "conv3",
        "dense1",
        "dense2",
        "output",
    }
    for rows in lists.values():
        assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
        assert all(2 <= row["second"] <= 33 for row in rows)
    assert sum(len(rows) == 10 for rows in lists.values()) > len(lists) / 2


def test_a_second_run_of_mels_does_nothing(in_demo, audiorec):
    before = Path("out.h5").stat().st_size
    _, _, err = audiorec("mels", "./audio", "out.h5")
    assert "176 tracks: 176 kept" in err
    assert Path("out.h5").stat().st_size == before


def test_the_module_runs_like_the_command(in_demo):
    command = [sys.executable, "-m", "audiorec_cli", "info", "out.h5"]
    assert "kind\tmels" in subprocess.run(command, capture_output=True, text=True).stdout
