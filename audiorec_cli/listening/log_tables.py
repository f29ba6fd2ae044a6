"""Logs that are tables: CSV and TSV with a header, tab-separated data sets without, Parquet."""

import csv
import re

import polars as pl

from audiorec_cli.listening.log_source import Source, Unreadable

HEADER_WITHIN = 50  # lines: some exports tell of themselves first
HEAD_BYTES = 1 << 16
HEADER_SHOWN = 200  # characters

# Names that a column goes by, most specific first. A track has an id, or a title and an artist;
# a log without either lists artists, and then these are its items.
COLUMN_NAMES = {
    "user": ("user_id", "userid", "user", "user_name", "username", "listener", "listener_id"),
    "track": ("track_id", "trackid", "song_id", "songid", "item_id", "item", "track_uri"),
    "title": (
        *("title", "track_name", "track_title", "song_title", "song_name"),
        *("track", "song", "name"),
    ),
    "artist": (
        *("artist", "artist_name", "artistname", "artists", "creator"),
        *("track_artist", "song_artist", "band", "performer"),
    ),
    "plays": ("plays", "play_count", "playcount", "listen_count", "listens", "count", "n_plays"),
    "time": (
        *("timestamp", "uts", "listened_at", "played_at", "date_time", "utc_time"),
        *("datetime", "time", "date"),
    ),
    "isrc": ("isrc",),
    "mbid": ("recording_mbid", "track_mbid", "mbid", "musicbrainz_trackid"),
}
ALONE = "if it is one person's history, split it with --group-by session, else "
NAMING = (
    "name its columns with --user-column, --track-column (or --title-column and --artist-column), "
    "--plays-column and --timestamp-column"
)
RENAMING = "call its columns user_id, track_id (or artist and title), plays and timestamp"


def remedy_of(columns):
    """What to do with a table whose Columns are not found."""
    return NAMING if columns.has_options else RENAMING


def has_fields(lines, *, n, tests):
    """Whether each line has n fields between tabs, and those at some places pass their tests."""
    for line in lines[:20]:
        values = line.split("\t")
        if len(values) != n or not all(test(values[place]) for place, test in tests.items()):
            return False
    return True


def scan_headerless(path, names):
    """The Source of a tab-separated file whose columns have these meanings, None for no matter."""
    columns = [name or f"unused {place}" for place, name in enumerate(names)]
    table = _scan_text(path, separator="\t", has_header=False, new_columns=columns)
    return Source(_select(table, {name: name for name in names if name}))


def scan_table(path, columns):
    """The Source of a CSV or TSV file with a header."""
    with open(path, "rb") as file:
        text = file.read(HEAD_BYTES).decode("utf-8-sig", errors="replace")
    place, separator = find_header(text.splitlines(), columns) or (0, _separator(text))
    table = _scan_text(path, separator=separator, skip_lines=place)
    meanings = _find_columns(table.collect_schema().names(), columns)

    def lines_within(row):
        """Line breaks in the quoted fields of the rows before this one."""
        before = table.head(row).select(pl.all().str.count_matches("\n", literal=True).sum())
        return sum(filter(None, before.collect(engine="streaming").row(0)))

    return Source(
        _select(table, meanings),
        first=place + 2,
        lines_within=lines_within if separator != "\t" else None,
    )


def scan_parquet(path, columns):
    """The Source of a Parquet file."""
    table = pl.scan_parquet(path)
    names = table.collect_schema().names()
    return Source(_select(table, _find_columns(names, columns, has_lines=False)), "row")


def _select(table, meanings):
    columns = {meaning: pl.col(name) for meaning, name in meanings.items()}
    return table.select(
        **columns, is_blank=pl.all_horizontal(column.is_null() for column in columns.values())
    )


def _scan_text(path, *, separator, **options):
    return pl.scan_csv(
        path,
        separator=separator,
        # tab-separated logs do not quote, and titles hold single quotation marks
        quote_char=None if separator == "\t" else '"',
        infer_schema=False,
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
        **options,
    )


def find_header(lines, columns=None):
    """(place of the first line that names columns of a log, separator), None where none does."""
    wanted = set(columns.named.values()) if columns else set()
    for place, line in enumerate(lines[:HEADER_WITHIN]):
        separator = _separator(line)
        names = {name.strip() for name in _fields(line, separator)}
        plain = set(map(_plain, names))
        of_item, of_play = (
            any(plain & set(COLUMN_NAMES[meaning]) for meaning in meanings)
            for meanings in (("track", "title", "artist"), ("user", "plays", "time"))
        )
        if wanted <= names if wanted else of_item and of_play:
            return place, separator
    return None


def _separator(text):
    line = text.split("\n", 1)[0]
    return max("\t;,", key=line.count)


def _fields(line, separator):
    if separator == "\t":
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator), [])


def _plain(name):
    """A column's name as COLUMN_NAMES has it: "Artist Name(s)" is "artist_name"."""
    return re.sub(r"[ \-.]+", "_", name.strip().lower().removesuffix("(s)"))


def _find_columns(header, columns, *, has_lines=True):
    """{meaning: column of the header}. Unreadable where one that is needed is missing.

    has_lines : the header is a line of text
    """
    shown = ", ".join(header)[:HEADER_SHOWN]
    found = columns.named
    for name in found.values():
        if name not in header:
            raise Unreadable(f"has no column {name!r}: name one of {shown}")
    if len(set(found.values())) < len(found):
        raise Unreadable("has columns that options name for two things: name each for one")
    by_plain_name = {_plain(name): name for name in reversed(header)}
    known = {*found} | ({"track"} if columns.title else set())  # titles that are named go by no id
    for meaning, names in COLUMN_NAMES.items():
        name = next((by_plain_name[name] for name in names if name in by_plain_name), None)
        if name is not None and meaning not in known and name not in found.values():
            found[meaning] = name
    needed = {"track": {"track", "title", "artist"}, "user": {"user", "group"}}
    if columns.of_one:
        del needed["user"]
    where = "in its first line" if has_lines else "among those that it has"
    for meaning, instead in needed.items():
        if not instead & {*found}:
            raise Unreadable(
                f"has no column for the {meaning} {where}, {shown}: "
                + ALONE * (meaning == "user" and columns.has_options)
                + "add a line that names the columns, or " * has_lines
                + remedy_of(columns)
            )
    return found
