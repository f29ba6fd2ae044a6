"""Playlists that players open: extended M3U in UTF-8 (M3U8)."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from audiorec_cli.errors import AudiorecError

SUFFIXES = (".m3u8", ".m3u")


@dataclass(frozen=True)
class Entry:
    """A track of a playlist; start_s is where playing begins, None for its beginning."""

    path: str
    artist: str
    title: str
    duration_s: float
    start_s: float | None = None


def m3u8(entries, *, title=""):
    """An extended M3U playlist as text.

    Titles lose their line breaks and other control characters; a path that has one, or that a
    player would take for a comment or an address, is written as a file URI.
    """
    lines = ["#EXTM3U", "#EXTENC:UTF-8"]
    if title:
        lines.append(f"#PLAYLIST:{_one_line(title)}")
    for entry in entries:
        name = f"{entry.artist} - {entry.title}" if entry.artist else entry.title
        lines.append(f"#EXTINF:{round(entry.duration_s)},{_one_line(name)}")
        if entry.start_s is not None:
            lines.append(f"#EXTVLCOPT:start-time={entry.start_s:.1f}")
        lines.append(_location(entry.path))
    return "\n".join(lines) + "\n"


def _one_line(text):
    text = text.encode("utf-8", "replace").decode()
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())


def _location(path):
    if not path.isprintable() or path != path.strip() or path.startswith("#") or "://" in path:
        return Path(os.path.abspath(path)).as_uri()
    return path


def require_playlist(out):
    """Refuse a place or a format that no playlist can be written to; "-" is stdout."""
    path = Path(out)
    if out == "-":
        return
    if path.suffix.lower() not in SUFFIXES:
        raise AudiorecError(f"{out}: no known playlist format: end its name in {SUFFIXES[0]}")
    if path.is_dir():
        raise AudiorecError(f"{out} is a folder: name a file to write")
    require_folder(path.parent, f"to write {path.name} in")


def require_folder(folder, purpose):
    """Refuse a folder that is not there, or cannot be written to."""
    if not folder.is_dir():
        raise AudiorecError(f"{folder}: no such folder {purpose}: make it first")
    if not os.access(folder, os.W_OK):
        raise AudiorecError(f"{folder}: no permission to write there: name another")


def write_playlist(text, out):
    """Write a playlist to the path `out`, whole or not at all; "-" is stdout."""
    data = text.encode("utf-8", "surrogateescape")
    if out == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(out)
    temporary = path.with_name(f".audiorec-{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
