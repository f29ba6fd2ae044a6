"""Reading playlists back, our own and those of other programs: M3U8, M3U, XSPF and JSPF.

What a playlist holds is untrusted: nothing that it names is opened here.
"""

import json
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple
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
# seconds, attributes whose quoted values hold commas, and what is shown
INFORMATION = re.compile(r'#EXTINF:(?:[^,"]++(?:(?<==)"[^"]*")?)*+,(.*)', re.IGNORECASE)
MAX_NAME = 500  # characters
RECORDING = re.compile(
    r"musicbrainz\.org/recording/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE
)


class Named(NamedTuple):
    """What a playlist says of a track.

    path : absolute, of a file that may be there or not, with surrogate escapes where it is not
        UTF-8; None for an address (http://…), and where no location is told
    artist, title, mbid : "" where nothing is said; M3U holds artist and title as one, in title
    """

    path: str | None
    artist: str = ""
    title: str = ""
    mbid: str = ""


def read_playlist(path):
    """What a playlist names: Named, in its order.

    path : a file that ends in one of SUFFIXES
    Relative paths start at the playlist's folder.
    Raises AudiorecError where it is no playlist, is larger than 32 MiB or cannot be read.
    """
    suffix, data = _suffix(path), _read_bytes(path)
    folder = os.path.dirname(os.path.abspath(path))
    try:
        return [
            named if named.path is None else named._replace(path=_absolute(named.path, folder))
            for named in _all_named(data, suffix)
        ]
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


def _all_named(data, suffix):
    """What is Named, the paths as they are written, relative or absolute."""
    if suffix == ".xspf":
        return _of_xspf(data)
    if suffix == ".jspf":
        return _of_jspf(data)
    return _of_m3u(_m3u_text(data, suffix))


def _of_m3u(text):
    named, title = [], ""
    for line in re.split(r"\r\n?|\n", text):
        line = line.strip(" \t")
        if line and not line.startswith("#"):
            named.append(Named(_m3u_path(line), title=title))
            title = ""
        elif line[:8].upper() == "#EXTINF:":
            told = INFORMATION.match(line)
            title = _name(told[1] if told else line.partition(",")[2])
    return named


def _name(text):
    """A name on one line, with "?" for bytes that are no text."""
    return " ".join(text[:MAX_NAME].encode("utf-8", "replace").decode().split())


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


def _of_xspf(data):
    parser = ElementTree.XMLParser(target=_XspfTracks())
    try:
        parser.feed(data)
    except LookupError as error:
        raise ValueError(f"its encoding: {error}") from error
    return parser.close()


class _XspfTracks:
    """What the parser tells as it goes: what is Named, without keeping the tree."""

    TRACK = ("playlist", "trackList", "track")
    FIELDS = ("location", "creator", "title", "identifier")

    def __init__(self):
        self.open = ()
        self.base = ""
        self.told = {}
        self.text = []
        self.named = []

    @property
    def _is_field(self):
        return self.open[:-1] == self.TRACK and self.open[-1] in self.FIELDS

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
            self.told = {field: [] for field in self.FIELDS}
        elif self._is_field:
            self.text = []

    def data(self, text):
        if self._is_field:
            self.text.append(text)

    def end(self, tag):
        if self._is_field:
            self.told[self.open[-1]].append("".join(self.text).strip())
        elif self.open == self.TRACK:
            self.named.append(_named(self.told, self.base))
        self.open = self.open[:-1]

    def close(self):
        return self.named


def _named(told, base):
    """What is Named by lists of locations, creators, titles and identifiers."""
    artist = ", ".join(filter(None, told["creator"]))
    title = next(filter(None, told["title"]), "")
    recordings = filter(None, map(RECORDING.search, told["identifier"]))
    mbid = next((found[1] for found in recordings), "")
    return Named(_first_path(told["location"], base), _name(artist), _name(title), mbid)


def _of_jspf(data):
    document = json.loads(data)
    playlist = document.get("playlist") if isinstance(document, dict) else None
    tracks = playlist.get("track", []) if isinstance(playlist, dict) else None
    if not isinstance(tracks, list) or not all(isinstance(track, dict) for track in tracks):
        raise ValueError("it has no playlist with tracks")
    return [
        _named({field: _jspf_texts(track, field) for field in _XspfTracks.FIELDS}, "")
        for track in tracks
    ]


def _jspf_texts(track, field):
    values = track.get(field) or []
    values = values if isinstance(values, list) else [values]
    if field == "location" and not all(isinstance(value, str) for value in values):
        raise ValueError("a location is not text")
    # a title may be a number, and what else stands there is no name
    return [str(value).strip() for value in values if isinstance(value, str | int | float)]


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
