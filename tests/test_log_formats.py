"""Histories as services export them: recognised by content, read, and cut to what is asked for."""

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.log_formats import FORMATS
from audiorec_cli.listening.log_settings import LOG_FORMATS, Columns, LogSettings
from audiorec_cli.listening.logs import read_log

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "logs"
OF_ONE = Columns(of_one=True)
NOON = 1_700_000_000


def extended(title, artist, *, ts="2023-05-13T15:35:46Z", ms=200_000, **more):
    """A record of Spotify's extended streaming history."""
    return {
        "ts": ts, "username": "", "ms_played": ms, "ip_addr": "192.0.2.7",
        "master_metadata_track_name": title, "master_metadata_album_artist_name": artist,
        "spotify_track_uri": title and f"spotify:track:{title}", "episode_name": None, **more,
    }  # fmt: skip


def listen(title, artist, **more):
    """A line of ListenBrainz's export."""
    mapping = {"recording_mbid": f"mbid of {title}"}
    metadata = {"track_name": title, "artist_name": artist, "mbid_mapping": mapping}
    return json.dumps({"listened_at": NOON, "track_metadata": metadata, **more})


EXTENDED = [
    extended("Song", "Band"), extended("Song", "Band"), extended("Tune", "Duo"),
    extended("Tune", "Duo", ms=29_999), extended(None, None, episode_name="a podcast"),
]  # fmt: skip
ACCOUNT = [
    {"endTime": "2020-08-11 12:47", "artistName": a, "trackName": t, "msPlayed": ms}
    for t, a, ms in (
        ("Song", "Band", 31_000), ("Song", "Band", 31_000), ("Tune", "Duo", 200_000),
        ("Tune", "Duo", 1_000),
    )
]  # fmt: skip
MALOJA = {
    "maloja": {"export_time": NOON},
    "scrobbles": [
        {"time": NOON + i, "track": {"artists": [artist], "title": title, "album": None}}
        for i, (title, artist) in enumerate((("Song", "Band"), ("Song", "Band"), ("Tune", "Duo")))
    ],
}
PANO = [
    {"timeHuman": "then", "timeMs": 1000 * NOON, "artist": artist, "track": title, "event": event}
    for title, artist, event in (
        ("Song", "Band", "scrobble"), ("Song", "Band", "scrobble"), ("Tune", "Duo", "scrobble"),
        ("Tune", "Duo", "love"),
    )
]  # fmt: skip
DATED = "2009-05-04T23:08:57Z"
OF_ONE_PERSON = {
    "spotify-extended": json.dumps(EXTENDED, indent=1),
    "spotify-account": json.dumps(ACCOUNT, indent=1),
    "maloja": json.dumps(MALOJA, indent=2),
    "pano-scrobbler": "\n".join(map(json.dumps, PANO)),
    "listenbrainz": "\n".join(
        (listen("Song", "Band"), listen("Song", "Band"), "", listen("Tune", "Duo"))
    ),
    "table: R": '"","date","artist","track","album"\n'
    '"1",2020-04-13 05:01:31,"Band","Song","A"\n"2",2020-04-13 05:09:31,"Band","Song","A"\n'
    '"3",2020-04-13 05:01:31,"Duo","Tune","B"\n',
    "table: utc_time": 'utc_time,artist,album,track\n"24 Jan 2023, 09:42",Band,A,Song\n'
    '"24 Jan 2023, 09:42",Band,A,Song\n"24 Jan 2023, 09:42",Duo,,Tune\n',
    "table: uts": "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
    + "".join(
        f'"{NOON}","14 Nov 2023, 22:13","{artist}","","","","{title}",""\n'
        for title, artist in (("Song", "Band"), ("Song", "Band"), ("Tune", "Duo"))
    ),
    "table: comments": "# exported\n+ACM- by a program,,,\nArtist,Track,Album,Time\n"
    f"Band,Song,A,{NOON}\nBand,Song,A,{NOON + 60}\nDuo,Tune,,{NOON}\n",
}


def write(folder, content, name="any name"):
    path = folder / name
    path.write_text(content)
    return path


def plays_of(reading):
    coo = reading.plays.plays.tocoo()
    users, tracks = reading.plays.user_id, reading.plays.tracks.track_id
    return {
        (users[u], tracks[i]): count
        for u, i, count in zip(coo.row, coo.col, coo.data.tolist(), strict=True)
    }


def of_tracks(reading):
    """{track_id: plays} of one person's history."""
    assert len(reading.plays.user_id) == 1
    return {track: count for (_, track), count in plays_of(reading).items()}


def test_every_format_has_a_description():
    assert list(FORMATS) == list(LOG_FORMATS)


@pytest.mark.parametrize("layout", OF_ONE_PERSON)
def test_histories_of_one_person(tmp_path, layout):
    name = layout.split(":")[0]
    path = write(tmp_path, OF_ONE_PERSON[layout])
    for settings in (LogSettings(columns=OF_ONE), LogSettings(columns=OF_ONE, format=name)):
        reading = read_log(path, settings)
        assert of_tracks(reading) == {"Band - Song": 2, "Duo - Tune": 1}
        assert (reading.layout, reading.items) == (LOG_FORMATS[name], "tracks")
        assert reading.broken_rows == 0
        assert reading.plays.tracks.artist == ["Band", "Duo"]
        assert reading.plays.tracks.title == ["Song", "Tune"]


@pytest.mark.parametrize("layout", OF_ONE_PERSON)
def test_histories_know_when(tmp_path, layout):
    path = write(tmp_path, OF_ONE_PERSON[layout])
    before, after = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (1999, 2030))
    both = LogSettings(columns=OF_ONE, since=before, until=after)
    assert of_tracks(read_log(path, both)) == {"Band - Song": 2, "Duo - Tune": 1}
    with pytest.raises(AudiorecError, match="no play between --since and --until"):
        read_log(path, LogSettings(columns=OF_ONE, since=after))


def test_listenbrainz_knows_recordings_and_users(tmp_path):
    lines = listen("Song", "Band", user_name="ann"), listen("Song", "Band", user_name="bob")
    reading = read_log(write(tmp_path, "\n".join(lines)), LogSettings())
    assert plays_of(reading) == {("ann", "Band - Song"): 1, ("bob", "Band - Song"): 1}
    assert reading.plays.tracks.mbid == ["mbid of Song"]


def test_lastfm_1k(tmp_path):
    rows = [("u1", "Song", "m1"), ("u1", "Song", ""), ("u2", "Tune", "")]
    text = "".join(f"{u}\t{DATED}\tartist id\tBand\t{m}\t{t}\n" for u, t, m in rows)
    reading = read_log(write(tmp_path, text), LogSettings(since=0))
    assert plays_of(reading) == {("u1", "Band - Song"): 2, ("u2", "Band - Tune"): 1}


def test_lastfm_360k_is_of_artists(tmp_path):
    text = "u1\tmbid\tdie Ärzte\t7\nu2\t\tbetty blowtorch\t3\n"
    reading = read_log(write(tmp_path, text), LogSettings())
    assert reading.items == "artists"
    assert plays_of(reading) == {("u1", "die Ärzte"): 7, ("u2", "betty blowtorch"): 3}


def test_playlists_of_the_million_playlist_dataset_are_listeners(tmp_path):
    tracks = [
        {"pos": i, "track_uri": f"spotify:track:{t}", "track_name": t, "artist_name": "Band"}
        for i, t in enumerate(("Song", "Tune"))
    ]
    slices = [{"pid": 7, "name": "a", "tracks": tracks}, {"pid": 8, "tracks": tracks[:1]}]
    for name, playlists in (("mpd.slice.0-999.json", slices[:1]), ("x.json", slices[1:])):
        write(tmp_path, json.dumps({"info": {}, "playlists": playlists}, indent=1), name)
    reading = read_log(tmp_path, LogSettings())
    assert reading.n_files == 2
    song, tune = "spotify:track:Song", "spotify:track:Tune"
    assert plays_of(reading) == {("7", song): 1, ("7", tune): 1, ("8", song): 1}
    assert reading.plays.tracks.title == ["Song", "Tune"]


def test_parquet(tmp_path):
    table = pl.DataFrame({"who": ["a", "b"], "song": ["x", "y"], "plays": [3, 1], "day": [1, 2]})
    table.write_parquet(tmp_path / "log")
    columns = Columns(user="who", time="day")
    reading = read_log(tmp_path / "log", LogSettings(columns=columns, since=2))
    assert plays_of(reading) == {("b", "y"): 1}


def test_parquet_has_columns_and_no_lines(tmp_path):
    pl.DataFrame({"who": ["a"], "what": ["x"]}).write_parquet(tmp_path / "log")
    with pytest.raises(AudiorecError, match="no column for the track among those that it has, who"):
        read_log(tmp_path / "log", LogSettings(columns=OF_ONE))


def test_a_playlist_as_exportify_writes_it(tmp_path):
    path = write(
        tmp_path,
        "Track URI,Track Name,Album Name,Artist Name(s),Added At\n"
        "spotify:track:1,Song,Album,Band,2020-01-01T00:00:00Z\n",
    )
    log = read_log(path, LogSettings(columns=OF_ONE)).plays
    assert (log.tracks.track_id, log.tracks.title) == (["spotify:track:1"], ["Song"])
    assert log.tracks.artist == ["Band"]


def test_a_spreadsheet_is_to_be_saved_as_csv(tmp_path):
    with zipfile.ZipFile(tmp_path / "log.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(AudiorecError, match=r"xlsx is an office document: save its table as CSV"):
        read_log(tmp_path / "log.xlsx", LogSettings())


def test_a_format_that_it_is_not_is_told(tmp_path):
    path = write(tmp_path, "user,track\na,x\n")
    with pytest.raises(AudiorecError, match=r"as Parquet table \(.*leave out --format"):
        read_log(path, LogSettings(format="parquet"))
    for name in ("spotify-extended", "listenbrainz"):
        with pytest.raises(AudiorecError, match="or leave out --format"):
            read_log(path, LogSettings(format=name, columns=OF_ONE))


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_and_a_zip_hold_what_else_they_like(tmp_path, packed):
    members = {
        "MyData/Streaming_History_Audio_2023_1.json": json.dumps(EXTENDED[:2]),
        "MyData/Streaming_History_Audio_2024_2.json": json.dumps(EXTENDED[2:]),
        "MyData/Userdata.json": json.dumps({"email": "a@b.org"}),
        "MyData/ReadMeFirst.pdf": "%PDF-1.4 \0",
        "../../outside.json": json.dumps(EXTENDED[:1]),
    }
    folder = tmp_path / "deep" / "er"
    if packed:
        path = tmp_path / "my_spotify_data.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        path = tmp_path / "deep"
        for name, content in members.items():
            target = (folder / name).resolve()
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        write(tmp_path / "deep", json.dumps(EXTENDED[:1]), "in.json")
    reading = read_log(path, LogSettings(columns=OF_ONE))
    assert reading.n_files == 3
    assert of_tracks(reading) == {"Band - Song": 3, "Duo - Tune": 1}
    assert reading.rows_left_out == 2


def test_logs_of_several_kinds_are_not_mixed(tmp_path):
    write(tmp_path, OF_ONE_PERSON["spotify-extended"], "a.json")
    write(tmp_path, OF_ONE_PERSON["spotify-account"], "b.json")
    kinds = "--format spotify-account or --format spotify-extended"
    with pytest.raises(AudiorecError, match=f"holds logs of several kinds: pick one with {kinds}"):
        read_log(tmp_path, LogSettings(columns=OF_ONE))
    settings = LogSettings(columns=OF_ONE, format="spotify-account")
    assert of_tracks(read_log(tmp_path, settings)) == {"Band - Song": 2, "Duo - Tune": 1}
    with pytest.raises(AudiorecError, match="holds no Maloja export: name another"):
        read_log(tmp_path, LogSettings(format="maloja"))


def test_only_what_is_needed_of_a_record_is_read(tmp_path):
    """A record's address is none of ours: no reading depends on what it is."""
    records = [{**record, "ip_addr": {"of": ["no", 1, "use"]}} for record in EXTENDED]
    reading = read_log(write(tmp_path, json.dumps(records)), LogSettings(columns=OF_ONE))
    assert of_tracks(reading) == {"Band - Song": 2, "Duo - Tune": 1}


def test_a_document_that_is_cut_off_is_one_line(tmp_path):
    path = write(tmp_path, OF_ONE_PERSON["spotify-extended"][:-20])
    with pytest.raises(AudiorecError, match=r"any name is not readable as JSON: .*export it again"):
        read_log(path, LogSettings(columns=OF_ONE))


def test_a_folder_of_tables_with_and_without_plays(tmp_path):
    write(tmp_path, "user,track_id,plays\na,x,3\n", "1.csv")
    write(tmp_path, "user,track_id,time\na,x,5\nb,y,6\n", "2.csv")
    reading = read_log(tmp_path, LogSettings())
    assert plays_of(reading) == {("a", "x"): 4, ("b", "y"): 1}


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_is_one_line(tmp_path, how):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr("log.json", OF_ONE_PERSON["spotify-extended"])
    damaged = bytearray(path.read_bytes())
    damaged[60:120] = b"x" * 60
    path.write_bytes(damaged)
    with pytest.raises(AudiorecError, match=r"a\.zip cannot be unpacked"):
        read_log(path, LogSettings(columns=OF_ONE))


def test_a_zip_of_hardly_anything_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        record = json.dumps(EXTENDED[0])
        archive.writestr("log.json", f"[{record}," + " " * 2**26 + f"{record}]")
    with pytest.raises(AudiorecError, match=r"64 MiB of hardly anything in log\.json: unpack"):
        read_log(path, LogSettings(columns=OF_ONE))


def test_a_zip_that_is_none_is_one_line(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and nothing that follows")
    with pytest.raises(AudiorecError, match=r"a\.zip cannot be unpacked: .*name the folder"):
        read_log(tmp_path / "a.zip", LogSettings())


def test_broken_lines_and_entries_are_told_by_number(tmp_path):
    good = [listen(f"t{i}", "Band") for i in range(400)]
    lines = [*good, "{ no json", "", listen("", "Band"), listen("t", "")]
    reading = read_log(write(tmp_path, "\n".join(lines)), LogSettings())
    assert reading.broken_rows == 3
    assert reading.broken_shown == [
        "line 401: no track",
        "line 403: no track",
        "line 404: no track",
    ]
    lines = ["{ cut off", *good]
    reading = read_log(write(tmp_path, "\n".join(lines)), LogSettings())
    assert reading.broken_shown == ["line 1: no track"]
    entries = [extended(f"t{i}", "Band") for i in range(200)] + [extended("t", None)]
    reading = read_log(write(tmp_path, json.dumps(entries)), LogSettings(columns=OF_ONE))
    assert reading.broken_shown == ["entry 201: no track"]


def test_line_numbers_count_the_lines_of_quoted_fields(tmp_path):
    rows = "".join(f'u,"title\nof {i}",1\n' for i in range(200))
    text = f"about this file\nuser,title,plays\n{rows}\nu,,1\n"
    reading = read_log(write(tmp_path, text), LogSettings())
    assert reading.broken_shown == ["line 404: no track"]
    assert text.splitlines()[403] == "u,,1"


def test_a_row_without_a_time_is_broken_only_when_it_matters(tmp_path):
    good = "".join(f"u{i},t,{NOON}\n" for i in range(200))
    path = write(tmp_path, f"user,track_id,timestamp\n{good}u,t,never\n")
    assert read_log(path, LogSettings()).broken_rows == 0
    assert read_log(path, LogSettings(since=0)).broken_shown == ["line 202: no time"]


def test_times_that_are_none_are_one_line(tmp_path):
    path = write(tmp_path, "user,track_id,timestamp\nu,t,yesterday\n")
    with pytest.raises(
        AudiorecError, match=r"has no times .* such as 'yesterday'.*--timestamp-col"
    ):
        read_log(path, LogSettings(since=0))
    path = write(tmp_path, "user,track_id\nu,t\n")
    with pytest.raises(AudiorecError, match=r"does not say when tracks were played"):
        read_log(path, LogSettings(half_life_days=3))


@pytest.mark.parametrize(
    "written",
    [
        "1700000000",
        "1700000000000",
        "1700000000000000",
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20.000Z",
        "2023-11-14T23:13:20+01:00",
        "2023-11-14 22:13:20",
    ],
)
def test_times_in_many_notations(tmp_path, written):
    path = write(tmp_path, f"user,track_id,timestamp\nu,t,{written}\n")
    assert len(read_log(path, LogSettings(since=NOON, until=NOON + 1)).plays.tracks) == 1
    for outside in (LogSettings(since=NOON + 1), LogSettings(until=NOON)):
        with pytest.raises(AudiorecError, match="no play between"):
            read_log(path, outside)


@pytest.mark.parametrize("written", ["nan", "inf", "-5", "1e300"])
def test_numbers_that_are_no_times_are_broken(tmp_path, written):
    good = "".join(f"u{i},t,{NOON}\n" for i in range(200))
    path = write(tmp_path, f"user,track_id,timestamp\n{good}u,t,{written}\n")
    settings = LogSettings(half_life_days=1, by_session=True)
    assert read_log(path, settings).broken_shown == ["line 202: no time"]


def test_half_life(tmp_path):
    day = 86_400
    rows = [("a", "old", NOON - 20 * day), ("a", "old", NOON - 10 * day), ("a", "new", NOON)]
    path = write(
        tmp_path, "user,track_id,time\n" + "".join(f"{u},{t},{when}\n" for u, t, when in rows)
    )
    reading = read_log(path, LogSettings(half_life_days=10))
    assert plays_of(reading) == {("a", "old"): 0.75, ("a", "new"): 1}
    # what is left of a play after two hundred half-lives, or ten thousand, is nothing
    for days in (0.05, 0.001):
        reading = read_log(path, LogSettings(half_life_days=days))
        assert plays_of(reading) == {("a", "new"): 1}
        assert reading.plays.plays.dtype == np.float32


def test_tracks_with_few_plays_or_listeners_are_left_out(tmp_path):
    path = write(tmp_path, "user,track_id,plays\na,x,5\nb,x,1\na,y,9\nc,z,1\n")
    reading = read_log(path, LogSettings(min_listeners=2))
    assert plays_of(reading) == {("a", "x"): 5, ("b", "x"): 1}
    assert reading.tracks_left_out == 2
    reading = read_log(path, LogSettings(min_plays=6))
    assert plays_of(reading) == {("a", "x"): 5, ("a", "y"): 9, ("b", "x"): 1}
    with pytest.raises(AudiorecError, match="none of its 3 tracks has so many"):
        read_log(path, LogSettings(min_plays=100))


def test_a_session_ends_after_half_an_hour_of_silence(tmp_path):
    minutes = [0, 10, 40, 71, 72]
    rows = "".join(f"{NOON + 60 * m},t{m},Band\n" for m in reversed(minutes))
    path = write(tmp_path, "timestamp,title,artist\n" + rows)
    reading = read_log(path, LogSettings(columns=OF_ONE, by_session=True))
    sessions = {}
    for user, track in plays_of(reading):
        sessions.setdefault(user, set()).add(track.removeprefix("Band - "))
    assert list(sessions.values()) == [{"t0", "t10", "t40"}, {"t71", "t72"}]
    assert sorted(sessions) == ["listener / 2023-11-14 22:13:20", "listener / 2023-11-14 23:24:20"]


def test_sessions_of_two_people_are_apart(tmp_path):
    text = f"user,time,track_id\na,{NOON},x\nb,{NOON + 1},y\na,{NOON + 2},z\n"
    reading = read_log(write(tmp_path, text), LogSettings(by_session=True))
    assert len(reading.plays.user_id) == 2
    np.testing.assert_array_equal(np.diff(reading.plays.plays.indptr), [2, 1])


def test_columns_of_a_known_layout_cannot_be_named(tmp_path):
    path = write(tmp_path, OF_ONE_PERSON["maloja"])
    with pytest.raises(
        AudiorecError, match=r"is Maloja export, whose columns are known: leave out"
    ):
        read_log(path, LogSettings(columns=Columns(user="x")))


@pytest.mark.parametrize(
    ("name", "layout", "n_plays", "n_tracks"),
    [
        ("taste_profile", "taste-profile", 23, 8),
        ("lastfm1k", "lastfm-1k", 1200, 302),
        ("lastfm360k", "lastfm-360k", 5556, 5),
        ("lastfm_scrobbles", "table", 3597, 2274),
        ("listenbrainz/listenbrainz_listens.jsonl", "listenbrainz", 2, 2),
        ("listenbrainz/librefm.csv", "table", 3, 3),
        ("listenbrainz/maloja.json", "maloja", 2, 2),
        ("listenbrainz/panoscrobbler.jsonl", "pano-scrobbler", 2, 2),
        ("spotify_extended", "spotify-extended", 341, None),
        ("spotify_account", "spotify-account", 480, 460),
        ("mpd", "mpd", 720, 703),
    ],
)
def test_real_samples(name, layout, n_plays, n_tracks):
    if not SAMPLES.exists():
        pytest.skip("the in-house samples of logs are not on this machine")
    reading = read_log(SAMPLES / name, LogSettings(columns=OF_ONE))
    assert reading.layout == LOG_FORMATS[layout]
    assert reading.broken_rows == 0
    assert reading.plays.plays.sum() == n_plays
    assert n_tracks in (None, len(reading.plays.tracks))


def test_the_other_real_samples_are_one_line_each():
    if not SAMPLES.exists():
        pytest.skip("the in-house samples of logs are not on this machine")
    refused = set()
    for path in sorted(SAMPLES.rglob("*.*")):
        try:
            read_log(path, LogSettings(columns=OF_ONE))
        except AudiorecError as error:
            refused.add(path.name)
            assert path.name in str(error)
            assert "\n" not in str(error)
    assert {"userid-profile.tsv", "maloja_malformed.json", "librefm_no_header.csv"} <= refused
    assert len(refused) <= 16, "samples that were read are refused"
