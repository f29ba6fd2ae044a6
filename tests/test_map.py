"""The predicted space on a map: places, regions, colours, pictures and pages."""

import os
from dataclasses import replace
from html.parser import HTMLParser
from xml.dom import minidom

import numpy as np
import pytest
from matplotlib.image import imread

from audiorec_cli import files
from audiorec_cli.output.map_legend import OTHER_COLOR, OTHERS, PALETTE, color_groups
from audiorec_cli.output.map_pictures import save_map
from audiorec_cli.output.map_plots import map_page, map_plot
from audiorec_cli.output.writing import one_line
from audiorec_cli.records import Predictions
from audiorec_cli.retrieval import projection
from audiorec_cli.retrieval.groups import group_names, usual_grouping
from audiorec_cli.retrieval.regions import Region, find_regions

HOSTILE = [
    "<script>alert(1)</script>", "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    r"$\foo$", r"$$\frac{a}{b}$$", "中文 🎵 العربية", "a\x00\x1b[31m\nb\tc", "\udcff", "\u202eabc",
    "{{ 1/0 }}{% raw %}", "--><!--", "@artist $index @{name}{safe}", "x" * 500,
]  # fmt: skip


def clusters(n=20, *, n_clusters=2, noise=0.1):
    """n rows of unit norm around each of the axes, (n * n_clusters, 8) float32."""
    rows = np.repeat(np.eye(n_clusters, 8), n, axis=0)
    rows += np.random.default_rng(0).normal(size=rows.shape) * noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def named_predictions(tracks):
    """Writes predictions of two clusters whose titles, artists and albums are the names given."""

    def write(path, names):
        factors = clusters(len(names))
        names = [*names, *names]
        named = replace(tracks(len(names)), title=names, artist=names, album=names)
        files.save_predictions(path, Predictions(named, factors, "print", "/music"))

    return write


def test_clusters_stay_together_and_apart():
    xy = projection.project(clusters())
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    inside = np.maximum(distance[:20, :20].max(), distance[20:, 20:].max())
    assert inside < distance[:20, 20:].min()


def test_the_same_seed_gives_the_same_map_and_another_another():
    first, again, other = (projection.project(clusters(), seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 20])
@pytest.mark.parametrize("noise", [0, 0.1])
@pytest.mark.parametrize("perplexity", [2, None, 10**6])
def test_few_tracks_and_equal_ones_have_places(n, noise, perplexity):
    xy = projection.project(clusters(n, n_clusters=1, noise=noise), perplexity=perplexity)
    assert (xy.shape, xy.dtype) == ((n, 2), np.float32)
    np.testing.assert_allclose(xy.max(axis=0) + xy.min(axis=0), 0, atol=1e-6)
    assert np.abs(xy).max() == (1 if n > 1 and (noise or n > 7) else 0)
    find_regions(xy, ["a", "b"] * n, 12)


@pytest.mark.parametrize("n_factors", [1, 2, 60])
def test_any_number_of_factors_has_a_map(n_factors):
    factors = np.random.default_rng(0).normal(size=(70, n_factors))
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    assert projection.project(factors.astype(np.float32)).shape == (70, 2)


def test_many_tracks_go_to_opentsne_where_it_is_there(monkeypatch):
    pytest.importorskip("openTSNE")
    by_sklearn = projection.project(clusters())
    monkeypatch.setattr(projection, "LARGE", 10)
    xy, again = projection.project(clusters()), projection.project(clusters())
    np.testing.assert_array_equal(xy, again)
    assert not np.array_equal(xy, by_sklearn)
    assert np.linalg.norm(xy[:20].mean(axis=0) - xy[20:].mean(axis=0)) > 1


def blobs(**places):
    """A map of 30 tracks around each place, (n, 2), and the groups that lie there."""
    rng = np.random.default_rng(0)
    xy = [rng.normal(size=(30, 2)) * width + (x, y) for x, y, width in places.values()]
    return np.concatenate(xy).astype(np.float32), [name[:4] for name in places for _ in range(30)]


def test_regions_are_named_by_their_group_the_densest_first():
    xy, groups = blobs(jazz=(-0.8, 0, 0.02), folk=(0.8, 0, 0.05), rock=(0, 0.8, 0.1))
    found = find_regions(xy, groups, 12)
    assert [region.name for region in found] == ["jazz", "folk", "rock"]
    for region, place in zip(found, [(-0.8, 0), (0.8, 0), (0, 0.8)], strict=True):
        np.testing.assert_allclose((region.x, region.y), place, atol=0.15)
    assert find_regions(xy, groups, 2) == found[:2]
    assert find_regions(xy, groups, 0) == []


def test_no_two_regions_have_one_name_or_one_place():
    xy, groups = blobs(
        jazz=(-0.8, 0, 0.02), jazz2=(0.8, 0, 0.03), folk=(0, 0.8, 0.05), rock=(0.1, 0.8, 0.05)
    )
    names = [region.name for region in find_regions(xy, groups, 12)]
    assert names[0] == "jazz"
    assert names.count("jazz") == 1
    assert len({"folk", "rock"} & set(names)) == 1


def test_a_region_is_named_by_what_is_typical_and_not_by_what_is_everywhere():
    xy, groups = blobs(jazz=(-0.8, 0, 0.05), rock=(0.8, 0, 0.05), more=(0, 0.8, 0.05))
    groups = ["mixed" if row % 3 == 0 else group for row, group in enumerate(groups)]
    names = {region.name for region in find_regions(xy, groups, 12)}
    assert names == {"jazz", "rock", "more"}


@pytest.mark.parametrize("name", ["", "all"])
def test_a_group_that_is_everywhere_or_has_no_name_names_no_region(name):
    xy, groups = blobs(jazz=(-0.8, 0, 0.05), rock=(0.8, 0, 0.05))
    assert find_regions(xy, [name] * len(groups), 12) == []


def test_groups_are_tags_or_the_first_folder(tracks):
    table = replace(tracks(3), path=["Jazz/Ada/a.mp3", "Folk/b.mp3", "c.mp3"])
    assert group_names(table, "folder") == ["Jazz", "Folk", ""]
    assert group_names(table, "artist") == ["artist 0", "artist 1", "artist 0"]
    assert usual_grouping(table) == "folder"
    assert usual_grouping(tracks(3)) == "artist"
    assert usual_grouping(replace(tracks(31), path=[f"{i}/a.mp3" for i in range(31)])) == "artist"


def test_the_commonest_groups_get_a_colour_each():
    groups = [f"g{i:02}" for i in range(12) for _ in range(20 - i)] + ["", "", "once"]
    coloring = color_groups(groups)
    assert coloring.legend[0] == ("g00", PALETTE[0], 20)
    assert [name for name, _, _ in coloring.legend] == [f"g{i:02}" for i in range(10)] + [OTHERS]
    assert coloring.legend[-1] == (OTHERS, OTHER_COLOR, 10 + 9 + 3)
    assert coloring.colors[0] == PALETTE[0]
    assert coloring.colors[-1] == OTHER_COLOR
    assert sum(count for _, _, count in coloring.legend) == len(groups)


def test_a_line_has_no_control_characters():
    assert one_line("a\x00\x1b[31m\n b\u202e\udcff") == "a [31m b ?"


def test_points_lie_in_the_picture_where_they_lie_on_the_map(here):
    xy = np.array([[-1, -1], [-0.9, -1], [1, 0.9], [1, 1]], dtype=np.float32)
    save_map(xy, color_groups(["low", "low", "up", "up"]), [], here / "map.png")
    pixels = imread(here / "map.png")[:, :1590, :3]  # without the legend
    middle = {}
    for name, color in (("low", PALETTE[0]), ("up", PALETTE[1])):
        wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        rows, columns = np.nonzero(np.abs(pixels - wanted).max(axis=2) < 0.15)
        middle[name] = rows.mean() / pixels.shape[0], columns.mean() / pixels.shape[1]
    assert middle["low"][0] > 0.9
    assert middle["low"][1] < 0.15
    assert middle["up"][0] < 0.1
    assert middle["up"][1] > 0.9


def test_labels_give_way_to_each_other_and_stay_in_the_picture(here):
    xy = np.array([[-1, -1], [1, 1]], dtype=np.float32)
    regions = [Region(1.0, 1.0, "at the very edge"), *(Region(0, 0, f"n{i}") for i in range(20))]
    save_map(xy, color_groups(["", ""]), regions, here / "map.svg")
    texts = minidom.parse(str(here / "map.svg")).getElementsByTagName("text")
    places = {
        t.firstChild.data: (float(t.getAttribute("x")), float(t.getAttribute("y"))) for t in texts
    }
    assert 0 < places["at the very edge"][1] < 100
    heights = sorted(y for name, (_, y) in places.items() if name.startswith("n"))
    assert 2 < len(heights) < 20
    assert np.diff(heights).min() > 8


@pytest.mark.parametrize("out", ["map.png", "map.svg", "map.html"])
def test_names_from_tags_break_nothing(here, audiorec, named_predictions, out):
    named_predictions("p.h5", HOSTILE * 2)
    status, _, err = audiorec("map", "-o", out, "--color", "artist", "--labels", 30)
    assert status == 0
    assert err.splitlines()[-1] == f"{out}: 52 tracks, coloured by artist"
    if out.endswith("svg"):
        drawn = minidom.parse(out).getElementsByTagName("text")
        assert "<script>alert(1)</script>  4" in {text.firstChild.data for text in drawn}


class Tags(HTMLParser):
    """The tags of a page, and what they would load."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.loads = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "srcset")]


def test_the_page_loads_nothing_and_names_stay_text(tracks):
    xy = np.array([[-1, -1], [1, 1]], dtype=np.float32)
    pages = []
    for name in ("harmless", *HOSTILE[:3]):
        table = replace(tracks(2), title=[name] * 2, artist=[name] * 2, track_id=[name, "other"])
        coloring = color_groups([name] * 2)
        plot = map_plot(xy, table, coloring, [Region(0, 0, name)])
        pages.append(Tags(map_page(plot, name, coloring.legend)))
    assert pages[0].loads == []
    assert "script" in pages[0].tags
    for page in pages[1:]:
        assert (page.tags, page.loads) == (pages[0].tags, [])


def test_the_plot_has_the_tracks_in_their_order(tracks):
    xy = np.array([[-1, -1], [0, 0], [1, 1]], dtype=np.float32)
    table = replace(tracks(3), title=["one", "", "three"])
    plot = map_plot(xy, table, color_groups(table.artist), [Region(0, 0.5, "here")])
    assert plot.name == "map"
    data = plot.select_one({"name": "tracks"}).data
    assert list(data["x"]) == [-1, 0, 1]
    assert data["title"] == ["one", "folder/1", "three"]
    assert data["title"] == ["one", "folder/1", "three"]
    assert data["color"] == [PALETTE[0], OTHER_COLOR, PALETTE[0]]
    assert plot.select_one({"name": "regions"}).source.data["text"] == ["here"]


def test_the_map_is_a_picture_unless_told(here, audiorec, predictions_file):
    predictions_file("p.h5", clusters())
    status, out, err = audiorec("map")
    assert (status, out) == (0, "")
    assert err.splitlines() == [
        "predictions: using p.h5",
        "map.png: 40 tracks, coloured by artist",
    ]
    pixels = imread("map.png")
    assert pixels.shape[1] == 2000
    assert pixels[:, :1500, :3].min(axis=(0, 1)).max() < 0.9


def test_the_same_map_has_the_same_bytes(here, audiorec, predictions_file):
    predictions_file("p.h5", clusters())
    for out in ("a.svg", "b.svg"):
        assert audiorec("map", "-o", out)[0] == 0
    assert (here / "a.svg").read_bytes() == (here / "b.svg").read_bytes()


def test_predictions_are_made_where_there_are_none(
    here, audiorec, mels_file, checkpoint_file, loading_in_process
):
    mels_file("mels.h5", 3)
    checkpoint_file("model.h5")
    status, _, err = audiorec("map", "-o", "map.svg")
    assert status == 0
    assert "no predictions yet: making them" in err
    assert (here / "predictions.h5").exists()


def test_many_tracks_are_announced_where_opentsne_is_missing(
    here, audiorec, predictions_file, monkeypatch
):
    monkeypatch.setattr(projection, "LARGE", 10)
    monkeypatch.setattr(projection, "has_opentsne", lambda: False)
    predictions_file("p.h5")
    status, _, err = audiorec("map", "-o", "map.svg")
    assert status == 0
    assert "a map of 12 tracks takes long: pip install 'audiorec[map]' makes it quicker" in err


def test_no_tracks_are_one_line(here, audiorec, predictions_file):
    predictions_file("p.h5", np.zeros((0, 4), dtype=np.float32))
    status, out, err = audiorec("map")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == (
        "error: p.h5 holds no tracks: make it again with 'audiorec predict'"
    )


@pytest.mark.parametrize("suffix", ["png", "html"])
def test_a_map_that_cannot_be_written_is_one_line(
    here, audiorec, predictions_file, monkeypatch, suffix
):
    predictions_file("p.h5")
    (here / f"folder.{suffix}").mkdir()
    (here / f"map.{suffix}").write_text("the map of yesterday")
    for out, message in (
        ("map.pdf", "map.pdf: no known format of a map: end its name in .png, .svg or .html"),
        (f"no/such/map.{suffix}", "no/such: no such folder to write map"),
        (f"folder.{suffix}", f"folder.{suffix} is a folder: name a file to write"),
    ):
        status, printed, err = audiorec("map", "-o", out)
        assert (status, printed) == (1, "")
        assert err.startswith(f"error: {message}")

    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    status, _, err = audiorec("map", "-o", f"map.{suffix}")
    assert status == 1
    assert err.splitlines()[-1].startswith(f"error: map.{suffix} cannot be written: No space left")
    assert (here / f"map.{suffix}").read_text() == "the map of yesterday"
    assert len(list(here.iterdir())) == 3
