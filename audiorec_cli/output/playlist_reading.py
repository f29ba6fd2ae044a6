"""Reading playlists back, our own and those of other programs: M3U8, M3U, XSPF and JSPF.

What a playlist holds is untrusted: nothing that it names is opened here.
"""

import json
import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin, urlsplit
from xml.etree import ElementTree

from audiorec_cli.errors import AudiorecError
from audiorec_cli.output.playlists import SUFFIXES

MAX_BYTES = 32 << 20  # some 100,000 tracks
MAX_DEPTH = 64  # of elements; a location is the fourth

XML_BASE = "{http://www.w3.org/XML/1998/namespace}base"

EDIT_LIST = re.compile(r"edl://%(\d{1,5})%")  # for mpv: the length of a path, and the path
# "C:" is a drive, not a scheme
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|file:/")


def read_playlist(path):
    """What a playlist names: absolute paths in its order, of files that may be there or not.

    path : a file that ends in one of SUFFIXES
    Relative paths start at the playlist's folder. None stands for an address (http://…), and for a
    track without a location. Names that are not UTF-8 come with surrogate escapes.
    Raises AudiorecError where it is no playlist, is larger than 32 MiB or cannot be read.
    """
    suffix, data = _suffix(path), _read_bytes(path)
    folder = os.path.dirname(os.path.abspath(path))
    try:
        names = _names(data, suffix)
        return [None if name is None else _absolute(name, folder) for name in names]
    except (ValueError, RecursionError, ElementTree.ParseError) as error:
        raise AudiorecError(f"{path} is broken ({error}): export the playlist again") from error


def _suffix(path):
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise AudiorecError(f"{path}: no known playlist format: name one that ends in {known}")
    return suffix


def _read_bytes(path):
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise AudiorecError(f"{path} is no regular file: name a playlist")
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise AudiorecError(
            f"{path}: {error.strerror}: name a playlist that can be read"
        ) from error
    if len(data) > MAX_BYTES:
        raise AudiorecError(
            f"{path} is larger than {MAX_BYTES >> 20} MiB: name a playlist, or split it"
        )
    return data


def _open_without_waiting(path, flags):
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _names(data, suffix):
    """The paths as they are written, relative or absolute; None for what is no local file."""
    if suffix == ".xspf":
        return _xspf_paths(data)
    if suffix == ".jspf":
        return _jspf_paths(data)
    return _m3u_paths(data, suffix)


def _m3u_paths(data, suffix):
    text = _m3u_text(data, suffix)
    lines = (line.strip(" \t") for line in re.split(r"\r\n?|\n", text))
    return [_m3u_path(line) for line in lines if line and not line.startswith("#")]


def _m3u_text(data, suffix):
    """The text of an M3U playlist: UTF-8, or Latin-1 in a .m3u; else its bytes as they are."""
    if b"\0" in data:
        raise ValueError("it is not text in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1") if suffix == ".m3u" else os.fsdecode(data)


def _m3u_path(line):
    if edit := EDIT_LIST.match(line):
        return os.fsdecode(os.fsencode(line[edit.end() :])[: int(edit[1])])
    if ADDRESS.match(line):
        return _uri_path(line)
    return line if "/" in line else line.replace("\\", "/")


def _xspf_paths(data):
    parser = ElementTree.XMLParser(target=_XspfTracks())
    try:
        parser.feed(data)
    except LookupError as error:
        raise ValueError(f"its encoding: {error}") from error
    return parser.close()


class _XspfTracks:
    """What the parser tells as it goes: the path of each track, without keeping the tree."""

    TRACK = ("playlist", "trackList", "track")
    LOCATION = (*TRACK, "location")

    def __init__(self):
        self.open = ()
        self.base = ""
        self.locations = []
        self.text = []
        self.paths = []

    def doctype(self, name, public_id, system_id):
        # entities are declared there, which may name other files or grow without end
        raise ValueError("it declares a document type")

    def start(self, tag, attributes):
        self.open += (tag.rpartition("}")[2],)
        if len(self.open) > MAX_DEPTH:
            raise ValueError("its elements are nested too deep")
        if self.open[0] != "playlist":
            raise ValueError(f"a {self.open[0]}, not an XSPF playlist")
        if len(self.open) == 1:
            self.base = attributes.get(XML_BASE, "")
        elif self.open == self.TRACK:
            self.locations = []
        elif self.open == self.LOCATION:
            self.text = []

    def data(self, text):
        if self.open == self.LOCATION:
            self.text.append(text)

    def end(self, tag):
        if self.open == self.LOCATION:
            self.locations.append("".join(self.text).strip())
        elif self.open == self.TRACK:
            self.paths.append(_first_path(self.locations, self.base))
        self.open = self.open[:-1]

    def close(self):
        return self.paths


def _jspf_paths(data):
    document = json.loads(data)
    playlist = document.get("playlist") if isinstance(document, dict) else None
    tracks = playlist.get("track", []) if isinstance(playlist, dict) else None
    if not isinstance(tracks, list) or not all(isinstance(track, dict) for track in tracks):
        raise ValueError("it has no playlist with tracks")
    return [_first_path(_jspf_locations(track), "") for track in tracks]


def _jspf_locations(track):
    locations = track.get("location") or []
    locations = [locations] if isinstance(locations, str) else locations
    if not isinstance(locations, list) or not all(isinstance(one, str) for one in locations):
        raise ValueError("a location is not text")
    return [location.strip() for location in locations]


def _first_path(locations, base):
    """The path of the first location that is a local file, None where none is."""
    paths = (_uri_path(urljoin(base, location)) for location in locations if location)
    return next((path for path in paths if path is not None), None)


def _uri_path(reference):
    """The path that a file URI or a relative reference stands for, None for any other address."""
    parts = urlsplit(reference)
    if len(parts.scheme) == 1:
        return _unquoted(reference)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return None
    return _unquoted(parts.path) or None


def _unquoted(text):
    return os.fsdecode(unquote_to_bytes(os.fsencode(text)))


def _absolute(name, folder):
    if "\0" in name:
        raise ValueError("a name holds a zero byte")
    path = os.path.join(folder, name)
    if os.pardir not in path.split("/"):
        return os.path.normpath(path)
    # behind a symbolic link ".." leads elsewhere than the names say
    parent, name = os.path.split(path)
    return os.path.join(os.path.realpath(parent), name)
