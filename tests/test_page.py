"""audiorec page: driven in a real browser, as people would, and without a network."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiorec_cli import files
from audiorec_cli.cli import main
from audiorec_cli.output.page import is_page

CHROMIUM = Path("/usr/bin/chromium")
DESKTOP, TELEPHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SCRIPT = "<script>alert(1)</script>"
N = 12
# four in the first corner, the others in three more
FACTORS = np.repeat(np.eye(4, dtype=np.float32), [4, 4, 2, 2], axis=0)
FACTORS += 0.05 * np.random.default_rng(0).normal(size=FACTORS.shape).astype(np.float32)
FACTORS /= np.linalg.norm(FACTORS, axis=1, keepdims=True)
PLANTED, SECOND = 5, 21.0  # the track with a tone, and the second of its excerpt


@pytest.fixture(scope="module")
def library(tmp_path_factory, tracks, predictions_file, mels_file, checkpoint_file):
    """A folder with predictions, a mels file, a checkpoint and the sound of all tracks but one."""
    here = tmp_path_factory.mktemp("library")
    (here / "music/folder").mkdir(parents=True)
    for row in range(N - 1):
        path = here / f"music/folder/{row}.flac"
        soundfile.write(path, np.random.default_rng(row).normal(size=40 * 8000) / 10, 8000)
    table = replace(
        tracks(N),
        title=[SCRIPT, "Café del Mar", *(f"title {i}" for i in range(2, N))],
        genre=["Polka"] * 6 + ["Ska"] * 6,
        duration_s=np.full(N, 40.0),
    )
    predictions = files.load_predictions(predictions_file(here / "p.h5", FACTORS))
    files.save_predictions(
        here / "p.h5", replace(predictions, tracks=table, audio_folder=str(here / "music"))
    )
    mels = np.random.default_rng(0).random((N, 128, 599)) * 0.1
    frame = round(SECOND * 22_050 / 1102)
    mels[PLANTED, 60, frame : frame + 10] = 8
    mels_file(here / "m.h5", mels=mels, tracks=table, start_s=5.0)
    checkpoint = files.load_checkpoint(checkpoint_file(here / "model.h5"))
    weights = checkpoint.weights | {"convs.0.weight": np.zeros((8, 128, 4), np.float32)}
    weights["convs.0.weight"][3, 60] = 1  # filter 3 hears one mel bin
    weights["convs.0.bias"] = np.zeros(8, np.float32)
    files.save_checkpoint(here / "model.h5", replace(checkpoint, weights=weights))
    return here


def make(library, folder, *options):
    before = os.getcwd()
    os.chdir(library)
    try:
        return main(["page", str(folder), "--device", "cpu", *map(str, options)])
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def linked(library):
    assert make(library, library / "linked") == 0
    return library / "linked"


@pytest.fixture(scope="module")
def copied(library):
    assert make(library, library / "copied", "--copy-audio", "--title", "Ours & theirs") == 0
    return library / "copied"


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; the test skips without it, unless it is to be there."""
    if not CHROMIUM.exists():
        reason = f"{CHROMIUM} is not on this machine, so the page was not looked at"
        if os.environ.get("AUDIOREC_REQUIRES_CHROMIUM"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # root, as in a container, has no sandbox
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a page whose map is drawn; every request, dialog and error is noted on it."""
    contexts = []

    def open_(folder, size=DESKTOP, **options):
        context = browser.new_context(viewport=size, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.seen = {"requests": [], "dialogs": [], "errors": []}
        page.on("request", lambda request: page.seen["requests"].append(request.url))
        page.on("dialog", lambda dialog: page.seen["dialogs"].append(dialog.message))
        page.on("pageerror", lambda error: page.seen["errors"].append(str(error)))
        page.goto((folder / "index.html").as_uri())
        wait_until(page, "document.documentElement.dataset.map === 'drawn'")
        page.wait_for_timeout(100)  # until it is on the screen, to be clicked
        return page

    yield open_
    for context in contexts:
        (page,) = context.pages
        assert page.seen["dialogs"] == page.seen["errors"] == []
        assert all(url.startswith(("file:///", "data:", "blob:")) for url in page.seen["requests"])
        context.close()


def names(page, list_="#alike-list"):
    return page.locator(f"{list_} .name").all_inner_texts()


def click_map(page, x, y):
    """Click a place on the map; two clicks at once would be a double click."""
    page.wait_for_timeout(500)
    page.mouse.click(x, y)


def place_of(page, row):
    """Where on the screen a track lies on the map."""
    return page.evaluate(
        """row => {
            const view = Bokeh.index.find_one_by_id(map.plot.id)
            const box = view.canvas_view.el.getBoundingClientRect()
            const x = view.frame.x_scale.compute(map.source.data.x[row])
            const y = view.frame.y_scale.compute(map.source.data.y[row])
            return [box.left + x, box.top + y]
        }""",
        row,
    )


def wait_until(page, condition):
    """Wait until a condition holds: Playwright's own way is forbidden by the page."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{condition} never held")


def heard(page):
    """Wait until something plays: (its address, the second it plays)."""
    wait_until(page, "audio.readyState > 0 && audio.currentTime > 0")
    return page.evaluate("[audio.currentSrc, audio.currentTime]")


def test_a_search_lists_what_sounds_alike(open_page, linked):
    page = open_page(linked)
    page.fill("#query", "cafe MAR")
    assert page.locator("#matches li").all_inner_texts() == ["artist 1 - Café del Mar"]
    page.click("#matches li")
    assert page.inner_text("#alike-title") == "Sounds like artist 1 - Café del Mar"
    listed = names(page)
    assert listed[0] == "artist 1 - Café del Mar"
    # those in the same corner come next, in the order of their cosines
    order = np.argsort(-FACTORS @ FACTORS[1], kind="stable")
    expected = [f"artist {row % 2} - title {row}" for row in order[1:] if row > 1]
    assert [name for name in listed[1:] if SCRIPT not in name] == expected
    scores = page.locator("#alike-list .score").all_inner_texts()
    np.testing.assert_allclose(np.array(scores, float), (FACTORS @ FACTORS[1])[order], atol=6e-4)
    page.fill("#query", "caffe del marr")
    assert page.locator("#matches li").all_inner_texts() == ["artist 1 - Café del Mar"]
    page.keyboard.press("Tab")
    assert page.locator("#matches").is_hidden()
    page.fill("#query", "qqqq")
    assert page.locator("#matches").inner_text() == "No track is called that"


def test_a_click_on_the_map_plays_the_middle_and_lists(open_page, linked):
    page = open_page(linked)
    page.mouse.click(*place_of(page, 7))
    wait_until(page, "document.getElementById('alike-title').textContent.includes('7')")
    assert names(page)[0] == "artist 1 - title 7"
    source, second = heard(page)
    assert source.endswith("/music/folder/7.flac")
    assert second == pytest.approx(5, abs=2)
    assert page.inner_text("#now") == "artist 1 - title 7, from 0:05"


def test_a_click_on_the_chosen_track_plays_it_and_one_beside_all_changes_nothing(open_page, linked):
    page = open_page(linked)
    page.fill("#query", "title 7")
    page.keyboard.press("Enter")
    assert page.inner_text("#now") == "Nothing plays"
    click_map(page, *place_of(page, 7))
    assert heard(page)[0].endswith("/7.flac")
    box = page.locator("#map").bounding_box()
    click_map(page, box["x"] + 3, box["y"] + 3)
    page.wait_for_timeout(500)
    assert names(page)[0] == "artist 1 - title 7"
    assert page.evaluate("map.source.selected.indices[0]") == 7
    click_map(page, *place_of(page, 2))
    wait_until(page, "chosen === 2")


def test_the_map_names_what_is_under_the_pointer(open_page, linked):
    page = open_page(linked)
    page.mouse.move(*place_of(page, 0))
    tooltip = page.locator(".bk-tooltip-content")
    tooltip.first.wait_for()
    assert SCRIPT in tooltip.first.inner_text()


def test_a_click_on_a_filter_plays_tracks_from_where_it_fires(open_page, linked):
    page = open_page(linked)
    page.click("#filters-tab")
    assert page.locator("#grid button").count() == 8
    page.click("#grid button >> nth=3")
    assert page.inner_text("#filter > h3") == "Filter 3"
    assert page.locator("#filter ol").count() == 2  # by maximum and by mean
    first = page.locator("#filter ol >> nth=0").locator(".name >> nth=0")
    assert first.inner_text() == f"artist {PLANTED % 2} - title {PLANTED}"
    page.click("#filter .play >> nth=0")
    source, second = heard(page)
    assert source.endswith(f"/{PLANTED}.flac")
    assert second == pytest.approx(5 + SECOND + 0.3, abs=1.5)
    assert page.inner_text("#now").endswith("from 0:26")
    assert PLANTED in page.evaluate("map.source.selected.indices")
    button = page.locator("#filter .play >> nth=0")
    wait_until(page, "document.querySelector('#filter .play').ariaPressed === 'true'")
    button.click()
    wait_until(page, "audio.paused")
    wait_until(page, "document.querySelector('#filter [aria-pressed=true]') === null")


def test_all_of_it_by_keyboard(open_page, linked):
    page = open_page(linked)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"
    page.keyboard.type("title")
    page.keyboard.press("ArrowDown")
    marked = page.locator("#matches [aria-selected=true]").inner_text()
    assert page.get_attribute("#query", "aria-activedescendant") == "match-1"
    page.keyboard.press("Enter")
    assert names(page)[0] == marked
    assert page.locator("#matches").is_hidden()
    page.focus("#map")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    walked = page.evaluate("chosen")
    page.keyboard.press("Enter")
    assert heard(page)[0].endswith(f"/{walked}.flac")
    page.focus("#alike-tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "filters-tab"
    assert page.locator("#grid").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.inner_text("#filter > h3") == "Filter 0"


def test_arrows_go_to_a_track_that_lies_that_way(open_page, linked):
    page = open_page(linked)
    xy = np.array(page.evaluate("[Array.from(map.source.data.x), Array.from(map.source.data.y)]"))
    page.focus("#map")
    page.keyboard.press("ArrowUp")  # the first one takes a track at all
    for key, axis, sign in (("Left", 0, -1), ("Right", 0, 1), ("Up", 1, 1), ("Down", 1, -1)):
        before = page.evaluate("chosen")
        page.keyboard.press(f"Arrow{key}")
        after = page.evaluate("chosen")
        moved = sign * (xy[axis, after] - xy[axis, before])
        others = sign * (xy[axis] - xy[axis, before])
        across = np.abs(xy[1 - axis] - xy[1 - axis, before])
        assert moved > 0 or not ((others > 0) & (across <= others)).any()


def test_titles_stay_text(open_page, linked):
    page = open_page(linked)
    page.fill("#query", "script")
    assert page.locator("#matches li").all_inner_texts() == [f"artist 0 - {SCRIPT}"]
    page.keyboard.press("Enter")
    assert page.inner_text("#alike-title") == f"Sounds like artist 0 - {SCRIPT}"
    page.click("#alike-list .play >> nth=0")
    assert SCRIPT in page.inner_text("#now")
    assert page.locator("script").count() == 3  # those of the page
    assert "<script>alert" not in (linked / "index.html").read_text()


def test_it_asks_nothing_of_a_network_and_may_not(open_page, linked):
    page = open_page(linked)
    assert page.seen["requests"] == [(linked / "index.html").as_uri()]
    refused = page.evaluate(
        "fetch('https://example.org/').then(() => 'answered').catch(() => 'refused')"
    )
    assert refused == "refused"
    page.seen["requests"].clear()  # the one that was just refused
    markup = re.sub(r"<script.*?</script>", "", (linked / "index.html").read_text(), flags=re.S)
    assert not re.search("https?:", markup)


def test_light_and_dark(open_page, linked):
    def paper(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = (open_page(linked, color_scheme=scheme) for scheme in ("light", "dark"))
    assert paper(light) == "rgb(255, 255, 255)"
    assert paper(dark) == "rgb(22, 23, 26)"
    light.click("#theme")
    assert paper(light) == paper(dark)
    labels = [p.evaluate("map.plot.select_one('regions').text_color") for p in (light, dark)]
    assert labels[0] == labels[1]


def test_on_a_telephone_all_fits_and_can_be_tapped(open_page, linked):
    page = open_page(linked, TELEPHONE, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == TELEPHONE["width"]
    assert page.locator("#map").bounding_box()["height"] > 300
    page.touchscreen.tap(*place_of(page, 9))
    wait_until(page, "chosen === 9")
    assert names(page)[0] == "artist 1 - title 9"
    page.tap("#filters-tab")
    page.tap("#grid button >> nth=3")
    assert page.evaluate("document.documentElement.scrollWidth") == TELEPHONE["width"]
    assert page.locator("#filter .play >> nth=0").bounding_box()["height"] >= 36


def test_clips_play_from_beside_the_page(open_page, copied):
    page = open_page(copied)
    assert page.title() == "Ours & theirs"
    page.fill("#query", "title 4")
    page.keyboard.press("Enter")
    page.click("#alike-list .play >> nth=0")
    source, second = heard(page)
    assert source.startswith((copied / "clips").as_uri())
    assert second < 3
    assert page.evaluate("audio.duration") == pytest.approx(30, abs=0.2)


def test_what_cannot_be_played_is_told(open_page, linked):
    page = open_page(linked)
    page.fill("#query", f"title {N - 1}")
    page.keyboard.press("Enter")
    page.click("#alike-list .play >> nth=0")
    wait_until(page, "document.getElementById('now').textContent.includes('is not there')")


def test_clips_are_made_once_and_those_of_before_go(library, copied, tmp_path, capfd):
    folder = tmp_path / "page"
    shutil.copytree(copied, folder)
    clips = {path: path.stat().st_mtime_ns for path in (folder / "clips").iterdir()}
    # the middle is the excerpt of the mels file, so that both play the same clip
    assert len(clips) == N - 1
    lost = next(iter(clips))
    assert soundfile.info(lost).duration == pytest.approx(30, abs=0.2)
    lost.unlink()
    (folder / "clips/0123456789abcdef.mp3").write_bytes(b"of an earlier page")
    assert make(library, folder, "--copy-audio", "--no-filters", "--workers", 1) == 0
    assert "no clip: " in capfd.readouterr().err  # of the track whose file is not there
    again = {path: path.stat().st_mtime_ns for path in (folder / "clips").iterdir()}
    assert again.keys() == clips.keys()
    assert [path for path in clips if again[path] != clips[path]] == [lost]
    assert make(library, folder, "--no-filters") == 0
    assert [path.name for path in folder.iterdir()] == ["index.html"]


def test_clips_that_are_not_ours_are_left_alone(library, linked, tmp_path, capfd):
    (tmp_path / "others").mkdir()
    others = tmp_path / "others/0123456789abcdef.mp3"
    others.write_bytes(b"mine")
    shutil.copytree(linked, tmp_path / "page")
    (tmp_path / "page/clips").symlink_to(tmp_path / "others")
    (tmp_path / "mine/clips").mkdir(parents=True)
    (tmp_path / "mine/clips/thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "broken").symlink_to("nowhere")
    other = "holds something else than a page of audiorec: name another folder"
    for folder, why in (
        ("page", other),
        ("mine", other),
        ("file", "is no folder: name a folder to make"),
        ("broken", "is no folder: name a folder to make"),
    ):
        assert make(library, tmp_path / folder, "--no-filters") == 1
        assert f"{folder} {why}" in capfd.readouterr().err
    assert others.read_bytes() == b"mine"
    assert (tmp_path / "mine/clips/thesis.txt").exists()


def test_what_a_stopped_run_left_is_taken_away(library, linked, tmp_path):
    folder = tmp_path / "page"
    shutil.copytree(linked, folder)
    (folder / "clips").mkdir()
    (folder / "clips/0123456789abcdef.mp3.99.part").write_bytes(b"half")
    (folder / ".audiorec-99.part").write_bytes(b"half")
    assert make(library, folder, "--no-filters") == 0
    assert not (folder / "clips").exists()
    (folder / "index.html").unlink()
    (folder / ".audiorec-99.part").unlink()
    (folder / "clips").mkdir()
    (folder / "clips/0123456789abcdef.mp3.99.part").write_bytes(b"half")
    assert make(library, folder, "--no-filters") == 0


def changed_predictions(library, out, **columns):
    """Writes the library's predictions with other columns of its tracks."""
    predictions = files.load_predictions(library / "p.h5")
    options = {"audio_folder": columns.pop("audio_folder", predictions.audio_folder)}
    changed = replace(predictions.tracks, **columns)
    files.save_predictions(out, replace(predictions, tracks=changed, **options))
    return out


def test_a_mels_file_of_other_tracks_makes_no_page(library, tmp_path, capfd):
    path = changed_predictions(library, tmp_path / "p.h5", size=np.arange(N) + 1)
    assert make(library, tmp_path / "page", "--predictions", path) == 1
    assert "the predictions are of other tracks than the mels file" in capfd.readouterr().err
    path = changed_predictions(library, path, size=np.where(np.arange(N) == 3, 99, np.arange(N)))
    assert make(library, tmp_path / "page", "--predictions", path) == 0
    assert "1 of 12 tracks of the mels file are not in the predictions" in capfd.readouterr().err
    assert not any(f["row"] == 3 for f in filter_rows(tmp_path / "page"))


def data_of(folder):
    """What a page holds."""
    html = (folder / "index.html").read_text()
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)
    return json.loads(found)


def filter_rows(folder):
    lists = (each for card in data_of(folder)["filters"] for each in card["lists"])
    return [row for each in lists for row in each["rows"]]


def test_a_library_that_moved_is_told(library, tmp_path, capfd):
    path = changed_predictions(library, tmp_path / "p.h5", audio_folder=str(tmp_path / "gone"))
    options = ("--predictions", path, "--no-filters")
    assert make(library, tmp_path / "a", *options) == 0
    assert f"12 of 12 audio files are not in {tmp_path}/gone: if" in capfd.readouterr().err
    assert make(library, tmp_path / "b", *options, "--copy-audio", "--workers", 1) == 1
    assert f"no file in {tmp_path}/gone gives a clip: if the folder" in capfd.readouterr().err
    assert not (tmp_path / "b/index.html").exists()


@pytest.mark.parametrize(
    "name", ["a #b?c%41.flac", "new\nline.flac", "caf\udce9.flac", "<b>&amp;.flac", "x:y.flac"]
)
def test_files_of_any_name_are_played(library, tmp_path, open_page, name):
    music = tmp_path / "mu#sic"
    music.mkdir()
    shutil.copy(library / "music/folder/1.flac", music / name)
    paths = [name if row == 1 else f"{row}.flac" for row in range(N)]
    changed = {"path": paths, "audio_folder": str(music), "artist": ["</script><i>"] * N}
    path = changed_predictions(library, tmp_path / "p.h5", **changed)
    options = ("--predictions", path, "--no-filters", "--color", "artist")
    assert make(library, tmp_path / "page", *options) == 0
    page = open_page(tmp_path / "page")
    page.fill("#query", "cafe del")
    page.keyboard.press("Enter")
    page.click("#alike-list .play >> nth=0")
    heard(page)
    assert page.inner_text("#legend").strip().startswith("</script><i>")


def test_a_map_by_genre(library, tmp_path, capfd):
    options = ("--no-filters", "--color", "genre")
    assert make(library, tmp_path / "page", *options) == 0
    assert [name for name, *_ in data_of(tmp_path / "page")["legend"]] == ["Polka", "Ska"]
    path = changed_predictions(library, tmp_path / "p.h5", genre=[""] * N)
    assert make(library, tmp_path / "page", *options, "--predictions", path) == 0
    assert "no track has a known genre: the map is grey" in capfd.readouterr().err


def test_nothing_half_written_after_ctrl_c(library, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    assert make(library, tmp_path / "page", "--no-filters") == 130
    assert list((tmp_path / "page").iterdir()) == []


def test_a_folder_of_other_things_is_left_alone(library, tmp_path, capfd):
    (tmp_path / "index.html").write_text("my homepage")
    assert make(library, tmp_path) == 1
    assert "holds something else than a page of audiorec" in capfd.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["my homepage"]
    assert make(library, tmp_path / "no/such") == 1
    assert "no such folder to make such in" in capfd.readouterr().err


def test_a_page_without_filters_reads_no_network(library, tmp_path, capfd):
    assert make(library, tmp_path / "page", "--no-filters", "--checkpoint", "model.h5") == 1
    assert "--no-filters reads neither checkpoint nor mels file" in capfd.readouterr().err
    assert not (tmp_path / "page").exists()


def test_a_page_that_is_made_anew_knows_itself(linked):
    assert is_page((linked / "index.html").read_bytes())
    assert len(data_of(linked)["tracks"]["title"]) == N
    assert not is_page(b"<html></html>")
