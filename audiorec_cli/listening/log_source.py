"""What every layout of a log is read as."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

ANONYMOUS = "listener"  # whose history it is, where the log does not say


class Unreadable(Exception):
    """A file that cannot be read as a log; the message goes on from the file's name."""


@dataclass(frozen=True)
class Source:
    """One file of a log, ready to be read.

    table : has, of the columns user, group, track, title, artist, isrc and mbid, those that the
        layout knows, as text; plays where it counts them; time where it dates them, as text or in
        seconds since 1970; left_out, true for rows that are no play of a track, such as podcasts;
        is_blank, true for lines with nothing on them
    unit : what its rows are called; first : the number of the first of them
    lines_within : of a row, how many lines more than one a row stand before it; None for none
    """

    table: pl.LazyFrame
    unit: str = "line"
    first: int = 1
    lines_within: Callable[[int], int] | None = None

    def place_of(self, row):
        """Where a person finds row `row` of the table: "line 17"."""
        within = self.lines_within(row) if self.lines_within else 0
        return f"{self.unit} {self.first + row + within}"
