"""Joining a library to a log."""

import dataclasses

import numpy as np
import pytest

from audiorec_cli.commands.joining import groups_of_matches
from audiorec_cli.errors import AudiorecError
from audiorec_cli.matching import match
from audiorec_cli.names import first_artist, normalised
from audiorec_cli.records import LoggedTracks


def logged(*rows):
    """LoggedTracks of (track_id, artist, title, isrc, mbid)."""
    track_id, artist, title, isrc, mbid = ([*column] for column in zip(*rows, strict=True))
    n = len(rows)
    return LoggedTracks(track_id, title, artist, isrc, mbid, np.ones(n), np.ones(n, int))


def test_each_key_matches_in_its_turn(tracks):
    library = dataclasses.replace(
        tracks(5), isrc=["", "", "US-AB1-23-45678", "", ""], mbid=["", "AB-1", "", "", ""]
    )
    log = logged(
        ("folder/0", "", "", "", ""),
        ("b", "", "", "", "ab-1"),
        ("c", "", "", "usab12345678", ""),
        ("d", "ARTIST 1", "Title: 3", "", ""),
        ("e", "artist 0", "", "", ""),
    )
    matches = match(library, log)
    assert matches.library_rows.tolist() == [0, 1, 2, 3]
    assert matches.log_rows.tolist() == [0, 1, 2, 3]
    assert {key: n for key, n in matches.by_key.items() if n} == {
        "track_id": 1, "mbid": 1, "isrc": 1, "artist and title": 1
    }  # fmt: skip
    matches = match(library, log, by_artist=True)
    assert matches.library_rows.tolist() == [0, 1, 2, 3, 4]
    assert matches.by_key["artist"] == 1


def test_an_earlier_key_wins(tracks):
    log = logged(("x", "artist 0", "title 0", "", ""), ("folder/0", "z", "z", "", ""))
    assert match(tracks(1), log).log_rows.tolist() == [1]


def test_artist_and_title_in_one(tracks):
    log = logged(
        ("a", "", "Artist 1 - Title 1", "", ""),
        ("b", "", "artist 0 - title 2 - live", "", ""),
        ("c", "artist 1 - title 3", "", "", ""),
    )
    matches = match(tracks(4), log)
    assert matches.library_rows.tolist() == [1]
    assert matches.log_rows.tolist() == [0]
    assert match(tracks(4), logged(("a", "", "artist 1 – title 3", "", ""))).library_rows == [3]
    assert match(tracks(1), log, by_artist=True).by_key["artist"] == 1


@pytest.mark.parametrize(
    ("artist", "title"),
    [
        ("Tom Waits, Crystal Gayle", "Jersey Girl"),
        ("Tom Waits; Crystal Gayle", "jersey girl (2011 Remaster)"),
        ("Tom Waits & Crystal Gayle", "Jersey Girl - Remastered"),
        ("tom waits / Crystal Gayle", "Jersey Girl [Mono] (feat. Crystal Gayle)"),
    ],
)
def test_guests_and_pressings_do_not_keep_a_recording_apart(tracks, artist, title):
    library = dataclasses.replace(tracks(1), artist=["Tom Waits"], title=["Jersey Girl"])
    for here, there in (
        (library, logged(("a", artist, title, "", ""))),
        (dataclasses.replace(library, artist=[artist], title=[title]),
         logged(("a", "Tom Waits", "Jersey Girl - Radio Edit", "", ""))),
    ):  # fmt: skip
        assert match(here, there).by_key["artist and recording"] == 1


@pytest.mark.parametrize(
    ("artist", "title"),
    [
        ("Tom Waits", "Jersey Girl - Live"),
        ("Tom Waits", "Jersey Girl (Demo)"),
        ("Tom Waits", "Jersey Girl (Re-Mix)"),
        ("Tom Waits", "Jersey Girl - 1998"),
        ("Tom Waits", "Jersey Girl (feat. Crystal Gayle) [Live]"),
        ("Tom Waits", "Jersey Girl feat. Crystal Gayle – Live"),
        ("Crystal Gayle, Tom Waits", "Jersey Girl"),
    ],
)
def test_another_take_or_artist_is_another_recording(tracks, artist, title):
    library = dataclasses.replace(tracks(1), artist=["Tom Waits"], title=["Jersey Girl"])
    with pytest.raises(AudiorecError, match="no track of the library"):
        match(library, logged(("a", artist, title, "", "")))


def test_artists_of_whom_only_the_first_is_the_same_are_others(tracks):
    library = dataclasses.replace(tracks(1), artist=["Bach, Glenn Gould"], title=["Aria"])
    with pytest.raises(AudiorecError, match="no track of the library"):
        match(library, logged(("a", "Bach, András Schiff", "Aria", "", "")))


def test_a_comma_in_a_number_parts_no_artists():
    assert first_artist("10,000 Maniacs") == "10,000 Maniacs"
    assert first_artist("AC/DC; Slash") == "AC/DC"


def test_an_artist_whose_name_is_a_list_is_met_by_all_of_it_first(tracks):
    library = dataclasses.replace(tracks(1), artist=["Tyler, The Creator"], title=["See You Again"])
    log = logged(
        ("a", "Tyler", "See You Again", "", ""),
        ("b", "tyler the creator", "See you again", "", ""),
    )
    assert match(library, log).log_rows.tolist() == [1]


def test_the_number_of_a_track_is_no_artist(tracks):
    intros = dataclasses.replace(tracks(2), artist=["", ""], title=["01 - Intro"] * 2)
    with pytest.raises(AudiorecError, match="no track of the library is in the log"):
        match(intros, logged(("a", "", "01 - Intro", "", "")))


def test_songs_of_one_artist_who_stands_in_the_title_are_kept_together(tracks):
    titles = ["Band - One", "Band - Two", "Duo - Three", "One", "Trio - Four"]
    library = dataclasses.replace(tracks(5), artist=["", "", "", "Band", ""], title=titles)
    log = logged(*((f"id{i}", "", title, "", "") for i, title in enumerate(titles)))
    matches = match(library, log)
    assert matches.library_rows.tolist() == [0, 1, 2, 3, 4]
    groups = groups_of_matches(library, log, matches)
    assert groups[0] == groups[1] == groups[3] != groups[2]


def test_every_song_of_an_artist_takes_the_artists_factors(tracks):
    log = logged(("Artist 1", "Artist 1", "", "", ""), ("Artist 0", "Artist 0", "", "", ""))
    matches = match(tracks(4), log, by_artist=True)
    assert matches.log_rows.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Beatles", "beatles"),
        ("Beyoncé", "BEYONCE"),
        ("Earth, Wind & Fire", "Earth Wind and Fire"),
        ("Don't Stop", "Dont stop"),
        ("Crazy in Love (feat. Jay-Z)", "Crazy In Love"),
        ("Umbrella ft. JAY-Z", "umbrella"),
        ("Sigur Rós", "Sigur Ros"),
        ("宇多田ヒカル", "宇多田ヒカル"),
    ],
)
def test_names_that_mean_the_same(one, other):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"), [("!!!", "???"), ("The The", "The"), ("Left", "Lift"), ("1999", "1989")]
)
def test_names_that_do_not(one, other):
    assert normalised(one) != normalised(other)


def test_nothing_matched_shows_names_of_both_sides(tracks):
    with pytest.raises(AudiorecError) as caught:
        match(tracks(5), logged(*((f"id{i}", f"A{i}", f"S{i}", "", "") for i in range(5))))
    message = str(caught.value)
    for shown in ("artist 0 - title 0", "artist 0 - title 2", "A0 - S0", "A2 - S2", "--match"):
        assert shown in message
    assert "title 3" not in message


def test_of_items_with_one_name_the_one_with_most_listeners_is_meant(tracks):
    log = logged(
        *((f"id{i}", "Artist 0 feat. X" if i else "artist 0", "", "", "") for i in range(3))
    )
    heard = dataclasses.replace(log, listeners=np.array([5, 700, 3]))
    assert match(tracks(1), heard, by_artist=True).log_rows.tolist() == [1]
