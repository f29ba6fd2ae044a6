"""Playlists that are written, read back, and opened by other programs."""

import json
import math
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import xspf_lib
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec_cli.errors import AudiorecError
from audiorec_cli.output.playlist_reading import Named, read_playlist
from audiorec_cli.output.playlists import SUFFIXES, Entry, require_playlist, write_playlist

NOT_UTF8 = os.fsdecode(b"caf\xe9.mp3")
ODD_NAMES = [
    "a b.mp3", "ünï.mp3", "#1.mp3", " lead.mp3", "trail.mp3 ", "what?.mp3", "50%.mp3", "%41.mp3",
    "a:b.mp3", "http:.mp3", "a\\b.mp3", "new\nline.mp3", "car\rriage.mp3", "\x1b[2J.mp3",
    "a&b<c>.mp3", 'q"q.mp3', "-dash.mp3", "~.mp3", "\u2028.mp3", "夜\u3000.mp3", NOT_UTF8,
]  # fmt: skip


def entry(path="/music/a.mp3", artist="A", title="T", duration_s=61.6, **others):
    return Entry(str(path), artist, title, duration_s, **others)


def written(folder, suffix, *entries, **options):
    """The text of a playlist of the entries; it lies in the folder as list.<suffix>."""
    write_playlist(entries, folder / f"list{suffix}", **options)
    return (folder / f"list{suffix}").read_text("utf-8")


def paths_of(playlist):
    return [named.path for named in read_playlist(playlist)]


def located(text, suffix):
    """The locations in a playlist's text, as they are written."""
    if suffix == ".jspf":
        return [track["location"][0] for track in json.loads(text)["playlist"]["track"]]
    if suffix == ".xspf":
        return [
            e.text for e in ElementTree.fromstring(text).iter("{http://xspf.org/ns/0/}location")
        ]
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_m3u8_says_who_plays_what_how_long_and_from_where(tmp_path):
    entries = [entry("/a/b.mp3", "A", "B", start_s=12.34), entry("/a/c.mp3", "", "C", math.nan)]
    assert written(tmp_path, ".m3u8", *entries, title="a\nb") == (
        "#EXTM3U\n#EXTENC:UTF-8\n#PLAYLIST:a b\n"
        "#EXTINF:62,A - B\n#EXTVLCOPT:start-time=12.3\n/a/b.mp3\n"
        "#EXTINF:-1,C\n/a/c.mp3\n"
    )


def test_xspf_says_the_same(tmp_path):
    entries = [entry("/a/b.mp3", "A", "B", album="L", start_s=12.34), entry("/a/c.mp3", "", "", 0)]
    text = written(tmp_path, ".xspf", *entries, title="a\nb")
    assert (
        text
        == """\
<?xml version="1.0" encoding="UTF-8"?>
<playlist version="1" xmlns="http://xspf.org/ns/0/" \
xmlns:vlc="http://www.videolan.org/vlc/playlist/ns/0/">
  <title>a b</title>
  <trackList>
    <track>
      <location>file:///a/b.mp3</location>
      <title>B</title>
      <creator>A</creator>
      <album>L</album>
      <duration>61600</duration>
      <extension application="http://www.videolan.org/vlc/playlist/0">
        <vlc:option>start-time=12.3</vlc:option>
      </extension>
    </track>
    <track>
      <location>file:///a/c.mp3</location>
    </track>
  </trackList>
</playlist>
"""
    )


def test_jspf_says_the_same(tmp_path):
    entries = [entry("/a/b.mp3", "A", "B", album="L", start_s=12.34), entry("/a/c.mp3", "", "", 0)]
    assert json.loads(written(tmp_path, ".jspf", *entries, title="a\nb")) == {
        "playlist": {
            "title": "a b",
            "track": [
                {
                    "location": ["file:///a/b.mp3"],
                    "title": "B",
                    "creator": "A",
                    "album": "L",
                    "duration": 61600,
                    "extension": {
                        "http://www.videolan.org/vlc/playlist/0": [{"option": "start-time=12.3"}]
                    },
                },
                {"location": ["file:///a/c.mp3"]},
            ],
        }
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_start_that_is_no_number_is_left_out(tmp_path, suffix):
    assert "start-time" not in written(tmp_path, suffix, entry(start_s=math.nan))


def test_the_suffix_tells_the_format_in_any_case(tmp_path):
    for suffix in SUFFIXES:
        assert written(tmp_path, suffix.upper(), entry()) == written(tmp_path, suffix, entry())
        assert paths_of(tmp_path / f"list{suffix.upper()}") == ["/music/a.mp3"]


def test_m3u8_goes_to_stdout(tmp_path, capfd):
    write_playlist([entry()], "-", title="t")
    assert capfd.readouterr().out == written(tmp_path, ".m3u8", entry(), title="t")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_playlist_appears_whole_or_not_at_all(tmp_path, suffix, monkeypatch):
    before = written(tmp_path, suffix, entry())
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(AudiorecError, match="cannot be written: full: name another file"):
        written(tmp_path, suffix, entry(), entry())
    assert [path.name for path in tmp_path.iterdir()] == [f"list{suffix}"]
    assert (tmp_path / f"list{suffix}").read_text() == before


@pytest.mark.parametrize("refuse", [require_playlist, lambda out: write_playlist([], out)])
def test_a_format_that_is_not_known_is_one_line(refuse):
    with pytest.raises(AudiorecError) as refused:
        refuse("list.doc")
    assert str(refused.value) == (
        "list.doc: no known playlist format: end its name in .m3u8, .m3u, .xspf, .jspf or .mpv.m3u8"
    )


HOSTILE = "evil\x1b[2J\n#EXTVLCOPT:sout=x\r\u2028<\x00\ufffe]]>&\ud800"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tags_break_out_of_no_line(tmp_path, suffix):
    hostile = entry("/music/a.mp3", HOSTILE, HOSTILE, album=HOSTILE)
    text = written(tmp_path, suffix, hostile, entry("/music/b.mp3"), title=HOSTILE)
    assert not set(text) & set("\x1b\r\u2028\x00\ufffe")
    assert not any(line.lstrip().startswith("#EXTVLCOPT") for line in text.splitlines())
    assert paths_of(tmp_path / f"list{suffix}") == ["/music/a.mp3", "/music/b.mp3"]


def test_paths_that_players_would_take_for_something_else_are_file_uris(tmp_path):
    paths = ["/m/a b.mp3", "/m/#1.mp3", "/m/%41.mp3", "/m/100%.mp3", "/m/trail ", f"/m/{NOT_UTF8}"]
    text = written(tmp_path, ".m3u8", *map(entry, paths))
    assert located(text, ".m3u8") == [
        "/m/a b.mp3", "file:///m/%231.mp3", "file:///m/%2541.mp3", "/m/100%.mp3",
        "file:///m/trail%20", "file:///m/caf%E9.mp3",
    ]  # fmt: skip


def test_relative_paths_of_m3u8_are_names_and_those_of_xspf_are_uri_references(tmp_path):
    paths = ["/m/x/é #.mp3", "/m/x/a:b.mp3", "/m/y.mp3", "/m/x/#z.mp3", "/m/x/new\nline.mp3"]
    text = written(tmp_path, ".m3u8", *map(entry, paths), relative_to="/m/x")
    names = ["é #.mp3", "./a:b.mp3", "../y.mp3", "./#z.mp3", "file:///m/x/new%0Aline.mp3"]
    assert text.splitlines()[3::2] == names
    for suffix in (".xspf", ".jspf"):
        text = written(tmp_path, suffix, *map(entry, paths), relative_to="/m/x")
        references = [
            "%C3%A9%20%23.mp3", "./a%3Ab.mp3", "../y.mp3", "%23z.mp3", "new%0Aline.mp3",
        ]  # fmt: skip
        assert located(text, suffix) == references


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_relative_playlist_moves_with_its_folder(tmp_path, suffix):
    before = tmp_path / "before"
    (before / "lists").mkdir(parents=True)
    paths = [before / "music/a b.mp3", before / "lists/c.mp3"]
    written(before / "lists", suffix, *map(entry, paths), relative_to=before / "lists")
    before.rename(tmp_path / "after")
    assert paths_of(tmp_path / f"after/lists/list{suffix}") == [
        str(tmp_path / "after/music/a b.mp3"), str(tmp_path / "after/lists/c.mp3"),
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_relative_paths_lead_out_of_a_linked_folder(tmp_path, suffix):
    (tmp_path / "far/away/lists").mkdir(parents=True)
    (tmp_path / "lists").symlink_to(tmp_path / "far/away/lists")
    (tmp_path / "a.mp3").touch()
    folder = tmp_path / "lists"
    text = written(folder, suffix, entry(tmp_path / "a.mp3"), relative_to=folder)
    assert located(text, suffix) == ["../../../a.mp3"]
    assert (folder / "../../../a.mp3").exists()
    assert paths_of(folder / f"list{suffix}") == [str(tmp_path / "a.mp3")]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("is_relative", [False, True])
def test_odd_names_are_read_back(tmp_path, suffix, is_relative):
    paths = [str(tmp_path / "sub" / name) for name in ODD_NAMES]
    paths += [str(tmp_path / name / "x.mp3") for name in ODD_NAMES]
    relative_to = tmp_path if is_relative else None
    written(tmp_path, suffix, *map(entry, paths), relative_to=relative_to)
    assert paths_of(tmp_path / f"list{suffix}") == paths


odd_characters = "#%?:/\\ .~-&<é\n\r\u2028\ufeffa4"
names = (
    (st.binary(max_size=12) | st.text(odd_characters).map(os.fsencode))
    .map(lambda name: os.fsdecode(name.replace(b"/", b"").replace(b"\0", b"")))
    .filter(lambda name: name not in ("", ".", ".."))
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(names, min_size=1, max_size=3), max_size=4),
    st.sampled_from(SUFFIXES),
    st.booleans(),
    st.text(),
)
def test_any_names_are_read_back(parts, suffix, is_relative, title):
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        paths = [os.path.join(folder, *names) for names in parts]
        entries = [entry(path, title, title) for path in paths]
        relative_to = folder if is_relative else None
        written(Path(folder), suffix, *entries, title=title, relative_to=relative_to)
        assert paths_of(f"{folder}/list{suffix}") == paths


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_are_read_back(tmp_path, suffix):
    written(tmp_path, suffix, entry("/a/b.mp3", "Ä, B", "T (live)"), entry("/c.mp3", "", "T"))
    together = not suffix.endswith("spf")
    assert read_playlist(tmp_path / f"list{suffix}") == [
        Named("/a/b.mp3", *(("", "Ä, B - T (live)") if together else ("Ä, B", "T (live)"))),
        Named("/c.mp3", "", "T"),
    ]


def test_another_reader_of_xspf_understands_ours(tmp_path):
    paths = ["/m/a b&.mp3", "/m/#1?.mp3", "/m/é:%41.mp3"]
    hostile = entry(paths[2], HOSTILE, "<T> & more", album="L", start_s=3)
    written(tmp_path, ".xspf", entry(paths[0]), entry(paths[1]), hostile, title="a\nb")
    playlist = xspf_lib.Playlist.parse(str(tmp_path / "list.xspf"))
    assert playlist.title == "a b"
    # it hands out locations without their escapes
    assert [track.location for track in playlist.trackList] == [[f"file://{p}"] for p in paths]
    track = playlist.trackList[2]
    assert (track.title, track.album, track.duration) == ("<T> & more", "L", 61_600)
    (extension,) = track.extension
    assert extension.application == "http://www.videolan.org/vlc/playlist/0"
    assert [option.text for option in extension.content] == ["start-time=3.0"]


def durations_in_mpv(playlist):
    """How long the tracks of a playlist last [s], as mpv plays them one after the other."""
    quick = [
        "--no-config", "--vo=null", "--ao=null", "--ao-null-untimed", "--load-scripts=no",
        "--ytdl=no",
    ]  # fmt: skip
    command = ["mpv", *quick, "--term-playing-msg=lasts ${=duration}", playlist]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("lasts ")]
    return [float(seconds) for _, seconds in lines]


@pytest.mark.skipif(shutil.which("mpv") is None, reason="mpv is not on this machine")
@pytest.mark.parametrize("is_relative", [False, True])
def test_mpv_plays_every_track_in_order(tmp_path, is_relative):
    folder = tmp_path / "sub"
    folder.mkdir()
    paths, lengths = [folder / name for name in ODD_NAMES], range(80, 80 + len(ODD_NAMES))
    for path, n in zip(paths, lengths, strict=True):
        with open(path, "wb") as file:
            soundfile.write(file, np.zeros(n * 8, np.int16), 8000, format="WAV")
    entries = [entry(path, start_s=0.01) for path in paths]
    text = written(tmp_path, ".m3u8", *entries, relative_to=tmp_path if is_relative else None)
    assert is_relative == ("sub/a b.mp3" in text.splitlines())
    played = durations_in_mpv(tmp_path / "list.m3u8")
    assert [round(seconds * 1000) for seconds in played] == list(lengths)


@pytest.mark.skipif(shutil.which("mpv") is None, reason="mpv is not on this machine")
def test_mpv_starts_its_own_playlists_where_they_say(tmp_path):
    paths = [tmp_path / name for name in ("plain.wav", "a, b;= %25 #é.wav", "at its beginning.wav")]
    for path in paths:
        with open(path, "wb") as file:
            soundfile.write(file, np.zeros(8000, np.int16), 8000, format="WAV")
    entries = [
        entry(path, start_s=start_s) for path, start_s in zip(paths, (0.6, 0.8, None), strict=True)
    ]
    written(tmp_path, ".mpv.m3u8", *entries)
    assert paths_of(tmp_path / "list.mpv.m3u8") == [str(path) for path in paths]
    played = durations_in_mpv(tmp_path / "list.mpv.m3u8")
    assert played == pytest.approx([0.4, 0.2, 1.0], abs=0.01)
