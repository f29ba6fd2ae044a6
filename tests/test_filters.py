"""The picture of the filters shows their weights: red negative, blue positive, white zero."""

import errno
import io
import os
import re
from dataclasses import asdict, replace
from itertools import pairwise

import matplotlib.image
import numpy as np
import pytest
import torch

from audiorec_cli import files
from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.convnet.filters import by_similarity, first_filters
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.settings import NetworkSettings
from audiorec_cli.output import filter_pictures

LINE = np.array(filter_pictures.DARK_RED)
WHITE = (255, 255, 255)
SILENT, CONSTANT, TONE = 0, 1, 2  # filters of the network that `planted` makes
TONE_BIN = 60


def network_of(filters, **settings):
    """A Network whose first convolution has these weights, (n_filters, 128, width), and no bias."""
    n_linear, _, width = np.shape(filters)
    pieces = 2 if settings.get("activation") == "maxout" else 1
    settings = NetworkSettings(
        conv_channels=(n_linear // pieces, 4), conv_width=width, conv_pools=(4, 2),
        dense_units=(6, 6), n_factors=2, **settings,
    )  # fmt: skip
    network = Network(settings, mel_mean=torch.zeros(128), mel_deviation=torch.ones(128))
    network.convs[0].weight.data = torch.as_tensor(np.asarray(filters, np.float32))
    network.convs[0].bias.data.zero_()
    return network.eval()


@pytest.fixture
def model(here, checkpoint_file):
    """Writes model.h5 with these filters into the current folder, as training would."""

    def write(filters, **settings):
        network = filters if isinstance(filters, Network) else network_of(filters, **settings)
        checkpoint_file("model.h5", network=network)
        written = files.load_checkpoint("model.h5")
        spectrogram = asdict(SpectrogramSettings())
        with_grid = {**written.settings, "spectrogram": spectrogram}
        files.save_checkpoint("model.h5", replace(written, settings=with_grid))

    return write


@pytest.fixture
def draw(audiorec):
    """Runs `audiorec filters` and returns what it drew and what it said."""

    def run(*arguments, out="filters.png"):
        status, printed, err = audiorec("filters", "--out", out, *arguments)
        assert status == 0, err
        return out, printed, err

    return run


def read_rgb(png):
    """(height, width, 3) uint8."""
    return np.rint(255 * matplotlib.image.imread(png)[..., :3]).astype(int)


def runs(mask):
    """[start, end) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]])))
    return edges.reshape(-1, 2)


def strips(png):
    """The strips between the dark red lines, row by row: (128, width, 3) arrays, a pixel a cell."""
    pixels = read_rgb(png)
    is_line = (pixels == LINE).all(axis=-1)
    found = []
    for top, bottom in runs(is_line.sum(axis=1) > 2):
        lines = runs(is_line[top:bottom].all(axis=0))
        assert len(lines) > 1
        assert (np.diff(lines) == filter_pictures.LINE_WIDTH).all()
        for (_, left), (right, _) in pairwise(lines):
            found.append(pixels[top : bottom : (bottom - top) // 128, left:right])
    return found


def cells(strip, width=4):
    """A pixel from the middle of each cell of a strip: (128, width, 3)."""
    middle = (np.arange(width) + 0.5) * strip.shape[1] / width
    return strip[:, middle.astype(int)]


def is_blue(rgb):
    return rgb[2] > max(rgb[0], rgb[1]) + 50


def is_red(rgb):
    return rgb[0] > max(rgb[1], rgb[2]) + 50


def three_filters():
    """One positive at bin 5, one negative at the highest bin's last frame, one zero."""
    filters = np.zeros((3, 128, 4))
    filters[0, 5] = 2
    filters[1, 127, 3] = -2
    return filters


def test_positive_is_blue_negative_red_and_zero_white_the_lowest_bin_on_top(model, draw):
    model(three_filters())
    positive, negative, zero = map(cells, strips(draw()[0]))
    assert all(is_blue(rgb) for rgb in positive[5])
    assert is_red(negative[127, 3])
    positive[5] = negative[127, 3] = WHITE
    assert (np.array([positive, negative, zero]) == WHITE).all()


def test_cells_are_crisp_and_half_the_weight_is_half_the_colour(model, draw):
    filters = np.zeros((2, 128, 4))
    filters[0, ::2, ::2] = 1
    filters[1, ::2, ::2] = -0.5
    model(filters)
    full, half = strips(draw()[0])
    for strip, colour in ((full, filter_pictures.BLUE), (half, (WHITE + filter_pictures.RED) / 2)):
        expected = np.full((128, 4, 3), 255)
        expected[::2, ::2] = np.rint(colour)
        n_pixels = strip.shape[1] // 4
        assert (strip == expected.repeat(n_pixels, axis=1)).all()


def test_it_says_on_stderr_alone_what_it_drew(model, draw):
    model(three_filters())
    _, out, err = draw()
    assert (out, err.splitlines()[-1]) == ("", "filters.png: 3 filters of conv1")


def test_the_published_network_has_256_filters_in_rows_of_64(model, draw):
    filters = np.zeros((256, 128, 4))
    filters[np.arange(256), np.arange(256) % 128] = 1
    model(filters)
    drawn = strips(draw()[0])
    assert len(drawn) == 256
    assert [np.argmax(cells(s)[:, 0, 0] < 255) for s in drawn] == [i % 128 for i in range(256)]


def test_both_pieces_of_a_maxout_filter_are_drawn(model, draw):
    filters = np.zeros((4, 128, 4))
    filters[0, 5], filters[1, 9] = 1, -1  # the pieces of filter 0
    model(filters, activation="maxout")
    drawn = strips(draw()[0])
    assert len(drawn) == 2
    half = drawn[0].shape[1] // 2
    assert is_blue(cells(drawn[0][:, :half])[5, 0])
    assert is_red(cells(drawn[0][:, half + 1 :])[9, 0])
    assert (drawn[0][:, half] == filter_pictures.GREY).all()
    draw("--filter", 1, out="one.svg")


def test_a_normalization_that_turns_a_filter_around_turns_its_colours():
    network = network_of(three_filters(), normalization="batch")
    network.conv_norms[0].weight.data[0] = -1
    network.conv_norms[0].running_var.data[1] = 4
    network.conv_norms[0].running_mean.data[:] = 7
    filters = first_filters(network)
    assert filters.shape == (3, 1, 128, 4)
    np.testing.assert_allclose(filters[0, 0, 5], -2, rtol=1e-4)
    np.testing.assert_allclose(filters[1, 0, 127, 3], -1, rtol=1e-4)


def texts(svg):
    with open(svg, encoding="utf-8") as file:
        return re.findall(r"<text[^>]*>([^<]*)</text>", file.read())


def test_a_filter_named_is_enlarged_with_its_number_hertz_and_milliseconds(model, draw):
    model(three_filters())
    out, _, err = draw("--filter", 2, "--filter", 0, out="some.svg")
    written = texts(out)
    assert [text for text in written if text.startswith("filter")] == ["filter 0", "filter 2"]
    assert {"100", "200", "500", "1000", "2000", "5000", "10000", "Hz", "ms"} <= set(written)
    assert err.splitlines()[-1] == "some.svg: 2 filters of conv1"


def test_an_enlarged_filter_has_its_tone_at_the_tick_of_its_frequency(model, draw):
    filters = np.zeros((1, 128, 4))
    filters[0, 38] = 1  # 1000 Hz
    model(filters)
    pixels = read_rgb(draw("--filter", 0)[0])
    x = filter_pictures.PANEL_LEFT + filter_pictures.PANEL_WIDTH // 2
    blue = [y for y in range(len(pixels)) if is_blue(pixels[y, x])]
    assert len(blue) == filter_pictures.PANEL_CELL_HEIGHT
    is_tick = (pixels[:, filter_pictures.PANEL_LEFT - 2] < 128).all(axis=-1)
    assert any(start in blue or end - 1 in blue for start, end in runs(is_tick))


@pytest.mark.parametrize(
    "spectrogram", [{}, "fine", {"sample_rate": -1, "hop_length": 1102}, {"sample_rate": 22_050}]
)
def test_without_a_sample_rate_in_the_checkpoint_there_are_no_hertz(model, draw, spectrogram):
    model(three_filters())
    written = files.load_checkpoint("model.h5")
    unclear = {**written.settings, "spectrogram": spectrogram}
    files.save_checkpoint("model.h5", replace(written, settings=unclear))
    out, _, err = draw("--filter", 0, out="one.svg")
    assert "no Hz and no ms" in err
    assert {"mel bin", "frame"} <= set(texts(out))
    assert not {"Hz", "ms"} & set(texts(out))


def test_twins_stand_side_by_side_however_strong_they_are(model, draw):
    filters = np.zeros((6, 128, 4))
    for number, (mel_bin, weight) in enumerate(
        [(10, 1), (60, -1), (90, 1), (60, -0.3), (10, 0.4), (90, 0.5)]
    ):
        filters[number, mel_bin] = weight
    model(filters)
    lit = [int(np.argmax(cells(s)[:, 0, 1] < 255)) for s in strips(draw("--sort", "similarity")[0])]
    assert lit[::2] == lit[1::2]
    assert set(lit) == {10, 60, 90}


def test_similarity_knows_a_maxout_filter_whose_pieces_changed_places():
    filters = np.random.default_rng(0).normal(size=(9, 2, 128, 4)).astype(np.float32)
    filters[7] = 3 * filters[2, ::-1]
    order = by_similarity(filters).tolist()
    assert abs(order.index(7) - order.index(2)) == 1
    assert sorted(order) == list(range(9))
    assert by_similarity(filters[:1]).tolist() == [0]


def test_filters_without_weights_have_their_place():
    filters = np.zeros((4, 1, 128, 4))
    filters[3] = 1
    assert sorted(by_similarity(filters)) == [0, 1, 2, 3]
    assert filter_pictures.colour_scale(filters[:3]) == 1


@pytest.fixture
def planted(model, mels_file, quick_training):
    """Six tracks, of which 0 and 1 trained a network with one filter that hears a tone.

    The tone sounds all the time in track 0, and in half of track 4.
    """
    filters = np.zeros((3, 128, 4))
    filters[TONE, TONE_BIN] = 1
    network = network_of(filters)
    network.convs[0].bias.data = torch.tensor([-1.0, 1.0, 0.0])
    model(network)
    mels = np.zeros((6, 128, 599))
    mels[0, TONE_BIN] = mels[4, TONE_BIN, :298] = 5
    mels_file("mels.h5", mels=mels)


def test_by_firing_the_filter_that_always_fires_leads(planted, draw):
    _, out, err = draw("--sort", "firing", out="firing.svg")
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["filter", "firing"]
    assert [int(row[0]) for row in rows[1:]] == [CONSTANT, TONE, SILENT]
    # 298 of 596 frames of one of four test tracks
    assert [float(row[1]) for row in rows[1:]] == [1, 0.125, 0]
    assert "4 test tracks of 6" in err
    _, out, _ = draw("--sort", "firing", "--filter", SILENT, "--filter", TONE, "--batch-size", 1)
    assert [line.split("\t")[0] for line in out.splitlines()[1:]] == [str(TONE), str(SILENT)]


def test_what_a_filter_has_heard_is_where_it_fires_most(planted, draw, audiorec):
    from audiorec_cli.commands.filter_lists import Ranking
    from audiorec_cli.convnet import inference

    trained, library = files.load_checkpoint("model.h5"), files.load_mels("mels.h5")
    network = inference.network_of(trained, "cpu")
    lists, excerpts = [("conv1", "max")], np.arange(2, 6)
    heard = Ranking(network, "mels.h5", library, excerpts, lists, k=1, batch_size=2).heard(network)
    assert heard.shape == (3, 1, 128, 4)
    assert not heard[SILENT].any()
    expected = np.zeros((128, 4))
    expected[TONE_BIN] = 5
    np.testing.assert_allclose(heard[TONE, 0], expected)
    _, out, err = draw("--show", "heard", out="heard.svg")
    assert out == ""
    assert "heard.svg: 3 filters of conv1" in err
    status, _, err = audiorec("filters", "--mels", "mels.h5")
    assert status == 1
    assert "--mels goes with --sort firing or --show heard: add one" in err


def test_spectrograms_that_are_no_numbers_are_one_line(planted, audiorec, mels_file):
    os.remove("mels.h5")
    mels_file("mels.h5", mels=np.full((6, 128, 599), np.nan))
    status, out, err = audiorec("filters", "--sort", "firing")
    assert (status, out) == (1, "")
    assert "make them again with 'audiorec mels'" in err.splitlines()[-1]


def test_firing_needs_the_mels_file(model, audiorec, here):
    model(three_filters())
    status, out, err = audiorec("filters", "--sort", "firing")
    assert (status, out) == (1, "")
    assert "make one with 'audiorec mels" in err
    assert os.listdir(here) == ["model.h5"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "filters.gif"), "filters.gif: no known picture format: end its name in .png or"),
        (("-o", "there.png"), "there.png is a folder: name a file to write"),
        (("-o", "no/such/f.png"), "no/such: no such folder to write f.png in: make it first"),
        (("--filter", 1, "--filter", 3), "no filter 3: conv1 has 0 to 2"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(model, audiorec, here, arguments, message):
    model(three_filters())
    (here / "there.png").mkdir()
    status, out, err = audiorec("filters", *arguments)
    assert (status, out) == (1, "")
    assert message in err.splitlines()[-1]
    assert sorted(os.listdir(here)) == ["model.h5", "there.png"]


def test_a_full_disk_is_one_line_and_the_old_picture_stays(model, audiorec, here, monkeypatch):
    model(three_filters())
    (here / "filters.png").write_bytes(b"old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("audiorec_cli.output.writing.os.fsync", full)
    status, out, err = audiorec("filters")
    assert (status, out) == (1, "")
    assert "filters.png cannot be written: No space left on device" in err.splitlines()[-1]
    assert (here / "filters.png").read_bytes() == b"old"
    assert sorted(os.listdir(here)) == ["filters.png", "model.h5"]


@pytest.mark.parametrize("suffix", [".png", ".SVG"])
def test_the_same_filters_make_the_same_bytes(model, draw, here, suffix):
    model(three_filters())
    first, again = (here / draw(out=f"{name}{suffix}")[0] for name in "ab")
    assert first.read_bytes() == again.read_bytes()


def test_a_strip_is_a_pixel_a_weight():
    weights = three_filters()
    pixels = read_rgb(io.BytesIO(filter_pictures.strip_png(weights[1], scale=2)))
    assert pixels.shape == (128, 4, 3)
    assert pixels[127, 3].tolist() == filter_pictures.RED.tolist()
    assert (pixels[:127] == WHITE).all()
    both = read_rgb(io.BytesIO(filter_pictures.strip_png(weights[:2], scale=2)))
    assert both.shape == (128, 9, 3)
    assert (both[:, 4] == filter_pictures.GREY).all()
