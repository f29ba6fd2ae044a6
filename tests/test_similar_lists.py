"""What comes into a list of similar tracks: several queries, limits, duplicates, paths, hubs."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import skew

from audiorec_cli import files
from audiorec_cli.names import is_nearly_same_title
from audiorec_cli.output.playlist_reading import read_playlist
from audiorec_cli.retrieval.choosing import Chooser, waypoints
from audiorec_cli.retrieval.hubness import LocalScaling
from audiorec_cli.retrieval.lookup import find_paths
from audiorec_cli.retrieval.neighbors import nearest_others
from audiorec_cli.retrieval.recordings import ALIKE, likeness

COMPASS = np.array(
    [[np.cos(a), np.sin(a)] for a in np.deg2rad(np.arange(0, 360, 30))], dtype=np.float32
)


@pytest.fixture
def listed(here, audiorec, predictions_file):
    """Runs similar over the compass: returns the numbers of the titles listed, and stderr."""
    predictions_file("p.h5", COMPASS)

    def run(*arguments):
        status, out, err = audiorec("similar", *arguments, "--json")
        assert status == 0, err
        return [int(row["title"].split()[1]) for row in json.loads(out)], err

    return run


@pytest.fixture
def refused(here, audiorec, predictions_file):
    """Runs similar over the compass: returns the one line that it refuses with."""
    predictions_file("p.h5", COMPASS)

    def run(*arguments):
        status, out, err = audiorec("similar", *arguments)
        assert (status, out) == (1, "")
        return err.splitlines()[-1]

    return run


def test_away_from_a_track_is_the_other_way(listed):
    rows, _ = listed("title 0", "--not", "title 3", "-k", 3)
    assert rows[0] == 0
    assert set(rows[1:]) == {10, 11}


def test_what_is_ruled_out_is_not_listed(listed):
    rows, _ = listed("title 0", "--not", "title 1", "-k", 12)
    assert 1 not in rows
    assert len(rows) == 11


def test_a_playlist_goes_on(listed, here):
    (here / "a.m3u8").write_text(
        "#EXTM3U\n/music/folder/3.flac\n/music/folder/5.flac\nno.flac\nhttp://a.example/b\n"
        "/music/folder/3.flac\n"
    )
    rows, err = listed("--extend", "a.m3u8", "-k", 3, "-o", "b.m3u8")
    assert rows[:3] == [3, 5, 4]
    assert set(rows[3:]) == {2, 6}
    assert "a.m3u8: 3 of 5 entries are left out: not in the library, or repeated" in err
    assert [path.split("/")[-1] for path, *_ in read_playlist("b.m3u8")] == [
        f"{i}.flac" for i in rows
    ]
    assert listed("--extend", "a.m3u8", "-k", 1, "--no-query")[0] == [4]


def test_the_playlist_that_goes_on_is_not_written_over(refused, here):
    (here / "a.m3u8").write_text("/music/folder/3.flac\n")
    told = refused("--extend", "a.m3u8", "-o", f"../{here.name}/a.m3u8")
    assert "a.m3u8 is what the list is made from: name another file with --out" in told
    assert (here / "a.m3u8").read_text() == "/music/folder/3.flac\n"


def test_a_playlist_of_other_tracks_is_one_line(refused, here):
    (here / "a.m3u8").write_text("/elsewhere/x.mp3\n")
    assert "a.m3u8: none of its 1 track is in the predictions" in refused("--extend", "a.m3u8")


def test_a_playlist_from_where_the_library_was_before(listed, here):
    (here / "a.m3u8").write_text("/old/place/folder/4.flac\n")
    assert listed("--extend", "a.m3u8", "-k", 2, "--no-query")[0] == [3, 5]


def test_a_playlist_of_another_library_goes_on_by_names(listed, here):
    (here / "a.m3u8").write_text(
        "#EXTINF:9,artist 1 - title 3\n/phone/x.mp3\n#EXTINF:9,Artist 1 - Title 5 (2011 Remaster)\n"
        "/phone/y.mp3\n#EXTINF:9,artist 7 - title 5\n/phone/z.mp3\n"
    )
    rows, err = listed("--extend", "a.m3u8", "-k", 1)
    assert rows == [3, 5, 4]
    assert "a.m3u8: 1 of 3 entries are left out" in err


def test_the_path_of_an_entry_comes_before_its_names(listed, here):
    (here / "a.m3u8").write_text("#EXTINF:9,artist 1 - title 9\n/music/folder/3.flac\n")
    assert listed("--extend", "a.m3u8", "-k", 1)[0][0] == 3


def test_an_accent_may_be_written_in_two_ways(tracks):
    library = replace(tracks(2), path=["Beyonce\u0301/Halo.mp3", "b.mp3"])
    locations = ["/music/Beyonc\u00e9/Halo.mp3", "/music/c.mp3", "/music/../music/b.mp3"]
    assert find_paths(locations, library, "/music") == [0, None, 1]


def test_an_artist_or_an_album_fills_no_list(listed):
    # artists 0 and 1 in turn, all on an album
    rows, _ = listed("title 0", "-k", 12, "--max-per-artist", 2)
    assert rows[0] == 0
    assert sorted(i % 2 for i in rows) == [0, 0, 1, 1]
    assert listed("title 0", "-k", 12, "--max-per-album", 3)[0] in ([0, 1, 11], [0, 11, 1])
    assert len(listed("title 0", "-k", 12, "--max-per-artist", 1, "--no-query")[0]) == 2


def test_tracks_of_unknown_artists_have_no_limit(here, audiorec, predictions_file):
    predictions = files.load_predictions(predictions_file("p.h5", COMPASS))
    unnamed = replace(predictions.tracks, artist=[""] * 12)
    files.save_predictions("p.h5", replace(predictions, tracks=unnamed))
    _, out, _ = audiorec("similar", "title 0", "-k", 5, "--max-per-artist", 1, "--json")
    assert len(json.loads(out)) == 5


def test_what_scores_less_is_left_out(listed):
    assert sorted(listed("title 5", "-k", 12, "--min-score", 0.4)[0]) == [3, 4, 5, 6, 7]


def test_no_query_leaves_out_what_was_asked_for(listed):
    assert sorted(listed("title 3", "-k", 2, "--no-query")[0]) == [2, 4]


def test_a_path_walks_in_even_steps(listed):
    rows, _ = listed("title 1", "--path-to", "title 5", "-k", 5)
    assert rows == [1, 2, 3, 4, 5]
    assert listed("title 1", "--path-to", "title 5", "-k", 3)[0] == [1, 3, 5]
    assert listed("title 1", "--path-to", "title 4", "-k", 2)[0] == [1, 4]
    assert listed("title 1", "--path-to", "title 5", "-k", 5, "--no-query")[0] == [2, 3, 4]


def test_steps_along_the_great_circle():
    steps = waypoints(COMPASS[0], COMPASS[3], 4)
    np.testing.assert_allclose(steps, COMPASS[:4], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(waypoints(COMPASS[2], COMPASS[2], 3), axis=1), 1)
    with pytest.raises(ValueError, match="opposite"):
        waypoints(COMPASS[0], COMPASS[6], 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("title 0", "--path-to", "title 6"), "opposite each other, so every way is as short"),
        (("title 0", "--path-to", "title 0"), "a path from a track to itself"),
        (("title 0", "--path-to", "title 1", "-k", 1), "a path has two ends"),
        (("title 0", "title 1", "--path-to", "title 2"), "--path-to goes with one query, and with"),
        (("title 0", "--out", "-", "--json"), "stdout holds one thing: leave out --json"),
        (("title 0", "--not", "title 0"), "artist 0 - title 0 is asked for and ruled out"),
        (("title 0", "--not", "title 1", "--pick", 1), "--pick goes with a single query"),
        (("title 0", "--no-query", "--min-score", 0.99), "no track is left to list"),
        (("title 0", "--relative-to", "."), "--relative-to goes with --out"),
        (
            ("title 0", "--mels", "m.h5"),
            "--mels goes with --duplicates drop: add that, or leave --mels out",
        ),
        (("--extend", "none.m3u8"), "none.m3u8: No such file or directory"),
    ],
)
def test_what_makes_no_list_is_one_line(refused, arguments, message):
    assert message in refused(*arguments)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Juicy", "Juicy (2005 Remaster)", True),
        ("Juicy", "juicy - Remastered 2014", True),
        ("Juicy", "Juicy [Explicit]", True),
        ("Beyoncé's Song", "Beyonces Song", True),
        ("Colour My World", "Color My World", True),
        ("Song (Remastered Version)", "Song (2011 - Remaster)", True),
        ("Song feat. X", "Song (ft. Y & Z)", True),
        ("Song feat. X (2014 Remaster)", "Song", True),
        ("Juicy", "Juicy (Live)", False),
        ("Song feat. X (Live)", "Song", False),
        ("Song (feat. A) [B Remix]", "Song", False),
        ("Song - Live at Home", "Song", False),
        ("Juicy", "Juicy (Acoustic Version)", False),
        ("Juicy", "Juicy (Someone Remix)", False),
        ("Part 1", "Part 2", False),
        ("The Song Remains, Part II", "The Song Remains, Part III", False),
        ("Hello", "Hell", False),
        ("", "", False),
    ],
)
def test_titles_that_mean_one_recording(one, other, same):
    assert is_nearly_same_title(one, other) is same


def noise(seed, n_frames=599):
    return np.random.default_rng(seed).normal(size=(128, n_frames))


def test_a_recording_is_known_again_later_louder_and_noisier():
    song = noise(0, 700)
    one, other = song[:, 20:619], 2 * song[:, 0:599] + 3 + noise(1) / 4
    assert likeness(one, other, max_shift=60) > ALIKE
    assert likeness(other, one, max_shift=60) > ALIKE
    assert likeness(one, other, max_shift=5) < ALIKE
    assert likeness(one, noise(2), max_shift=60) < ALIKE
    assert likeness(one, np.ones((128, 599)), max_shift=60) == 0


@pytest.fixture
def twins(here, predictions_file, mels_file):
    """Track 1 bears track 0's name, and track 2 has its sound."""
    factors = COMPASS.copy()
    factors[1:4] = COMPASS[0]
    predictions = files.load_predictions(predictions_file("p.h5", factors))
    title = ["title 0", "Title 0 (Remastered)", *predictions.tracks.title[2:]]
    artist = ["artist 0"] * 2 + predictions.tracks.artist[2:]
    named = replace(predictions.tracks, title=title, artist=artist)
    files.save_predictions("p.h5", replace(predictions, tracks=named))
    mels = np.random.default_rng(0).random((12, 128, 599)) * 5
    mels[2] = mels[0] + 0.1
    mels_file("m.h5", mels=mels)
    return here


def numbers(out):
    return [int(row["track_id"].split("/")[1]) for row in json.loads(out)]


def test_a_recording_is_listed_once_by_its_name_and_its_sound(twins, audiorec):
    asked = ("similar", "folder/0", "-k", 3, "--json")
    assert numbers(audiorec(*asked)[1]) == [0, 1, 2]
    assert numbers(audiorec(*asked, "--duplicates", "drop")[1])[:2] == [0, 3]
    alone = numbers(audiorec(*asked, "--duplicates", "drop", "--no-query")[1])
    assert alone[0] == 3
    assert not {0, 1, 2} & set(alone)


def test_without_a_mels_file_duplicates_are_told_by_name(twins, audiorec):
    (twins / "m.h5").unlink()
    _, out, err = audiorec("similar", "folder/0", "-k", 3, "--json", "--duplicates", "drop")
    assert numbers(out) == [0, 2, 3]
    assert "no mels file here: duplicates are told by artist and title alone" in err


def test_nothing_stored_changes_when_duplicates_are_dropped(twins, audiorec):
    before = {path: path.read_bytes() for path in twins.iterdir()}
    audiorec("similar", "folder/0", "--duplicates", "drop")
    assert {path: path.read_bytes() for path in twins.iterdir()} == before


def test_a_chooser_takes_what_its_rules_allow():
    chooser = Chooser([(lambda row: row % 3 or None, 1)], lambda one, other: abs(one - other) == 10)
    chooser.take(1)
    assert not chooser.offer(4)  # a second one of the first kind
    assert [chooser.offer(row) for row in (3, 6, 0)] == [True] * 3  # a kind without a limit
    assert not chooser.offer(10)
    assert chooser.fill([0, 13, 2, 5, 9], 2) == [2, 9]
    assert chooser.rows == [1, 3, 6, 0, 2, 9]


def hubs(n=600, n_factors=40):
    """Tracks of which those near the common centre are near to everything."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(n, n_factors)) + 0.5 * rng.normal(size=n_factors)
    return (factors / np.linalg.norm(factors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (40, 39), (600, 10), (2000, 10), (2111, 3)])
def test_the_nearest_others_are_those_of_a_full_sort(n, k):
    factors, rows = hubs(n), np.arange(0, n, 7)
    found, cosines = nearest_others(rows, factors, k)
    for row, others, near in zip(rows, found, cosines, strict=True):
        order = np.argsort(-(factors @ factors[row]))
        assert set(others) == set(order[order != row][:k])
        np.testing.assert_allclose(near, factors[others] @ factors[row], atol=1e-6)


def test_spread_keeps_hubs_out_of_the_lists():
    factors, k = hubs(), 10
    plain, spread, scaling = [], [], LocalScaling(factors)
    for row, query in enumerate(factors):
        cosines = factors @ query
        plain.append([i for i in np.argsort(-cosines) if i != row][:k])
        spread.append([i for i in scaling.rank(cosines) if i != row][:k])
    before, after = (np.bincount(np.ravel(lists)) for lists in (plain, spread))
    assert skew(before) > 1
    assert skew(after) < 0.6 * skew(before)
    assert after.max() < before.max()


def test_spread_changes_the_order_and_not_the_scores(here, audiorec, predictions_file):
    predictions_file("p.h5", hubs(200))
    plain, spread = (
        {row["title"]: row["score"] for row in json.loads(audiorec(*arguments)[1])}
        for arguments in (
            ("similar", "title 5", "--json", "-k", 40),
            ("similar", "title 5", "--json", "-k", 40, "--spread"),
        )
    )
    assert next(iter(plain)) == next(iter(spread)) == "title 5"
    assert list(plain) != list(spread)
    common = plain.keys() & spread.keys()
    assert len(common) > 10
    assert all(plain[title] == pytest.approx(spread[title]) for title in common)
