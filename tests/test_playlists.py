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
from audiorec_cli.output.playlist_reading import MAX_BYTES, Named, read_playlist
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


def read(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return paths_of(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_are_read_back(tmp_path, suffix):
    written(tmp_path, suffix, entry("/a/b.mp3", "Ä, B", "T (live)"), entry("/c.mp3", "", "T"))
    together = not suffix.endswith("spf")
    assert read_playlist(tmp_path / f"list{suffix}") == [
        Named("/a/b.mp3", *(("", "Ä, B - T (live)") if together else ("Ä, B", "T (live)"))),
        Named("/c.mp3", "", "T"),
    ]


def test_names_without_a_file(tmp_path):
    """As ListenBrainz exports them, whose locations are addresses or none at all."""
    mbid = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"
    recording = f"https://musicbrainz.org/recording/{mbid}"
    tracks = [
        {"title": "Song", "creator": "Ann", "identifier": [recording]},
        {"title": "Tune", "location": "https://example.org/a"},
        {"identifier": [recording, {"isrc": 1}], "creator": [None, {}], "title": None},
        {"title": 1999, "creator": ["Ann", "Bob"], "location": "/a\nb.mp3"},
    ]
    (tmp_path / "a.jspf").write_text(json.dumps({"playlist": {"track": tracks}}))
    named = [Named(None, "Ann", "Song", mbid), Named(None, "", "Tune"), Named(None, mbid=mbid)]
    *others, last = read_playlist(tmp_path / "a.jspf")
    assert others == named
    assert last[1:] == ("Ann, Bob", "1999", "")
    (tmp_path / "a.xspf").write_text(
        '<playlist version="1" xmlns="http://xspf.org/ns/0/"><title>list</title><trackList>'
        f"<track><creator>Ann</creator><title>So<!-- -->ng</title><identifier>{recording}"
        "</identifier></track><track><location>https://example.org/a</location>"
        f"<title> Tune\n</title></track><track><identifier>{recording}</identifier></track>"
        "</trackList></playlist>"
    )
    assert read_playlist(tmp_path / "a.xspf") == named


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("#EXTINF:123,Ann - Song, too", "Ann - Song, too"),
        ('#EXTINF:-1 tvg-id="a,b" group="c",Ann - Song', "Ann - Song"),
        ("#extinf:0,  ", ""),
        ("#EXTINF:12", ""),
        ('#EXTINF:9,12" Single, New', '12" Single, New'),
        ('#EXTINF:-1 tvg-id="a,b,Ann', "b,Ann"),
        ("#EXTM3U,no", "before"),
    ],
)
def test_names_in_m3u(tmp_path, line, title):
    (tmp_path / "a.m3u").write_text(f"#EXTINF:1,before\n{line}\n#EXTGRP:x\na.mp3\nb.mp3\n")
    first, second = read_playlist(tmp_path / "a.m3u")
    assert (first.title, second.title) == (title, "")


def test_m3u_of_other_programs(tmp_path):
    text = (
        "\ufeff#EXTM3U\r\n#EXTINF:1,x\r\n\r\nMusic\\é.mp3\r\n  ./b.mp3\t\r\n/abs/c.mp3\r\n"
        "http://radio/x.mp3\r\nfile:///d%20e.mp3\r\nfile://localhost/f.mp3\r\nfile://nas/g.mp3\r\n"
    )
    paths = [
        f"{tmp_path}/Music/é.mp3", f"{tmp_path}/b.mp3", "/abs/c.mp3", None, "/d e.mp3", "/f.mp3",
        None,
    ]  # fmt: skip
    assert read(tmp_path, "a.m3u8", text) == paths
    assert read(tmp_path, "a.M3U", text) == paths
    assert read(tmp_path, "b.m3u", "é.mp3\n".encode("latin-1")) == [f"{tmp_path}/é.mp3"]
    assert read(tmp_path, "b.m3u8", b"caf\xe9.mp3") == [f"{tmp_path}/{NOT_UTF8}"]
    assert read(tmp_path, "empty.m3u8", "") == []


def test_xspf_of_other_programs(tmp_path):
    text = """<?xml version="1.0" encoding="ISO-8859-1"?>
        <x:playlist version="1" xmlns:x="http://xspf.org/ns/0/" xml:base="file:///base/list.xspf">
        <x:location>file:///list.xspf</x:location><x:trackList>
        <x:track><x:location> a%20é&amp;.mp3 </x:location></x:track>
        <x:track><x:location>http://radio/x.mp3</x:location></x:track>
        <x:track><x:title>nowhere</x:title><x:location/></x:track>
        <x:track><x:location>urn:x:y</x:location><x:location>file:/b.mp3#t=3</x:location></x:track>
        </x:trackList></x:playlist>"""
    assert read(tmp_path, "a.xspf", text.encode("latin-1")) == [
        "/base/a é&.mp3",
        None,
        None,
        "/b.mp3",
    ]


def test_jspf_of_other_programs(tmp_path):
    tracks = [
        {"location": "a%20b.mp3"},
        {"location": ["https://radio/x.mp3", "file:///c.mp3"]},
        {"identifier": "https://musicbrainz.org/recording/x"},
        {"location": None},
    ]
    text = json.dumps({"playlist": {"track": tracks}})
    assert read(tmp_path, "a.jspf", text) == [f"{tmp_path}/a b.mp3", "/c.mp3", None, None]
    assert read(tmp_path, "b.jspf", '{"playlist": {}}') == []


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
STEALING = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
XSPF = "<playlist><trackList><track><location>&a;</location></track></trackList></playlist>"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.xspf", "", "no element found"),
        ("a.xspf", "<playlist><trackList>", "no element found"),
        ("a.xspf", "<html></html>", "a html, not an XSPF playlist"),
        ("a.xspf", BOMB + XSPF, "it declares a document type"),
        ("a.xspf", (STEALING + XSPF).encode("utf-16"), "it declares a document type"),
        ("a.xspf", XSPF, "undefined entity"),
        ("a.xspf", "<playlist>" * 100_000, "its elements are nested too deep"),
        ("a.xspf", '<?xml version="1.0" encoding="hex"?>' + XSPF, "its encoding"),
        ("a.xspf", XSPF.replace("&a;", "%00"), "a name holds a zero byte"),
        ("a.xspf", XSPF.replace("&a;", "file://[x/"), "Invalid IPv6"),
        ("a.jspf", "", "Expecting value"),
        ("a.jspf", "[" * 100_000, "recursion"),
        ("a.jspf", "[]", "it has no playlist with tracks"),
        ("a.jspf", '{"playlist": {"track": [1]}}', "it has no playlist with tracks"),
        ("a.jspf", '{"playlist": {"track": [{"location": [1]}]}}', "a location is not text"),
        ("a.jspf", '{"playlist": {"track": [{"location": "\\ud800"}]}}', "surrogates"),
        ("a.m3u8", "#EXTM3U\n".encode("utf-16"), "it is not text in UTF-8"),
    ],
)
def test_a_broken_playlist_is_one_line(tmp_path, name, content, reason):
    with pytest.raises(AudiorecError, match=reason) as broken:
        read(tmp_path, name, content)
    message = str(broken.value)
    assert message.startswith(f"{tmp_path / name} is broken (")
    assert message.endswith("): export the playlist again")
    assert "\n" not in message


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(SUFFIXES))
def test_any_bytes_are_a_playlist_or_one_line(data, suffix):
    with tempfile.TemporaryDirectory() as folder:
        try:
            paths = read(Path(folder), f"list{suffix}", data)
        except AudiorecError as error:
            assert "is broken" in str(error)
        else:
            assert all(os.path.isabs(path) for path in paths)


def test_what_is_no_playlist_file_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.m3u8")
    (tmp_path / "folder.m3u8").mkdir()
    with open(tmp_path / "huge.m3u8", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    for name, remedy in [
        ("pipe.m3u8", "is no regular file: name a playlist"),
        ("folder.m3u8", "Is a directory: name a playlist that can be read"),
        ("huge.m3u8", "is larger than 32 MiB: name a playlist, or split it"),
        ("none.m3u8", "No such file or directory: name a playlist that can be read"),
        (
            "a.mp3",
            "no known playlist format: name one that ends in .m3u8, .m3u",
        ),
    ]:
        with pytest.raises(AudiorecError, match=remedy) as refused:
            paths_of(tmp_path / name)
        assert str(refused.value).startswith(f"{tmp_path / name}")


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
