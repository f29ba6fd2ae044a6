"""Listening logs to Plays, whatever layout they come in."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import polars as pl

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.log_files import log_files
from audiorec_cli.listening.log_formats import FORMATS
from audiorec_cli.listening.log_plays import ITEM, LISTENER, to_plays, within
from audiorec_cli.listening.log_settings import LOG_FORMATS
from audiorec_cli.listening.log_source import ANONYMOUS, Unreadable
from audiorec_cli.listening.log_tables import remedy_of
from audiorec_cli.listening.numbering import NO_TEXT, Numbering
from audiorec_cli.listening.times import in_seconds
from audiorec_cli.records import Plays

MAX_BROKEN_SHARE = 0.01
BROKEN_SHOWN = 3
PLAYS = (1e-6, 1e12)  # what a number of plays can be; fewer than the least are none
REPLACEMENT = "\ufffd"  # what bytes that are no UTF-8 are read as
FLAGS = ("left_out", "is_blank")
HASH_OF = "hash of {}"
ROWS_AT_A_TIME = 250_000
# What may be the matter with a row; from NO_LISTENER on it is broken.
BLANK, LEFT_OUT, SILENT, NO_LISTENER, NO_TRACK, NO_PLAYS, NEGATIVE, NO_TIME = range(1, 9)
FAULTS = {
    NO_LISTENER: "no listener",
    NO_TRACK: "no track",
    NO_PLAYS: "no number of plays",
    NEGATIVE: "fewer than no plays",
    NO_TIME: "no time",
}
UNDATED = (
    "does not say when tracks were played: leave out --since, --until, --half-life and --group-by "
    "session, or name the column with --timestamp-column"
)


@dataclass(frozen=True)
class LogReading:
    """What reading a log gave.

    named_by : of ITEM, the columns that the log has
    has_columns : they have names, and may be called otherwise
    layout : what kind of log it was; n_files : number of files
    broken_rows : number of rows left out because something is missing in them, or wrong
    broken_shown : of the first of them, where it is and what is the matter
    rows_left_out : number of rows that are no plays of a track, or too short ones
    tracks_left_out : number of tracks with too few plays or listeners
    garbled : number of names with bytes in them that are no UTF-8
    """

    plays: Plays
    named_by: frozenset[str]
    has_columns: bool
    layout: str
    n_files: int
    broken_rows: int
    broken_shown: list[str]
    rows_left_out: int
    tracks_left_out: int
    garbled: int

    @property
    def items(self):
        """What is played: "tracks", or "artists" where the log knows no tracks."""
        return "tracks" if {"track", "title"} & self.named_by else "artists"

    @property
    def lacks(self):
        """The one of "title" and "artist" that no column is called, "" for neither or both."""
        lacking = {"title", "artist"} - self.named_by
        return lacking.pop() if self.has_columns and len(lacking) == 1 else ""


def read_log(path, settings):
    """Read a listening log, adding up the plays of each listener and track.

    Rows without a listener, a track or a number of plays (or a time, where it matters), or with
    fewer than no plays, are left out and counted; more than 1 % of them is an error. Rows of no
    plays are left out too.
    Users and tracks come in the order of their ids, whatever the order of the rows.
    Returns a LogReading. Raises AudiorecError.
    """
    tally = _Tally(settings)
    with log_files(path, settings.format) as files:
        for file in files:
            tally.read(file, several=len(files) > 1)
    tally.check(path, files[0].format)
    rows = within(pl.concat(tally.good, how="diagonal"), settings)
    if not len(rows):
        raise AudiorecError(f"{path} holds no play between --since and --until: widen them")
    names = tally.names
    plays, n_tracks = to_plays(rows, names, settings)
    if not len(plays.tracks):
        raise AudiorecError(
            f"{path}: none of its {n_tracks} tracks has so many plays and listeners: ask for less "
            "with --min-plays or --min-listeners"
        )
    return LogReading(
        plays=plays,
        named_by=frozenset(ITEM) & set(rows.columns),
        has_columns=FORMATS[files[0].format].has_columns,
        layout=LOG_FORMATS[files[0].format],
        n_files=len(files),
        broken_rows=tally.n_broken,
        broken_shown=tally.shown,
        rows_left_out=tally.n_left_out,
        tracks_left_out=n_tracks - len(plays.tracks),
        garbled=sum(
            int(texts.str.contains(REPLACEMENT, literal=True).sum()) for texts in names.values()
        ),
    )


class _Tally:
    """The good rows of a log's files, and how many others there were.

    good : tables with a number in the place of each text, null where it is blank
    """

    def __init__(self, settings):
        self._settings = settings
        self.good, self.shown = [], []
        self._names = defaultdict(Numbering)
        self.n_rows = self.n_broken = self.n_left_out = 0
        self._may_be_other_columns = False

    def read(self, file, *, several):
        """Take in a LogFile."""
        try:
            source = file.source(self._settings.columns)
            rows = self._collect(source)
        except Unreadable as error:
            raise AudiorecError(f"{file.name} {error}{_or_no_format(self._settings)}") from error
        except pl.exceptions.PolarsError as error:
            raise AudiorecError(_not_readable(file, error, self._settings)) from error
        prefix = f"{file.name} " if several else ""
        self.good.append(self._sort_out(rows, lambda row: f"{prefix}{source.place_of(row)}"))

    def _sort_out(self, rows, place_of):
        """The good rows; counts the others, and notes where the first broken ones stand."""
        faults = rows.select(fault=_fault(rows)).to_series().to_numpy()
        self.n_rows += len(rows)
        if not faults.any():
            return rows.drop(FLAGS)
        self.n_rows -= int(np.isin(faults, (BLANK, LEFT_OUT)).sum())
        self.n_left_out += int((faults == LEFT_OUT).sum())
        broken = np.flatnonzero(faults > SILENT)
        self.n_broken += len(broken)
        self._may_be_other_columns |= bool((faults[broken] != NEGATIVE).any())
        for row in broken[: BROKEN_SHOWN - len(self.shown)]:
            self.shown.append(f"{place_of(int(row))}: {FAULTS[faults[row]]}")
        return rows.drop(FLAGS).filter(faults == 0)

    def _collect(self, source):
        """The table in memory, with numbers in the place of texts: a few bytes a row."""
        known = source.table.collect_schema()
        texts = {c: pl.col(c).cast(pl.String) for c in (*LISTENER, *ITEM) if c in known}
        if not {*LISTENER} & {*texts}:
            texts["user"] = pl.lit(ANONYMOUS)
        others = {flag: pl.lit(False) for flag in FLAGS}
        others |= {flag: pl.col(flag).fill_null(False) for flag in FLAGS if flag in known}
        others["plays"] = pl.lit(1.0, pl.Float32)
        if "plays" in known:
            others["plays"] = pl.col("plays").cast(pl.Float32, strict=False)
        if self._settings.needs_time:
            if "time" not in known:
                raise Unreadable(UNDATED)
            others["time"] = in_seconds(source.table, "time")
        hashes = {HASH_OF.format(c): column.hash() for c, column in texts.items()}
        table = source.table.select(**texts, **hashes, **others)
        batches = table.collect_batches(
            chunk_size=ROWS_AT_A_TIME, maintain_order=True, engine="streaming"
        )
        rows = [self._numbered(batch, texts) for batch in batches]
        return pl.concat(rows or [self._numbered(table.head(0).collect(), texts)], rechunk=True)

    def _numbered(self, rows, columns):
        """A table with numbers in the place of these columns' texts, null for blank ones."""
        numbers = {
            c: pl.Series(self._names[c].numbers(rows[c], rows[HASH_OF.format(c)].to_numpy()))
            for c in columns
        }
        return rows.with_columns(
            **{c: number.set(number == NO_TEXT, None) for c, number in numbers.items()}
        ).drop(HASH_OF.format(c) for c in columns)

    @property
    def names(self):
        """{column: texts}; the numbers of the rows are places in them."""
        return {column: numbering.texts() for column, numbering in self._names.items()}

    def check(self, path, format_name):
        """Refuse a log with nothing in it, or of which too much is broken."""
        if not self.n_rows and self.n_left_out:
            raise AudiorecError(
                f"{path} holds no play of a track that lasted 30 s: name another log"
            )
        if not self.n_rows:
            raise AudiorecError(f"{path} has no rows: name another log")
        if self.n_broken > MAX_BROKEN_SHARE * self.n_rows:
            raise AudiorecError(
                f"{path} has broken rows, {self.n_broken} of {self.n_rows} ("
                + "; ".join(self.shown)
                + "): mend the log"
                + _or_no_format(self._settings)
                + f", or {remedy_of(self._settings.columns)}"
                * (self._may_be_other_columns and format_name in ("table", "parquet"))
            )
        if not any(map(len, self.good)):
            raise AudiorecError(f"{path} holds no play of a track: name another log")


def _or_no_format(settings):
    return ", or leave out --format" if settings.format else ""


def _not_readable(file, error, settings):
    said = str(error).splitlines()[0]
    if settings.format:
        kind = LOG_FORMATS[settings.format]
        return f"{file.name} is not readable as {kind} ({said}): leave out --format"
    return f"{file.name} is not readable: {said}: save it anew"


def _fault(rows):
    """The expression of what is the matter with each row: 0 for nothing."""
    empty = {c: pl.col(c).is_null() for c in (*LISTENER, *ITEM) if c in rows.columns}
    # a title alone names no track where others have an artist
    described = [empty[c] for c in ("title", "artist") if c in empty]
    item = [empty["track"]] if "track" in empty else []
    if described:
        item.append(pl.any_horizontal(described))
    plays = pl.col("plays")
    has_time = pl.col("time").is_not_null() if "time" in rows.columns else pl.lit(True)
    return (
        pl.when(pl.col("is_blank")).then(BLANK)
        .when(pl.col("left_out")).then(LEFT_OUT)
        .when(pl.all_horizontal(empty[c] for c in LISTENER if c in empty)).then(NO_LISTENER)
        .when(pl.all_horizontal(item)).then(NO_TRACK)
        .when(plays < 0).then(NEGATIVE)
        .when(~plays.is_between(0, PLAYS[1]).fill_null(False)).then(NO_PLAYS)
        .when(~has_time).then(NO_TIME)
        .when(plays < PLAYS[0]).then(SILENT)
        .otherwise(0).cast(pl.UInt8)
    )  # fmt: skip
