"""Logs in tables become the same plays, and say what is wrong with them."""

from dataclasses import fields

import numpy as np
import pytest

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.log_settings import Columns, LogSettings
from audiorec_cli.listening.logs import read_log

EXPECTED = {("ann", "x"): 3, ("ann", "y"): 1, ("bob", "x"): 2}


def read(tmp_path, content, **settings):
    """Read a log; the settings that Columns has are its."""
    path = tmp_path / "log.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    named = {field.name for field in fields(Columns)} & {*settings}
    columns = Columns(**{name: settings.pop(name) for name in named})
    return read_log(path, LogSettings(columns=columns, **settings))


def as_dict(plays):
    coo = plays.plays.tocoo()
    return {
        (plays.user_id[u], plays.tracks.track_id[i]): count
        for u, i, count in zip(coo.row, coo.col, coo.data, strict=True)
    }


@pytest.mark.parametrize(
    "content",
    [
        "user_id,track_id,plays\nann,x,3\nann,y,1\nbob,x,2\n",
        "user_id\ttrack_id\tplays\nann\tx\t3\nann\ty\t1\nbob\tx\t2\n",
        "plays;Song ID;User\n3;x;ann\n1;y;ann\n2;x;bob\n".replace("Song ID", "song_id"),
        "bob\tx\t2\nann\ty\t1\nann\tx\t3\n",
        "bob\tx\t1\nann\ty\t1\nann\tx\t3\nbob\tx\t1\n",
        "user,track_id\nann,x\nbob,x\nann,x\nann,y\nbob,x\nann,x\n",
        'user_id,track_id,plays\n"ann","x","3"\n"ann","y","1"\n"bob","x","2"\n',
        b"\xef\xbb\xbfuser_id,track_id,plays\r\nann,x,3\r\nann,y,1\r\nbob,x,2\r\n",
    ],
    ids=["csv", "tsv", "semicolon", "triplets", "repeated", "a-row-a-listen", "quoted", "windows"],
)
def test_layouts_give_the_same_plays(tmp_path, content):
    reading = read(tmp_path, content)
    assert as_dict(reading.plays) == EXPECTED
    assert (reading.items, reading.broken_rows) == ("tracks", 0)
    np.testing.assert_array_equal(reading.plays.tracks.plays, [5, 1])
    np.testing.assert_array_equal(reading.plays.tracks.listeners, [2, 1])


def test_artist_and_title_make_a_track(tmp_path):
    log = 'user_id,artist,title,plays\na,"Run, DMC",It\'s Tricky,2\nb,"Run, DMC",It\'s Tricky,1\n'
    tracks = read(tmp_path, log).plays.tracks
    assert tracks.track_id == ["Run, DMC - It's Tricky"]
    assert (tracks.artist, tracks.title) == (["Run, DMC"], ["It's Tricky"])


def test_a_log_of_artists_has_artists_as_items(tmp_path):
    reading = read(tmp_path, "user_id\tartist\tplays\n1\tQueen\t5\n2\tABBA\t1\n")
    assert reading.items == "artists"
    assert reading.plays.tracks.track_id == reading.plays.tracks.artist == ["ABBA", "Queen"]


def test_quotation_marks_in_tab_separated_titles_are_letters(tmp_path):
    log = 'user_id\ttitle\tplays\na\t"Heroes\t1\nb\t12" Mix\t2\n'
    assert read(tmp_path, log).plays.tracks.title == ['"Heroes', '12" Mix']


def test_columns_can_be_named(tmp_path):
    log = "who,what,times,session\nann,x,3,s1\nann,y,1,s2\n"
    named = {"track": "what", "plays": "times"}
    plays = read(tmp_path, log, user="who", **named).plays
    assert as_dict(plays) == {("ann", "x"): 3, ("ann", "y"): 1}
    plays = read(tmp_path, log, group="session", **named).plays
    assert plays.user_id == ["s1", "s2"]


def test_groups_of_two_listeners_are_not_mixed(tmp_path):
    log = "user_id,track_id,session\nann,x,1\nbob,y,1\nann,z,2\n"
    plays = read(tmp_path, log, group="session").plays
    assert plays.user_id == ["ann / 1", "ann / 2", "bob / 1"]


def test_rows_of_no_plays_are_left_out_but_not_broken(tmp_path):
    reading = read(tmp_path, "user_id,track_id,plays\nann,x,0\nann,y,2\nbob,y,1\n")
    assert reading.broken_rows == 0
    assert reading.plays.tracks.track_id == ["y"]


def test_broken_rows_are_left_out_and_counted(tmp_path):
    good = "".join(f"u{i},t,1\n" for i in range(500))
    broken = "u,t,many\nu,,1\n,t,1\nu,t,-1\nu,t,nan\n"
    reading = read(tmp_path, "user_id,track_id,plays\n" + good + broken)
    assert reading.broken_rows == 5
    assert reading.broken_shown == [
        "line 502: no number of plays",
        "line 503: no track",
        "line 504: no listener",
    ]
    assert reading.plays.plays.sum() == 500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (
            "user_id,track_id,plays\nu,t,many\nu,x,1\n",
            r"broken rows, 1 of 2 .*line 2: no num.*--plays-column",
        ),
        ("user_id,track_id,plays\nu,t,1e39\nu,x,1\n", r"line 2: no number of plays.*mend the log"),
        ("user_id,track_id,plays\nu,t,-1\nu,x,1\n", r"line 2: fewer than no plays.: mend the log$"),
        ("user_id,track_id\nu,t\n".encode("utf-16"), "is no text in UTF-8: .*CSV in UTF-8"),
        ('[{"ts": "2023-01-01"}]', "is JSON, but no history that is known: name its layout"),
        (b"\x1f\x8b\x08\x00abc", "is no text in UTF-8: unpack it"),
        ("user_id,track_id,plays\n", "has no rows"),
        (
            "who,track_id,plays\nu,t,1\n",
            "no column for the user in its first line, who.*--group-by",
        ),
        (
            "user_id,thing,plays\nu,t,1\n",
            "no column for the track in its first line.*--track-column",
        ),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, content, message):
    with pytest.raises(AudiorecError, match=message):
        read(tmp_path, content)


def test_a_named_column_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(AudiorecError, match=r"no column 'playlist': name one of user_id, track_id"):
        read(tmp_path, "user_id,track_id\nu,t\n", group="playlist")


def test_bytes_that_are_no_text_do_not_stop_the_reading(tmp_path):
    reading = read(tmp_path, b"user_id,track_id,plays\nann,caf\xe9,3\nbob,x,1\n")
    assert len(reading.plays.tracks) == 2


def test_a_column_has_one_meaning(tmp_path):
    with pytest.raises(AudiorecError, match="columns that options name for two things"):
        read(tmp_path, "user_id,track_id\nu,t\n", track="track_id", group="track_id")


def test_titles_that_are_named_go_by_no_id(tmp_path):
    """Which another column holds, of one release of the song each."""
    content = "user,song_id,piece,artist\nann,1,T,A\nbob,2,T,A\n"
    by_title = read(tmp_path, content, title="piece").plays
    assert as_dict(by_title) == {("ann", "A - T"): 1, ("bob", "A - T"): 1}
    assert as_dict(read(tmp_path, content).plays) == {("ann", "1"): 1, ("bob", "2"): 1}
