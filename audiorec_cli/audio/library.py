"""An audio folder: which files it holds, what they are called, what their tags say."""

import contextlib
import csv
import itertools
import os
from pathlib import Path, PurePosixPath

import mutagen
from mutagen.easyid3 import EasyID3
from mutagen.id3 import ID3NoHeaderError

from audiorec_cli.errors import AudiorecError

TAGS = ("title", "artist", "album", "isrc", "mbid", "genre")

# A tag's names: easy tags and Vorbis comments, then ID3 frames, MP4 atoms, ASF attributes.
TAG_NAMES = {
    "title": ("title", "TIT2", "\xa9nam", "Title"),
    "artist": ("artist", "TPE1", "\xa9ART", "Author"),
    "album": ("album", "TALB", "\xa9alb", "WM/AlbumTitle"),
    "isrc": ("isrc", "TSRC", "----:com.apple.iTunes:ISRC", "WM/ISRC"),
    "mbid": (
        "musicbrainz_trackid",
        "UFID:http://musicbrainz.org",
        "----:com.apple.iTunes:MusicBrainz Track Id",
        "MusicBrainz/Track Id",
    ),
    "genre": ("genre", "TCON", "\xa9gen", "WM/Genre"),
}
# Only an order of preference when several files share a name: what is audio, decoding decides.
AUDIO_SUFFIXES = frozenset(
    {".aac", ".aif", ".aiff", ".alac", ".ape", ".flac", ".m4a", ".mka", ".mp3", ".mp4", ".mpc"}
    | {".oga", ".ogg", ".opus", ".wav", ".wma", ".wv"}
)


def walk(folder):
    """Every file below `folder`, as sorted paths relative to it with "/" between names.

    Links are followed; a folder that was already visited, through a circle of links, is not
    entered again. A folder that cannot be read stands in the list like a file. What is in a file
    is not looked at.
    """
    found, visited = [], set()

    def add_unreadable(error):
        found.append(os.path.relpath(error.filename, folder))

    for parent, folders, names in os.walk(folder, followlinks=True, onerror=add_unreadable):
        state = os.stat(parent)
        if (state.st_dev, state.st_ino) in visited:
            folders.clear()
            continue
        visited.add((state.st_dev, state.st_ino))
        folders.sort()
        relative = os.path.relpath(parent, folder)
        found += [os.path.normpath(os.path.join(relative, name)) for name in names]
    return sorted(path.replace(os.sep, "/") for path in found)


def name_tracks(paths, taken=()):
    """A unique track_id for each of `paths`: the path without its suffix.

    Where that is taken, by an entry of `taken` or by a file whose suffix is more likely audio's,
    the suffix stays, and where even that is taken a number follows. Returns {path: track_id}.
    """
    track_ids, taken = {}, set(taken)
    for path in sorted(paths, key=lambda p: (not is_named_audio(p), p)):
        stem = str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).suffix else path
        numbered = (f"{path} ({number})" for number in itertools.count(2))
        candidates = itertools.chain((stem, path), numbered)
        track_ids[path] = next(candidate for candidate in candidates if candidate not in taken)
        taken.add(track_ids[path])
    return track_ids


def is_named_audio(path):
    """Whether the suffix, in any case, is one that audio files have."""
    return PurePosixPath(path).suffix.lower() in AUDIO_SUFFIXES


def read_tags(path):
    """Title, artist, album, genre, ISRC and MusicBrainz recording id of an audio file, or "".

    Returns {tag: text}. The title of an untagged file is its name without the suffix.
    """
    tags = dict.fromkeys(TAGS, "")
    # a file whose tags cannot be read is no reason to leave a track out
    with contextlib.suppress(mutagen.MutagenError, OSError, ValueError, KeyError, IndexError):
        found = _tags_of(path)
        for tag, names in TAG_NAMES.items():
            tags[tag] = next(filter(None, (_tag_text(found, name) for name in names)), "")
    tags["title"] = tags["title"] or Path(path).stem
    return tags


def _tags_of(path):
    """The tags of a file as mutagen reads them. Raises what it does of a file that it cannot."""
    if Path(path).suffix.lower() == ".mp3":
        # to ask every format whether it is its own takes longer than to read the tags
        with open(path, "rb") as file:
            start = file.read(3)
            if start == b"ID3" or start[:1] == b"\xff":
                file.seek(0)
                with contextlib.suppress(ID3NoHeaderError):
                    return EasyID3(file)
                return {}
    found = mutagen.File(path, easy=True)
    return {} if found is None or found.tags is None else found.tags


def _tag_text(tags, name):
    try:
        value = tags[name]
    except (KeyError, ValueError):
        return ""
    for attribute in ("genres", "text", "data"):  # ID3's, genres by their numbers among them
        value = getattr(value, attribute, None) or value
    if isinstance(value, list):
        value = value[0] if value else ""
    if isinstance(value, bytes):
        value = bytes(value).decode("utf-8", "replace")
    return " ".join(str(value).split())


def read_manifest(path):
    """A CSV that names tracks: columns path and any of track_id, title, artist, album, isrc, mbid,
    genre.

    Returns {path: {column: text}} with only the columns that are filled. Raises AudiorecError.
    """
    allowed = {"path", "track_id", *TAGS}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            if "path" not in columns:
                raise AudiorecError(f"{path} has no column 'path': add it, and a header line")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AudiorecError(
            f"{path} is no CSV file that can be read ({error}): name another with --manifest"
        ) from error
    return {
        row["path"]: {c: row[c] for c in columns & allowed - {"path"} if row[c]} for row in rows
    }
