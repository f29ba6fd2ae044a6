"""A filter's list holds the tracks that make it fire, and the second they do."""

import functools
import gc
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from audiorec_cli import files
from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.audio.spectrogram import log_mel_spectrogram
from audiorec_cli.convnet.activations import (
    OUTPUT,
    layer_responses,
    second_of_frame,
    top_excerpts,
)
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.settings import NetworkSettings
from audiorec_cli.retrieval.sharing import Sharing

pytestmark = pytest.mark.usefixtures("loading_in_process")

SETTINGS = SpectrogramSettings()
PLANTED_BIN = 60
SECONDS_AT = {5: 4.0, 8: 21.0}  # track: when its tone sounds
LONG = 3  # the track whose tone sounds quietly all the time


@pytest.fixture
def network():
    """A network by hand: filter 2 of the first layer hears one mel bin, and so does unit 3."""
    settings = NetworkSettings(
        conv_channels=(4, 4), conv_pools=(4, 2), dense_units=(6, 6), n_factors=2
    )
    network = Network(settings, mel_mean=torch.zeros(128), mel_deviation=torch.ones(128))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.convs[0].weight[2, PLANTED_BIN] = 1
        network.convs[1].weight[1, 2] = 1
        network.dense[0].weight[0, 4 + 1] = 1  # the maximum of feature 1
        network.dense[1].weight[3, 0] = 1
        network.output.weight[0, 3] = 1
    return network.eval()


@pytest.fixture
def planted(tmp_path, mels_file):
    """Ten tracks of quiet noise, some with a pure tone in one mel bin."""
    rng = np.random.default_rng(0)
    mels = rng.random((10, 128, 599)) * 0.1
    for track, second in SECONDS_AT.items():
        frame = round(second * SETTINGS.sample_rate / SETTINGS.hop_length)
        mels[track, PLANTED_BIN, frame : frame + 10] = 5 + track / 100
    mels[LONG, PLANTED_BIN] = 1
    return mels_file(tmp_path / "m.h5", mels=mels)


def rank(network, path, *, layer, by, batch_size=4):
    reader = functools.partial(files.MelsReader, path)
    lists = [(layer, by)]
    return top_excerpts(network, reader, range(10), lists=lists, k=3, batch_size=batch_size)[
        layer, by
    ]


def respond(network, mels, layer):
    ((_, values, frames),) = layer_responses(network, mels, [(layer, "max")])
    return values, frames


def test_by_maximum_the_short_tones_lead(network, planted):
    top = rank(network, planted, layer="conv1", by="max")
    assert top.excerpts[2].tolist() == [8, 5, LONG]
    assert top.values[2, 0] == pytest.approx(4 * 5.08, rel=1e-2)


def test_by_mean_the_long_tone_leads(network, planted):
    assert rank(network, planted, layer="conv1", by="mean").excerpts[2, 0] == LONG


def test_filters_that_hear_nothing_are_not_selective(network, planted):
    top = rank(network, planted, layer="conv1", by="max")
    assert top.selectivity.argmax() == 2
    assert not top.selectivity[[0, 1, 3]].any()


@pytest.mark.parametrize(("layer", "filter_"), [("conv1", 2), ("conv2", 1), ("dense1", 0),
                                               ("dense2", 3)])  # fmt: skip
def test_the_second_at_which_it_fires(network, planted, layer, filter_):
    top = rank(network, planted, layer=layer, by="max")
    assert top.excerpts[filter_, :2].tolist() == [8, 5]
    grid = {n: getattr(SETTINGS, n) for n in ("hop_length", "n_fft", "sample_rate")}
    seconds = second_of_frame(network.settings, layer, top.frames[filter_], **grid)
    for track, second in zip((8, 5), seconds, strict=False):
        assert second == pytest.approx(SECONDS_AT[track] + 0.25, abs=0.5)


@pytest.fixture
def windowed(network):
    """The same network over windows of 64 frames; its first dense unit adds up a filter."""
    settings = replace(network.settings, window_frames=64)
    other = Network(settings, mel_mean=torch.zeros(128), mel_deviation=torch.ones(128))
    for name, parameter in other.named_parameters():
        parameter.data.zero_()
        if name.startswith("convs"):
            parameter.data.copy_(dict(network.named_parameters())[name])
    n_frames = settings.n_frames(64)
    other.dense[0].weight.data[0, n_frames : 2 * n_frames] = 1  # filter 1 at any time
    other.dense[1].weight.data[3, 0] = 1
    return other.eval()


@pytest.mark.parametrize(("layer", "filter_", "within"), [
    ("conv1", 2, 0.5), ("conv2", 1, 1.5), ("dense1", 0, 2.0), ("dense2", 3, 2.0),
])  # fmt: skip
def test_the_second_at_which_a_network_with_windows_fires(
    windowed, planted, layer, filter_, within
):
    top = rank(windowed, planted, layer=layer, by="max")
    assert top.excerpts[filter_, :2].tolist() == [8, 5]
    grid = {n: getattr(SETTINGS, n) for n in ("hop_length", "n_fft", "sample_rate")}
    seconds = second_of_frame(windowed.settings, layer, top.frames[filter_], **grid)
    for track, second in zip((8, 5), seconds, strict=False):
        assert second == pytest.approx(SECONDS_AT[track] + 0.25, abs=within)
    by_mean = rank(windowed, planted, layer=layer, by="mean")
    assert by_mean.excerpts[filter_, 0] == LONG


@pytest.mark.parametrize("spread", ["norm", "deviation"])
def test_a_dense_unit_fires_most_at_the_frame_that_would_move_it_most_alone(network, spread):
    torch.manual_seed(0)
    settings = replace(network.settings, spread=spread, normalization="batch")
    other = Network(settings, mel_mean=torch.zeros(128), mel_deviation=torch.ones(128)).eval()
    mels = 3 * torch.rand(2, 128, 120)
    values, frames = respond(other, mels, "dense1")
    *_, last = (a for name, a in other.activations(mels) if name == "conv2")
    pooled = other.pool(last, settings.conv_pools[-1])
    units = []
    for frame in range(pooled.shape[-1]):
        alone = pooled[..., frame : frame + 1].expand_as(pooled)
        units.append(next(iter(other.dense_activations(other.global_pool(alone)))))
    fires = values > 0
    assert fires.any()
    torch.testing.assert_close(frames[fires], torch.stack(units).argmax(dim=0)[fires])


def test_the_second_of_a_click_in_sound(network):
    samples = np.zeros(SETTINGS.n_samples, np.float32)
    at = 12.5
    start = round(at * SETTINGS.sample_rate)
    samples[start : start + 200] = np.sin(np.arange(200))
    mel = torch.from_numpy(log_mel_spectrogram(samples, SETTINGS))[None]
    network.convs[0].weight.data[2] = 1
    _, frames = respond(network, mel, "conv1")
    grid = {n: getattr(SETTINGS, n) for n in ("hop_length", "n_fft", "sample_rate")}
    assert second_of_frame(network.settings, "conv1", frames[0, 2].item(), **grid) == pytest.approx(
        at, abs=0.15
    )


def test_batches_do_not_matter(network, planted):
    whole = rank(network, planted, layer="conv1", by="max", batch_size=10)
    for ours, theirs in zip(whole, rank(network, planted, layer="conv1", by="max"), strict=True):
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-5)


@pytest.fixture
def trained(here, network, planted, checkpoint_file):
    """That network and those tracks in the current folder; tracks 0 and 1 trained it."""
    checkpoint_file("model.h5", network=network)
    return here


def top(audiorec, *arguments):
    status, out, err = audiorec("top-activations", "--layer", "conv1", *arguments, "--json")
    assert status == 0, err
    return json.loads(out), err


def test_the_command_lists_test_tracks_and_writes_playlists(trained, audiorec):
    rows, err = top(audiorec, "--filter", 2, "-k", 2, "-o", "lists")
    assert [(row["track_id"], row["rank"]) for row in rows] == [("folder/8", 1), ("folder/5", 2)]
    assert rows[0]["second"] == pytest.approx(85 + SECONDS_AT[8] + 0.25, abs=0.5)
    assert "lists: 1 playlist and index.tsv" in err
    playlist = (trained / "lists/conv1-filter-2-max.m3u8").read_text().splitlines()
    assert playlist[0] == "#EXTM3U"
    assert "#EXTINF:200,artist 0 - title 8" in playlist
    assert "/music/folder/8.flac" in playlist
    assert f"#EXTVLCOPT:start-time={rows[0]['second']:.1f}" in playlist


def test_a_planted_tone_is_found_by_maximum_and_a_long_one_by_mean(trained, audiorec):
    rows, _ = top(audiorec, "--filter", 2, "-k", 3, "--by", "both")
    by_max = [row["track_id"] for row in rows if row["by"] == "max"]
    by_mean = [row["track_id"] for row in rows if row["by"] == "mean"]
    assert by_max == ["folder/8", "folder/5", f"folder/{LONG}"]
    assert by_mean[0] == f"folder/{LONG}"
    seconds = {row["track_id"]: row["second"] for row in rows}
    for track, second in SECONDS_AT.items():
        assert seconds[f"folder/{track}"] == pytest.approx(85 + second + 0.25, abs=0.5)


def test_tracks_that_were_trained_on_are_not_listed(trained, audiorec):
    rows, _ = top(audiorec, "--filter", 2, "-k", 20)
    assert {row["track_id"] for row in rows} == {f"folder/{i}" for i in range(2, 10)}


def test_a_filter_that_never_fires_has_no_list_and_shares_nothing(trained, audiorec):
    rows, err = top(audiorec, "--filter", 0, "-o", "lists")
    assert rows == []
    assert "conv1 filter 0 by max: it fires over no test track" in err
    assert (trained / "lists/index.tsv").read_text().splitlines()[1].split("\t")[4] == "0"


@pytest.mark.parametrize("layer", ["conv1", "conv2", "dense1", OUTPUT])
def test_the_silence_behind_a_short_track_does_not_count(network, layer):
    network.convs[0].bias.data[2] = 10  # fires over silence, more than over the tone
    network.convs[0].weight.data[2, PLANTED_BIN] = -1
    mels = torch.zeros(2, 128, 200)
    mels[:, PLANTED_BIN, :80] = 1
    mels[:, PLANTED_BIN, 40:44] = 0.5
    whole, _ = respond(network, mels, layer)
    ((_, values, frames),) = layer_responses(
        network, mels, [(layer, "max")], torch.tensor([80, 200])
    )
    filter_ = {"conv1": 2, "conv2": 1}.get(layer, 0)
    centres = network.settings.centre_of_frame(layer.replace(OUTPUT, "dense2"), frames.numpy())
    assert 30 < centres[0, filter_] < 55
    assert centres[1, filter_] > 75
    if layer.startswith("conv"):
        assert values[0, filter_] < whole[0, filter_]
        ((_, mean, _),) = layer_responses(network, mels, [(layer, "mean")], torch.tensor([80, 200]))
        assert mean[0, filter_] < mean[1, filter_]


@pytest.mark.parametrize("command", ["top-activations", "page"])
def test_spectrograms_that_are_no_numbers_make_no_list(trained, audiorec, mels_file, command):
    (trained / "m.h5").unlink()
    mels_file("m.h5")
    assert audiorec("predict")[0] == 0
    (trained / "m.h5").unlink()
    mels_file("m.h5", mels=np.full((10, 128, 599), np.nan))
    status, out, err = audiorec(command, *(("page",) if command == "page" else ()))
    assert (status, out) == (1, "")
    assert "values that are no numbers: make them again with 'audiorec mels'" in err
    assert not (trained / "page").exists()


def test_without_a_filter_the_most_selective_are_shown(trained, audiorec):
    rows, err = top(audiorec)
    assert rows[0]["filter"] == 2
    assert "conv1 has 4 filters" in err


def test_many_filters_of_all_layers_at_once_and_the_outputs(trained, audiorec):
    status, _, err = audiorec(
        "top-activations", "--layer", "all", "--filter", "0-1", "--by", "both", "-k", 2,
        "-o", "lists", "--format", "xspf", "--relative-to", "/music",
    )  # fmt: skip
    assert status == 0, err
    index = (trained / "lists/index.tsv").read_text().splitlines()
    header, *rows = [line.split("\t") for line in index]
    assert header[:4] == ["playlist", "layer", "by", "filter"]
    # over time, a dense unit and an output have one activation only
    assert [tuple(row[1:4]) for row in rows] == [
        *(("conv1", "max", str(i)) for i in (0, 1)), *(("conv1", "mean", str(i)) for i in (0, 1)),
        *(("conv2", "max", str(i)) for i in (0, 1)), *(("conv2", "mean", str(i)) for i in (0, 1)),
        *(("dense1", "max", str(i)) for i in (0, 1)), *(("dense2", "max", str(i)) for i in (0, 1)),
        *(("output", "max", str(i)) for i in (0, 1)),
    ]  # fmt: skip
    assert {row[0] for row in rows} | {"index.tsv"} == {p.name for p in trained.glob("lists/*")}
    assert "<location>folder/" in (trained / "lists/output-filter-0-max.xspf").read_text()


def test_the_output_is_what_is_predicted_and_when(network, planted):
    top = rank(network, planted, layer=OUTPUT, by="max")
    assert top.excerpts[0, :2].tolist() == [8, 5]
    with files.MelsReader(planted) as reader:
        mels = torch.from_numpy(np.stack([reader.read(8), reader.read(5)]))
    with torch.no_grad():
        np.testing.assert_allclose(top.values[0, :2], network(mels)[:, 0], rtol=1e-4)
    grid = {n: getattr(SETTINGS, n) for n in ("hop_length", "n_fft", "sample_rate")}
    second = second_of_frame(network.settings, OUTPUT, int(top.frames[0, 0]), **grid)
    assert second == pytest.approx(SECONDS_AT[8] + 0.25, abs=0.5)


def test_what_a_list_shares_is_told_against_chance(trained, audiorec, tracks, mels_file):
    library = files.load_mels("m.h5")
    genre = ["Polka" if i in (LONG, *SECONDS_AT) else f"genre {i}" for i in range(10)]
    with files.MelsReader("m.h5") as reader:
        mels = np.stack([reader.read(row) for row in range(10)])
    (trained / "m.h5").unlink()
    mels_file("m.h5", mels=mels, tracks=replace(library.tracks, genre=genre))
    _, err = top(audiorec, "--filter", 2, "-k", 3)
    assert "conv1 filter 2 by max: genre Polka 3 of 3 (38% expected by chance" in err


def test_what_stands_out_is_unlikely_by_chance():
    rng = np.random.default_rng(0)
    genres = ["Polka"] * 50 + ["Ska"] * 450
    sharing = Sharing({"genre": genres, "artist": [f"a{i}" for i in range(500)]})
    polka, *others = sharing.of(range(10))
    assert (polka.value, polka.n_listed, polka.expected, polka.stands_out) == (
        "Polka",
        10,
        0.1,
        True,
    )
    assert not others  # of artists no two are the same
    drawn = [sharing.of(rng.choice(500, 10, replace=False)) for _ in range(400)]
    n_standing_out = sum(shared.stands_out for lists in drawn for shared in lists)
    assert n_standing_out <= 0.05 * 400
    assert Sharing({"genre": [""] * 5}).of([0, 1]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--layer", "conv9"),
            "no layer 'conv9': this network has conv1, conv2, dense1, dense2, output",
        ),
        (("--layer", "conv1", "--filter", 4), "no filter 4: conv1 has 0 to 3"),
        (("--layer", "conv1", "--filter", "2-9"), "no filter 9: conv1 has 0 to 3"),
    ],
)
def test_what_is_not_there_is_one_line(trained, audiorec, arguments, message):
    status, out, err = audiorec("top-activations", *arguments)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == f"error: {message}"


def test_memory_does_not_grow_with_the_number_of_excerpts(network, loading_in_process):
    class Noise:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def read(self, row):
            return np.random.default_rng(row).random((128, 599)).astype(np.float16)

    def alive_at_the_end(n):
        """Bytes of the tensors that live when the last batch is done."""
        done, alive = [], []

        def on_batch(n_excerpts):
            done.append(n_excerpts)
            if sum(done) == n:
                gc.collect()  # what earlier tests left behind
                tensors = (
                    o for o in gc.get_objects() if type(o) in (torch.Tensor, torch.nn.Parameter)
                )
                alive.append(sum(tensor.nbytes for tensor in tensors))

        lists = [("conv1", "max"), (OUTPUT, "max")]
        options = {"lists": lists, "k": 3, "batch_size": 4, "on_batch": on_batch}
        top_excerpts(network, Noise, range(n), **options)
        return alive[0]

    assert alive_at_the_end(160) <= alive_at_the_end(16)


def test_an_index_that_is_something_else_is_left_alone(trained, audiorec):
    (trained / "index.tsv").write_text("my table")
    status, out, err = audiorec("top-activations", "--layer", "conv1", "-o", ".")
    assert (status, out) == (1, "")
    assert "index.tsv is no index of playlists: name another folder" in err
    assert (trained / "index.tsv").read_text() == "my table"


@pytest.mark.parametrize("option", [("--format", "xspf"), ("--relative-to", ".")])
def test_options_of_playlists_go_with_a_folder_for_them(trained, audiorec, option):
    status, out, err = audiorec("top-activations", *option)
    assert (status, out) == (1, "")
    assert "--relative-to and --format go with --out: name a folder too" in err


@pytest.mark.parametrize("text", ["-1", "3-1", "some", "1,2"])
def test_filters_that_are_no_numbers_are_wrong_usage(trained, audiorec, text):
    assert audiorec("top-activations", "--filter", text)[0] == 2
