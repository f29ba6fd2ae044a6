"""Walking a folder, naming its tracks, reading their tags."""

import os

import mutagen
import pytest

from audiorec_cli.audio.library import name_tracks, read_manifest, read_tags, walk
from audiorec_cli.errors import AudiorecError


def test_walk_finds_every_file_at_any_depth(tmp_path):
    for path in ("b.MP3", "a/x.flac", "a/deep/er/y.txt", ".hidden"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert walk(tmp_path) == [".hidden", "a/deep/er/y.txt", "a/x.flac", "b.MP3"]


def test_walk_follows_links_but_not_in_circles(tmp_path):
    (tmp_path / "music/album").mkdir(parents=True)
    (tmp_path / "music/album/a.mp3").touch()
    (tmp_path / "library").mkdir()
    os.symlink(tmp_path / "music", tmp_path / "library/linked")
    os.symlink(tmp_path / "library", tmp_path / "music/album/back")
    assert walk(tmp_path / "library") == ["linked/album/a.mp3"]


def test_a_folder_that_cannot_be_read_is_not_passed_over_in_silence(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.mp3").touch()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert walk(tmp_path) == ["a.mp3", "locked"]


def test_track_id_is_the_path_without_suffix():
    assert name_tracks(["a/b.mp3", "c.d.flac", "README"]) == {
        "a/b.mp3": "a/b",
        "c.d.flac": "c.d",
        "README": "README",
    }


def test_track_ids_stay_unique_and_audio_comes_first():
    assert name_tracks(["a.cue", "a.mp3", "a.flac"]) == {
        "a.flac": "a",
        "a.mp3": "a.mp3",
        "a.cue": "a.cue",
    }
    assert name_tracks(["a.mp3"], taken=["a"]) == {"a.mp3": "a.mp3"}


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3", "wav"])
def test_tags_are_read(tmp_path, write_tone, suffix):
    path = write_tone(tmp_path / f"a.{suffix}", seconds=1)
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if suffix in ("mp3", "wav"):
        from mutagen.id3 import TALB, TCON, TIT2, TPE1, TSRC, UFID

        for frame in (
            TIT2(text="Song"), TPE1(text="Artist"), TALB(text="Album"), TCON(text="(17)"),
            TSRC(text="US1"), UFID(owner="http://musicbrainz.org", data=b"abc-1"),
        ):  # fmt: skip
            file.tags.add(frame)
    else:
        file.update(
            title="Song",
            artist="Artist",
            album="Album",
            isrc="US1",
            musicbrainz_trackid="abc-1",
            genre="Rock",
        )
    file.save()
    assert read_tags(path) == {
        "title": "Song", "artist": "Artist", "album": "Album", "isrc": "US1", "mbid": "abc-1",
        "genre": "Rock",
    }  # fmt: skip


def test_an_untagged_file_is_called_by_its_name(tmp_path, write_tone):
    path = write_tone(tmp_path / "My Song.wav", seconds=1)
    assert read_tags(path) == {
        "title": "My Song", "artist": "", "album": "", "isrc": "", "mbid": "", "genre": ""
    }  # fmt: skip


def test_a_manifest_names_tracks(tmp_path):
    (tmp_path / "m.csv").write_text("path,track_id,title,label\na.mp3,T1,,x\nb.mp3,T2,Two,y\n")
    assert read_manifest(tmp_path / "m.csv") == {
        "a.mp3": {"track_id": "T1"},
        "b.mp3": {"track_id": "T2", "title": "Two"},
    }
    (tmp_path / "m.csv").write_text("file,track_id\na.mp3,T1\n")
    with pytest.raises(AudiorecError, match=r"no column 'path'"):
        read_manifest(tmp_path / "m.csv")
