"""The layouts that logs come in, and how each is told from the others by its beginning."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from audiorec_cli.listening import log_histories, log_tables
from audiorec_cli.listening.log_tables import find_header, has_fields

ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").fullmatch


@dataclass(frozen=True)
class LogFormat:
    """A layout: how its beginning is told from others, and how it is read.

    matches : whether a file that begins with these lines, none of them blank, has it
    scan : the Source of a path, or of a path and Columns where has_columns
    """

    matches: Callable[[list[str]], bool]
    scan: Callable
    has_columns: bool = False


def _document(*keys, opening="["):
    """Recognises a JSON document that begins with this bracket and soon has all these keys."""

    def matches(lines):
        text = "".join(lines)
        return text.lstrip().startswith(opening) and all(f'"{key}"' in text for key in keys)

    return matches


def _json_lines(*keys):
    """Recognises lines of JSON, one of the first of which has all these keys."""

    def matches(lines):
        return any(
            line.startswith("{") and line.endswith("}") and all(f'"{key}"' in line for key in keys)
            for line in lines[:20]
        )

    return matches


# In this order they are tried.
FORMATS = {
    "taste-profile": LogFormat(
        partial(has_fields, n=3, tests={2: str.isdigit}),
        partial(log_tables.scan_headerless, names=("user", "track", "plays")),
    ),
    "lastfm-1k": LogFormat(
        partial(has_fields, n=6, tests={1: ISO_TIME}),
        partial(
            log_tables.scan_headerless, names=("user", "time", None, "artist", "mbid", "title")
        ),
    ),
    "lastfm-360k": LogFormat(
        partial(has_fields, n=4, tests={3: str.isdigit}),
        partial(log_tables.scan_headerless, names=("user", None, "artist", "plays")),
    ),
    "listenbrainz": LogFormat(
        _json_lines("track_metadata", "listened_at"),
        log_histories.scan_listenbrainz,
    ),
    "pano-scrobbler": LogFormat(
        _json_lines("timeMs", "track", "event"),
        log_histories.scan_pano_scrobbler,
    ),
    "spotify-extended": LogFormat(
        _document("ts", "ms_played", "master_metadata_track_name"),
        log_histories.scan_spotify_extended,
    ),
    "spotify-account": LogFormat(
        _document("endTime", "artistName", "trackName", "msPlayed"),
        log_histories.scan_spotify_account,
    ),
    "maloja": LogFormat(
        _document("scrobbles", "time", "track", opening="{"),
        log_histories.scan_maloja,
    ),
    "mpd": LogFormat(
        _document("playlists", "pid", "track_uri", opening="{"),
        log_histories.scan_mpd,
    ),
    "parquet": LogFormat(lambda lines: False, log_tables.scan_parquet, has_columns=True),
    "table": LogFormat(
        lambda lines: lines[0].lstrip()[0] not in "[{" and bool(find_header(lines)),
        log_tables.scan_table,
        has_columns=True,
    ),
}


def recognise(head):
    """The name of the format of a file whose first bytes these are, None where it has none."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if b"\0" in head:
        return None
    lines = [line for line in head.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    if len(head) >= log_tables.HEAD_BYTES and len(lines) > 1:
        lines.pop()  # it may be cut off
    if not lines:
        return None
    return next((name for name, layout in FORMATS.items() if layout.matches(lines)), None)
