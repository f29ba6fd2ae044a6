"""Playlists of other programs are read, and what is broken or hostile is one line."""

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec_cli.errors import AudiorecError
from audiorec_cli.output.playlist_reading import MAX_BYTES, Named, read_playlist
from audiorec_cli.output.playlists import SUFFIXES


def read(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [named.path for named in read_playlist(path)]


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
    assert read(tmp_path, "b.m3u8", b"caf\xe9.mp3") == [
        os.fsdecode(bytes(tmp_path) + b"/caf\xe9.mp3")
    ]
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
            read_playlist(tmp_path / name)
        assert str(refused.value).startswith(f"{tmp_path / name}")
