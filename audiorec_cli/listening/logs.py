"""Listening logs to Plays: CSV and TSV with a header, or Taste Profile triplets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import LoggedTracks, Plays

# Names that a column goes by, most specific first. A track has an id, or a title and an artist;
# a log without either lists artists, and then these are its items.
COLUMN_NAMES = {
    "user": ("user_id", "userid", "user", "user_name", "username", "listener", "listener_id"),
    "track": ("track_id", "trackid", "song_id", "songid", "song", "item_id", "item", "track_uri"),
    "title": ("title", "track_name", "track_title", "song_title", "song_name", "track", "name"),
    "artist": ("artist", "artist_name", "artistname", "artists", "creator"),
    "plays": ("plays", "play_count", "playcount", "listen_count", "listens", "count", "n_plays"),
    "isrc": ("isrc",),
    "mbid": ("recording_mbid", "track_mbid", "mbid", "musicbrainz_trackid"),
}
DESCRIPTIONS = ("title", "artist", "isrc", "mbid")
TRIPLETS = ("user", "track", "plays")
MAX_BROKEN_SHARE = 0.01
PLAYS = (1e-6, 1e12)  # what a number of plays can be; fewer than the least are none
HEADER_SHOWN = 200  # characters
ALONE = "if it is one person's history, split it by a column with --group-by, else "
REMEDY = "name its columns with --user-column, --track-column and --plays-column"


@dataclass(frozen=True)
class LogSettings:
    """Which columns of a log say what, where its header does not tell.

    user_column, track_column, plays_column : names in the header, None to find them
    group_by : a column that splits each listener into several, such as a session or a playlist
    """

    user_column: str | None = None
    track_column: str | None = None
    plays_column: str | None = None
    group_by: str | None = None


@dataclass(frozen=True)
class LogReading:
    """What reading a log gave.

    items : "tracks", or "artists" where the log knows no tracks; broken_rows : number left out
    """

    plays: Plays
    items: str
    broken_rows: int


def read_log(path, settings):
    """Read a listening log, adding up the plays of each listener and track.

    Rows without a listener, a track or a number of plays are left out and counted; more than 1 %
    of them is an error. Rows of no plays say nothing and are left out too.
    Users and tracks come in the order of their ids, whatever the order of the rows.
    Returns a LogReading. Raises AudiorecError.
    """
    table, columns = _scan(Path(path), settings)
    try:
        n_rows, n_silent, good = _add_up(table, columns)
    except pl.exceptions.PolarsError as error:
        raise AudiorecError(
            f"{path}: not readable as a table: {str(error).splitlines()[0]}: save it as CSV or TSV "
            "in UTF-8 with a header line"
        ) from error
    broken = n_rows - n_silent - int(good["rows"].sum() or 0)
    if not n_rows:
        raise AudiorecError(f"{path} has a header and no rows: name another log")
    if not len(good):
        raise AudiorecError(f"{path} holds no row with a listener, a track and its plays: {REMEDY}")
    if broken > MAX_BROKEN_SHARE * n_rows:
        raise AudiorecError(
            f"{path}: {broken} of {n_rows} rows have no listener, no track or no number of plays: "
            f"mend the log, or {REMEDY}"
        )
    items = "artists" if "track" not in columns and "title" not in columns else "tracks"
    return LogReading(_to_plays(good), items, broken)


def _scan(path, settings):
    """The log as a lazy table of text, and the names of its columns by what they say."""
    if not path.is_file():
        what = "is no file" if path.exists() else "no such file"
        raise AudiorecError(f"{path}: {what}: name a listening log")
    first_line = _first_line(path)
    separator = max("\t;,", key=first_line.count)
    fields = first_line.split(separator)
    is_triplets = separator == "\t" and len(fields) == 3 and fields[2].isdigit()
    table = pl.scan_csv(
        path,
        separator=separator,
        has_header=not is_triplets,
        new_columns=list(TRIPLETS) if is_triplets else None,
        # tab-separated logs do not quote, and titles hold single quotation marks
        quote_char=None if separator == "\t" else '"',
        infer_schema=False,
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
    )
    header = list(TRIPLETS) if is_triplets else _header(table, path)
    columns = dict(zip(TRIPLETS, TRIPLETS, strict=True)) if is_triplets else None
    return table, columns or _find_columns(path, header, settings)


def _first_line(path):
    try:
        with open(path, "rb") as file:
            start = file.read(65_536)
    except OSError as error:
        raise AudiorecError(f"{path} cannot be opened: {error.strerror}: name another") from error
    if b"\0" in start or start.startswith(b"\x1f\x8b"):
        raise AudiorecError(f"{path} is no text in UTF-8: unpack it, or save it as CSV in UTF-8")
    lines = start.decode("utf-8-sig", errors="replace").splitlines()
    if not lines or not lines[0].strip():
        raise AudiorecError(f"{path} is empty, or begins with an empty line: name a listening log")
    if lines[0].lstrip()[0] in "[{":
        raise AudiorecError(f"{path} is JSON, which is not read yet: turn it into CSV first")
    return lines[0]


def _header(table, path):
    try:
        return table.collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise AudiorecError(
            f"{path}: not readable as a table: {str(error).splitlines()[0]}: save it as CSV or TSV "
            "in UTF-8 with a header line"
        ) from error


def _find_columns(path, header, settings):
    """Which column of the header says what. AudiorecError where one that is needed is missing."""
    shown = ", ".join(header)[:HEADER_SHOWN]
    chosen = {
        "user": settings.user_column,
        "track": settings.track_column,
        "plays": settings.plays_column,
        "group": settings.group_by,
    }
    columns = {meaning: name for meaning, name in chosen.items() if name}
    for name in columns.values():
        if name not in header:
            raise AudiorecError(f"{path} has no column {name!r}: name one of {shown}")
    by_plain_name = {name.strip().lower().replace(" ", "_"): name for name in reversed(header)}
    for meaning, names in COLUMN_NAMES.items():
        name = next((by_plain_name[name] for name in names if name in by_plain_name), None)
        if name is not None and meaning not in columns and name not in columns.values():
            columns[meaning] = name
    for meaning, instead in (("user", {"group"}), ("track", {"title", "artist"})):
        if not {meaning, *instead} & {*columns}:
            raise AudiorecError(
                f"{path} has no column for the {meaning} in its first line, {shown}: "
                + ALONE * (meaning == "user")
                + REMEDY
            )
    return columns


def _add_up(table, columns):
    """Number of rows, number of rows of no plays, and a row for each listener and track.

    The last has the columns user, track, title, artist, isrc, mbid, plays and rows.
    """
    named = table.select(
        *(_text(meaning, columns) for meaning in ("user", "group", "track", *DESCRIPTIONS)),
        plays=pl.col(columns["plays"]).cast(pl.Float64, strict=False)
        if "plays" in columns
        else pl.lit(1.0),
    ).with_columns(user=_user_id(), track=_track_id())
    has_names = (pl.col("user") != "") & (pl.col("track") != "")
    added = (
        named.filter(has_names & pl.col("plays").is_between(*PLAYS))
        .group_by("user", "track")
        .agg(pl.col("plays").sum(), pl.len().alias("rows"), *_first_described())
    )
    is_silent = has_names & pl.col("plays").is_between(0, PLAYS[0], closed="left")
    counts = named.select(n=pl.len(), silent=is_silent.sum())
    counts, good = pl.collect_all([counts, added], engine="streaming")
    return counts["n"].item(), counts["silent"].item(), good.sort("user", "track")


def _text(meaning, columns):
    if meaning not in columns:
        return pl.lit("").alias(meaning)
    return pl.col(columns[meaning]).str.strip_chars().fill_null("").alias(meaning)


def _first_described():
    """A track may be described in several ways: the first in the alphabet stands for all."""
    return [pl.col(column).min() for column in DESCRIPTIONS]


def _user_id():
    """The listener, the group, or where the log has both the listener's group."""
    both = pl.concat_str("user", "group", separator=" / ")
    return (
        pl.when(pl.col("group") == "")
        .then(pl.col("user"))
        .when(pl.col("user") == "")
        .then(pl.col("group"))
        .otherwise(both)
    )


def _track_id():
    """The log's own id of a track, or "artist - title", or the artist."""
    both = pl.concat_str("artist", "title", separator=" - ")
    named = (
        pl.when(pl.col("title") == "")
        .then(pl.col("artist"))
        .when(pl.col("artist") == "")
        .then(pl.col("title"))
        .otherwise(both)
    )
    return pl.when(pl.col("track") != "").then(pl.col("track")).otherwise(named)


def _to_plays(good):
    per_track = good.group_by("track").agg(
        *_first_described(),
        pl.col("plays").sum(),
        pl.len().alias("listeners"),
    )
    per_track = per_track.sort("track")
    users = good["user"].unique().sort()
    user_rows = _positions(good["user"], users)
    track_rows = _positions(good["track"], per_track["track"])
    tracks = LoggedTracks(
        track_id=per_track["track"].to_list(),
        **{c: per_track[c].to_list() for c in DESCRIPTIONS},
        plays=per_track["plays"].to_numpy(),
        listeners=per_track["listeners"].cast(pl.Int64).to_numpy(),
    )
    counts = good["plays"].cast(pl.Float32).to_numpy()
    matrix = csr_matrix((counts, (user_rows, track_rows)), shape=(len(users), len(tracks)))
    return Plays(users.to_list(), tracks, matrix)


def _positions(values, sorted_values):
    """Where each of `values` stands in `sorted_values`."""
    places = pl.DataFrame({"value": sorted_values, "place": np.arange(len(sorted_values))})
    joined = values.to_frame("value").join(places, on="value", how="left", maintain_order="left")
    return joined["place"].to_numpy()
