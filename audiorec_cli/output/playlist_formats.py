"""Playlists as text: extended M3U (M3U8), XSPF and JSPF.

What players were seen to do with them (VLC 3.0.24, mpv 0.35.1) decides how paths and starts are
written. VLC starts a track at `#EXTVLCOPT:start-time=` in M3U8 and at the `vlc:option` of the
same name in XSPF. There is no form that mpv honours too: of M3U it reads the paths and the titles
and takes every other line with # for a comment, it looks for a file called `a.mp3#t=12`, and it
reads no XSPF and no JSPF. It starts at `edl://a.mp3,start=12`, which VLC cannot open: that is a
format of its own. JSPF carries the start in the same extension as XSPF; neither of the two reads
JSPF.
"""

import json
import math
import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import quote_from_bytes
from xml.etree import ElementTree

from audiorec_cli.output.writing import one_line

XSPF_NAMESPACE = "http://xspf.org/ns/0/"
VLC_NAMESPACE = "http://www.videolan.org/vlc/playlist/ns/0/"
VLC_APPLICATION = "http://www.videolan.org/vlc/playlist/0"

# Controls, bytes that are no text, line and paragraph separators: no line of text can hold them.
NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}

# VLC takes a line of M3U for a URI, and so these for its fragment, its query and an escape.
READ_AS_URI = re.compile(r"://|[#?]|%[0-9A-Fa-f]{2}")


def m3u8(entries, *, title="", relative_to=None):
    """An extended M3U playlist as text.

    entries : iterable of Entry
    relative_to : folder that the paths are written from, None for absolute paths
    Titles lose their line breaks and other control characters. An absolute path that a player
    would not read as it is written becomes a file URI. A relative one does where no line can hold
    it, and is otherwise written as it is, after a leading "./" where that helps: M3U has no
    relative URIs, so VLC does not find a relative name with "#", "?" or "%41" in it; XSPF has them.
    """
    lines = _m3u_head(title)
    for entry in entries:
        lines.append(_m3u_name(entry))
        if (option := _start_option(entry)) is not None:
            lines.append(f"#EXTVLCOPT:{option}")
        lines.append(_m3u_location(entry.path, relative_to))
    return "\n".join(lines) + "\n"


def mpv_m3u8(entries, *, title="", relative_to=None):
    """An M3U playlist whose tracks mpv starts where they are to; the arguments of m3u8.

    A track with a start is written as an edit list (mpv's EDL) with its absolute path, for mpv
    looks for others in the folder that it runs in. No other player reads these.
    """
    lines = _m3u_head(title)
    for entry in entries:
        location = _m3u_location(entry.path, relative_to)
        if _start_option(entry) is not None and _fits_a_line(entry.path):
            path = os.path.abspath(entry.path)
            length = len(os.fsencode(path))
            location = f"edl://%{length}%{path},start={max(entry.start_s, 0):.1f}"
        lines += [_m3u_name(entry), location]
    return "\n".join(lines) + "\n"


def _m3u_head(title):
    named = [f"#PLAYLIST:{one_line(title)}"] if title else []
    return ["#EXTM3U", "#EXTENC:UTF-8", *named]


def _m3u_name(entry):
    name = f"{entry.artist} - {entry.title}" if entry.artist else entry.title
    return f"#EXTINF:{_whole_seconds(entry.duration_s)},{one_line(name)}"


def xspf(entries, *, title="", relative_to=None):
    """An XSPF playlist, version 1, as text; the arguments of m3u8 (https://xspf.org/spec)."""
    # VLC goes by the names as they are written, their prefix too: ElementTree would choose others
    namespaces = {"xmlns": XSPF_NAMESPACE, "xmlns:vlc": VLC_NAMESPACE}
    playlist = ElementTree.Element("playlist", {"version": "1", **namespaces})
    _append(playlist, "title", one_line(title))
    tracks = ElementTree.SubElement(playlist, "trackList")
    for entry in entries:
        track = ElementTree.SubElement(tracks, "track")
        _append(track, "location", _uri_reference(entry.path, relative_to))
        for name, value in _described(entry).items():
            _append(track, name, str(value))
        if (option := _start_option(entry)) is not None:
            extension = ElementTree.SubElement(track, "extension", application=VLC_APPLICATION)
            _append(extension, "vlc:option", option)
    ElementTree.indent(playlist)
    text = ElementTree.tostring(playlist, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def jspf(entries, *, title="", relative_to=None):
    """A JSPF playlist as text; the arguments of m3u8 (https://xspf.org/jspf)."""
    tracks = []
    for entry in entries:
        track = {"location": [_uri_reference(entry.path, relative_to)], **_described(entry)}
        if (option := _start_option(entry)) is not None:
            track["extension"] = {VLC_APPLICATION: [{"option": option}]}
        tracks.append(track)
    named = {"title": one_line(title)} if title else {}
    return json.dumps({"playlist": {**named, "track": tracks}}, ensure_ascii=False, indent=1) + "\n"


def _described(entry):
    """What XSPF and JSPF tell of a track, in both of them under the same names."""
    texts = {"title": entry.title, "creator": entry.artist, "album": entry.album}
    described = {name: one_line(text) for name, text in texts.items() if one_line(text)}
    if _is_known(entry.duration_s):
        described["duration"] = round(entry.duration_s * 1000)
    return described


def _append(element, name, text):
    if text:
        ElementTree.SubElement(element, name).text = text


def _is_known(duration_s):
    return math.isfinite(duration_s) and duration_s > 0


def _whole_seconds(duration_s):
    return round(duration_s) if _is_known(duration_s) else -1


def _start_option(entry):
    """What VLC calls the second at which a track begins, None for its beginning."""
    if entry.start_s is None or not math.isfinite(entry.start_s):
        return None
    return f"start-time={max(entry.start_s, 0):.1f}"


def _fits_a_line(path):
    odd = any(unicodedata.category(char) in NOT_IN_A_LINE for char in path)
    return not odd and path == path.strip()


def _m3u_location(path, relative_to):
    if not _fits_a_line(path):
        return _file_uri(path)
    if relative_to is None:
        return _file_uri(path) if READ_AS_URI.search(path) else path
    relative = _relative(path, relative_to)
    # where it begins like a comment, a blank or an address; a name that holds a back slash
    # is told by "/" from a path of Windows
    if relative[0] == "#" or relative[0].isspace() or ":" in relative or "\\" in relative:
        return f"./{relative}"
    return relative


def _uri_reference(path, relative_to):
    """A file URI, or the reference that leads from the folder `relative_to` to the path."""
    if relative_to is None:
        return _file_uri(path)
    relative = _relative(path, relative_to)
    reference = quote_from_bytes(os.fsencode(relative))
    # escaped as it is, a colon in front may still be read as the end of a scheme
    return f"./{reference}" if ":" in relative.split("/")[0] else reference


def _file_uri(path):
    return Path(os.path.abspath(path)).as_uri()


def _relative(path, folder):
    """The path as it is found from the folder, with "/" between its parts."""
    relative = os.path.relpath(path, folder)
    if relative.split(os.sep)[0] == os.pardir:
        # behind a symbolic link ".." leads elsewhere than the names say
        parent, name = os.path.split(os.path.abspath(path))
        folder = os.path.realpath(folder)
        relative = os.path.relpath(os.path.join(os.path.realpath(parent), name), folder)
    return relative.replace(os.sep, "/")
