"""Finding the track that is meant, and what is near it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from audiorec_cli import files
from audiorec_cli.records import Tracks
from audiorec_cli.retrieval.lookup import find_tracks
from audiorec_cli.retrieval.neighbors import nearest, usage_coordinates

COMPASS = np.array(
    [[np.cos(a), np.sin(a)] for a in np.deg2rad(np.arange(0, 360, 30))], dtype=np.float32
)


def named(*names):
    """Tracks from "artist - title" or title alone."""
    pairs = [name.split(" - ") if " - " in name else ("", name) for name in names]
    n, none = len(names), [""] * len(names)
    return Tracks(
        [f"{i:02}/{title}" for i, (_, title) in enumerate(pairs)],
        [f"{i:02}/{title}.mp3" for i, (_, title) in enumerate(pairs)],
        [title for _, title in pairs], [artist for artist, _ in pairs],
        none, np.zeros(n), np.zeros(n, int), np.zeros(n, int), none, none,
    )  # fmt: skip


def test_compass_directions_rank_by_angle():
    rows, cosines = nearest(COMPASS[0] * 7, COMPASS, 5)
    assert rows[0] == 0
    assert set(rows[1:3]) == {1, 11}
    assert set(rows[3:5]) == {2, 10}
    np.testing.assert_allclose(cosines, np.cos(np.deg2rad([0, 30, 30, 60, 60])), atol=1e-6)


def test_usage_patterns_have_the_cosines_of_the_whole_matrix():
    rng = np.random.default_rng(0)
    tracks, listeners = rng.normal(size=(9, 4)), rng.normal(size=(50, 4)) * [1, 5, 1, 0.1]
    patterns = tracks @ listeners.T
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)
    coordinates = usage_coordinates(tracks, listeners)
    np.testing.assert_allclose(coordinates @ coordinates.T, patterns @ patterns.T, atol=1e-5)
    assert not usage_coordinates(np.zeros((1, 4)), listeners).any()


@pytest.mark.parametrize("k", [1, 11, 12, 99])
def test_k_is_cut_to_what_there_is(k):
    rows, cosines = nearest(COMPASS[3], COMPASS, k)
    assert len(rows) == len(cosines) == min(k, 12)
    assert (np.diff(cosines) <= 0).all()


LIBRARY = named(
    "The Notorious B.I.G. - Juicy", "Beyoncé - Halo", "Lady Gaga - Poker Face",
    "Lady Gaga - Bad Romance", "Queen - We Will Rock You", "Queen - We Are the Champions",
    "Blur - Song 2", "Blur - Song 3", "Halo Sound - Intro", "Outkast - Hey Ya!", "Sia - Cheap",
    "Adele - Cheap",
)  # fmt: skip


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("Juicy", "Juicy"),
        ("juicy", "Juicy"),
        ("Notorious BIG - Juicy", "Juicy"),
        ("Juicey", "Juicy"),
        ("halo", "Halo"),
        ("beyonce halo", "Halo"),
        ("Pokerface", "Poker Face"),
        ("lady gaga bad romance", "Bad Romance"),
        ("hey ya", "Hey Ya!"),
        ("Song 2", "Song 2"),
        ("02/Poker Face", "Poker Face"),
        ("02/Poker Face.mp3", "Poker Face"),
        ("/music/02/Poker Face.mp3", "Poker Face"),
        ("Poker Face.mp3", "Poker Face"),
        ("Adele - Cheap", "Cheap"),
        ("champions", "We Are the Champions"),
    ],
)
def test_clear_queries(query, title):
    (row,) = find_tracks(query, LIBRARY).rows
    assert LIBRARY.title[row] == title


def test_queries_that_are_not_clear():
    assert [LIBRARY.artist[row] for row in find_tracks("Cheap", LIBRARY).rows] == ["Sia", "Adele"]
    assert {"Song 2", "Song 3"} <= {
        LIBRARY.title[r] for r in find_tracks("blur song", LIBRARY).rows
    }
    assert find_tracks("qqqqqq", LIBRARY).rows == []


def test_what_is_nearly_spelt_is_taken_with_a_note_and_what_is_far_off_is_not(
    here, audiorec, predictions_file, tracks
):
    names = ["Juicy", "Heavy Bounce", "Frozen Cathedral"]
    table = replace(tracks(3), artist=["Big Tangerine", "Sister Quartz", "Elin"], title=names)
    predicted = files.load_predictions(predictions_file("p.h5", COMPASS[:3]))
    files.save_predictions("p.h5", replace(predicted, tracks=table))
    status, _, err = audiorec("similar", "Jucy")
    assert status == 0, err
    assert 'no track is called "Jucy": taken for Big Tangerine - Juicy' in err
    assert "taken for" not in audiorec("similar", "juicy")[2]
    status, out, err = audiorec("similar", "Skit")
    assert (status, out) == (1, "")
    assert "Sister Quartz - Heavy Bounce" in err
    assert 'no single track is called "Skit", this comes near: give a number with --pick' in err
    assert audiorec("similar", "Skit", "--pick", 1)[0] == 0


def test_the_query_comes_first_and_k_counts_it(here, audiorec, predictions_file):
    predictions_file("p.h5", COMPASS)
    status, out, err = audiorec("similar", "title 3", "-k", 3)
    assert status == 0
    assert "predictions: using p.h5" in err
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header == ["rank", "score", "artist", "title", "track_id", "path"]
    assert rows[0][:4] == ["1", "1.000", "artist 1", "title 3"]
    assert {row[3] for row in rows[1:]} == {"title 2", "title 4"}
    assert rows[1][1] == "0.866"


def test_the_query_comes_first_even_among_equals(here, audiorec, predictions_file):
    predictions_file("p.h5", np.repeat(COMPASS[:1], 12, axis=0))
    _, out, _ = audiorec("similar", "title 7", "-k", 3)
    assert out.splitlines()[1].split("\t")[3] == "title 7"


def test_several_queries_are_near_all_of_them(here, audiorec, predictions_file):
    predictions_file("p.h5", COMPASS)
    _, out, _ = audiorec("similar", "title 1", "title 3", "-k", 3, "--json")
    assert [row["title"] for row in json.loads(out)] == ["title 1", "title 3", "title 2"]


def test_candidates_are_numbered_and_one_can_be_picked(here, audiorec, predictions_file):
    predictions_file("p.h5", COMPASS)
    status, out, err = audiorec("similar", "title")
    assert (status, out) == (1, "")
    assert "  2. artist" in err
    assert err.splitlines()[-1].startswith(
        'error: no single track is called "title", these 12 come near: give'
    )
    second = next(line for line in err.splitlines() if line.startswith("  2. "))
    status, out, _ = audiorec("similar", "title", "--pick", 2)
    assert status == 0
    assert out.splitlines()[1].split("\t")[4] in second


def test_a_pick_beyond_the_candidates_is_one_line(here, audiorec, predictions_file):
    predictions_file("p.h5", COMPASS)
    status, out, err = audiorec("similar", "title 3", "--pick", 2)
    assert (status, out) == (1, "")
    *_, candidate, refusal = err.splitlines()
    assert "1. artist 1 - title 3" in candidate
    assert refusal == 'error: "title 3" may mean 1 track: --pick goes up to that'


def test_nothing_near_is_one_line(here, audiorec, predictions_file):
    predictions_file("p.h5", COMPASS)
    status, _, err = audiorec("similar", "qqqq")
    assert status == 1
    assert err.splitlines()[-1] == (
        'error: no track is called anything like "qqqq": check the spelling, or make the '
        "predictions again with 'audiorec predict' if it is new"
    )


def test_a_playlist_to_a_file_and_to_stdout(here, audiorec, predictions_file):
    predictions_file("p.h5", COMPASS)
    status, out, _ = audiorec("similar", "title 0", "-k", 2, "-o", "-")
    assert status == 0
    assert out.splitlines()[0] == "#EXTM3U"
    assert out.splitlines()[-1].startswith("/music/folder/")
    status, table, _ = audiorec("similar", "title 0", "-k", 2, "-o", "list.m3u8")
    assert (here / "list.m3u8").read_text() == out
    assert table.startswith("rank\t")


@pytest.mark.parametrize("out", ["list.doc", "no/such/folder/list.m3u8", "folder.m3u8"])
def test_a_playlist_that_cannot_be_written_is_one_line(here, audiorec, predictions_file, out):
    predictions_file("p.h5", COMPASS)
    (here / "folder.m3u8").mkdir()
    status, printed, err = audiorec("similar", "title 0", "-o", out)
    assert (status, printed) == (1, "")
    assert err.startswith(f"error: {out.removesuffix('/list.m3u8')}")


def test_queries_that_cancel_out_or_cannot_be_picked_from_are_one_line(
    here, audiorec, predictions_file
):
    predictions_file("p.h5", COMPASS)
    status, out, err = audiorec("similar", "title 0", "title 6")
    assert (status, out) == (1, "")
    assert "opposite each other: ask for one at a time" in err
    status, out, err = audiorec("similar", "title 0", "title", "--pick", 2)
    assert (status, out) == (1, "")
    assert "--pick goes with a single query" in err


def test_predictions_are_made_where_there_is_only_a_checkpoint(
    here, audiorec, checkpoint_file, mels_file, loading_in_process
):
    checkpoint_file("model.h5")
    mels_file("out.h5")
    status, out, err = audiorec("similar", "title 2", "-k", 3)
    assert status == 0
    assert "no predictions yet: making them" in err
    assert len(out.splitlines()) == 4
    assert (here / "predictions.h5").exists()
    checkpoint_file("model.h5", n_factors=5)
    _, _, err = audiorec("similar", "title 2")
    assert f"was not made from {here / 'model.h5'} as it is now" in err


def test_a_copied_project_goes_with_its_own_checkpoint(
    here, audiorec, checkpoint_file, mels_file, loading_in_process, monkeypatch
):
    checkpoint_file("model.h5")
    mels_file("out.h5")
    assert audiorec("predict")[0] == 0
    (here / "copy").mkdir()
    for name in ("model.h5", "predictions.h5"):
        shutil.copy(name, here / "copy")
    checkpoint_file("model.h5", n_factors=5)
    monkeypatch.chdir(here / "copy")
    status, _, err = audiorec("similar", "title 2")
    assert status == 0
    assert "was not made from" not in err
    monkeypatch.chdir(here)
    (here / "predictions.h5").unlink()
    _, _, err = audiorec("similar", "title 2", "--predictions", "copy/predictions.h5")
    assert "was not made from" not in err
    monkeypatch.chdir(here / "copy")
    (here / "copy" / "model.h5").unlink()
    assert (
        f"was not made from {here / 'model.h5'} as it is now" in audiorec("similar", "title 2")[2]
    )


def test_tags_steer_neither_terminal_nor_playlist(here, audiorec, predictions_file):
    predictions = files.load_predictions(predictions_file("p.h5", COMPASS))
    predictions.tracks.title[5] = "evil\x1b[2J\nEXTRA\u202egpj"
    predictions.tracks.path[5] = "new\nline.mp3"
    files.save_predictions("p.h5", predictions)
    _, out, _ = audiorec("similar", "folder/5", "-k", 1)
    assert len(out.splitlines()) == 2
    assert r"evil\x1b[2J\nEXTRA\u202egpj" in out
    _, out, _ = audiorec("similar", "folder/5", "-k", 1, "-o", "-")
    assert "\x1b" not in out
    assert out.splitlines()[-2:] == [
        "#EXTINF:200,artist 1 - evil [2J EXTRA gpj",
        "file:///music/new%0Aline.mp3",
    ]


def test_confidence_is_shown_where_the_network_predicts_deviations(
    here, audiorec, predictions_file
):
    predictions = files.load_predictions(predictions_file("p.h5", COMPASS))
    assert "confidence" not in audiorec("similar", "title 3")[1]
    deviation = np.full((12, 2), 0.01, np.float32)
    deviation[2] = 1
    files.save_predictions("p.h5", replace(predictions, deviation=deviation))
    _, out, _ = audiorec("similar", "title 3", "-k", 3, "--json")
    confidence = {row["title"]: row["confidence"] for row in json.loads(out)}
    assert confidence["title 2"] == pytest.approx(1 / 3)
    assert confidence["title 3"] == pytest.approx(1, abs=1e-3)
    _, out, _ = audiorec("similar", "title 3", "-k", 3)
    assert out.splitlines()[0].split("\t")[:4] == ["rank", "score", "confidence", "artist"]


@pytest.fixture
def listened(here, predictions_file, factors_file):
    """Predictions to the compass, and listeners of a log who hardly care for east and west."""
    predictions_file("p.h5", COMPASS)
    factors = files.load_factors(factors_file("f.h5", factors=COMPASS[::-1].copy()))
    user_factors = np.array([[0, 1], [0.01, -2]], np.float32)
    held_out = np.arange(12) == 11
    files.save_factors(
        "f.h5",
        replace(
            factors,
            user_factors=user_factors,
            track_factors=np.where(held_out[:, None], 0, factors.track_factors),
            norm=np.where(held_out, 0, factors.norm),
            is_test=held_out,
        ),
    )


def test_by_usage_what_no_listener_cares_for_counts_nothing(listened, audiorec):
    _, out, _ = audiorec("similar", "title 1", "-k", 5, "--by", "usage", "--json")
    rows = json.loads(out)
    assert {row["title"] for row in rows} == {f"title {i}" for i in range(1, 6)}
    assert [row["score"] for row in rows] == pytest.approx([1] * 5, abs=1e-3)
    _, out, _ = audiorec("similar", "title 1", "-k", 5, "--json")
    assert {row["title"] for row in json.loads(out)} == {f"title {i}" for i in (11, 0, 1, 2, 3)}


def test_by_listening_the_factors_of_the_log_are_compared(listened, audiorec):
    by = ("--by", "listening")
    _, out, _ = audiorec("similar", "title 10", "-k", 12, *by, "--json")
    rows = json.loads(out)
    assert {row["title"] for row in rows[:5]} == {f"title {i}" for i in range(6, 11)}
    assert len(rows) == 11
    status, out, err = audiorec("similar", "title 11", *by)
    assert (status, out) == (1, "")
    assert "the log has no factors of artist 1 - title 11: use --by factors or usage" in err


def test_a_playlist_goes_on_without_what_the_log_does_not_know(listened, audiorec, here):
    (here / "a.m3u8").write_text("/music/folder/10.flac\n/music/folder/11.flac\n")
    options = ("--by", "listening", "--spread", "--json", "-k", 2)
    status, out, err = audiorec("similar", "--extend", "a.m3u8", *options)
    assert status == 0, err
    rows = json.loads(out)
    assert rows[0]["title"] == "title 10"
    assert len(rows) == 3
    assert "the log has no factors of 1 track: left out" in err
    (here / "a.m3u8").write_text("/music/folder/11.flac\n")
    assert audiorec("similar", "--extend", "a.m3u8", *options)[0] == 1


def test_a_path_by_usage(listened, audiorec):
    options = ("--path-to", "title 2", "--by", "usage", "-k", 3, "--json")
    status, out, err = audiorec("similar", "title 1", *options)
    assert status == 0, err
    titles = [row["title"] for row in json.loads(out)]
    assert (titles[0], titles[-1], len(set(titles))) == ("title 1", "title 2", 3)


def test_usage_is_that_of_the_factors_named(listened, audiorec):
    factors = files.load_factors("f.h5")
    turned = np.roll(factors.user_factors, 1, axis=1)
    files.save_factors("g.h5", replace(factors, user_factors=turned))
    by = ("similar", "title 1", "-k", 5, "--by", "usage")
    status, _, err = audiorec(*by)
    assert status == 1
    assert "--factors" in err
    assert audiorec(*by, "--factors", "f.h5")[1] != audiorec(*by, "--factors", "g.h5")[1]


def test_factors_that_are_not_asked_for_are_one_line(listened, audiorec):
    status, _, err = audiorec("similar", "title 1", "--factors", "f.h5")
    assert status == 1
    assert "--factors goes with --by usage or listening, or with --drop-outliers" in err
