"""Writing playlists that players open: M3U8, XSPF and JSPF, all in UTF-8."""

import sys
from dataclasses import dataclass
from pathlib import Path

from audiorec_cli.errors import AudiorecError
from audiorec_cli.output import playlist_formats
from audiorec_cli.output.writing import require_file, write_whole

FORMATS = {
    ".m3u8": playlist_formats.m3u8,
    ".m3u": playlist_formats.m3u8,
    ".xspf": playlist_formats.xspf,
    ".jspf": playlist_formats.jspf,
    ".mpv.m3u8": playlist_formats.mpv_m3u8,
}
SUFFIXES = tuple(FORMATS)


@dataclass(frozen=True)
class Entry:
    """A track of a playlist.

    path : absolute, with surrogate escapes where the name is not UTF-8
    duration_s : seconds, 0 or NaN where it is not known
    start_s : where playing begins [s], None for the track's beginning
    """

    path: str
    artist: str
    title: str
    duration_s: float
    start_s: float | None = None
    album: str = ""


def require_playlist(out):
    """Refuse a place or a format that no playlist can be written to; "-" is stdout."""
    if out == "-":
        return
    _format(out)
    require_file(out)


def _format(out):
    fitting = [suffix for suffix in FORMATS if Path(out).name.lower().endswith(suffix)]
    if fitting:
        return FORMATS[max(fitting, key=len)]
    known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    raise AudiorecError(f"{out}: no known playlist format: end its name in {known}")


def write_playlist(entries, out, *, title="", relative_to=None):
    """Write a playlist to the path `out`, whole or not at all; its suffix tells the format.

    entries : iterable of Entry
    out : a path that ends in one of SUFFIXES; "-" writes M3U8 to stdout
    relative_to : folder that the paths are written from, None for absolute paths
    Raises AudiorecError where the format is none of ours.
    """
    formatted = playlist_formats.m3u8 if str(out) == "-" else _format(out)
    data = formatted(entries, title=title, relative_to=relative_to).encode()
    if str(out) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_whole(data, out)
