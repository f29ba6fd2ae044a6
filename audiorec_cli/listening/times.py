"""When a track was played, however a log writes it."""

import polars as pl

from audiorec_cli.listening.log_source import Unreadable

SAMPLE_ROWS = 200
# As polars' to_datetime takes them; a time without a zone is taken as UTC.
TIME_FORMATS = (
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S%.f%z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%d %b %Y, %H:%M",
    "%d %b %Y %H:%M",
    "%Y-%m-%d",
)
# A count of this many seconds would be the year 5138: it is one of smaller units.
LARGEST_SECONDS = 1e11


def in_seconds(table, column):
    """The expression of a column's times in seconds since 1970, null where it holds none.

    Numbers below 0 and beyond the year 5138 are no times.

    column : text, numbers of seconds, milliseconds or microseconds, or polars' own times
    Raises Unreadable when its beginning holds nothing that looks like a time.
    """
    dtype = table.collect_schema()[column]
    if dtype.is_temporal():
        return _since_1970(pl.col(column).cast(pl.Datetime("us")))
    if dtype.is_numeric():
        return _from_number(pl.col(column))
    found = table.select(column).filter(pl.col(column).str.strip_chars() != "").head(SAMPLE_ROWS)
    sample = found.collect(engine="streaming")
    ways = [_from_number, *(_from_text(layout) for layout in TIME_FORMATS)]
    understood = [len(sample) - sample.select(way(pl.col(column))).to_series().null_count()
                  for way in ways]  # fmt: skip
    if len(sample) and not any(understood):
        raise Unreadable(
            f"has no times that are known in its column, such as {sample.item(0, 0)!r}: name "
            "another with --timestamp-column, or write them as 2024-12-31T23:59:59Z"
        )
    return ways[understood.index(max(understood))](pl.col(column))


def _from_number(column):
    number = column.cast(pl.Float64, strict=False)
    number = pl.when(number.is_between(0, LARGEST_SECONDS * 1e6)).then(number)
    milliseconds = pl.when(number > LARGEST_SECONDS).then(number / 1e3).otherwise(number)
    return pl.when(number > LARGEST_SECONDS * 1e3).then(number / 1e6).otherwise(milliseconds)


def _from_text(layout):
    def seconds(column):
        time = column.str.strip_chars().str.to_datetime(layout, strict=False, time_unit="us")
        return _since_1970(time)

    return seconds


def _since_1970(time):
    return time.dt.timestamp("us").cast(pl.Float64) / 1e6
