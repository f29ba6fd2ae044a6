"""Files of thumbs up and down: a seed or a station, a track, and what a listener thought of it."""

import csv
import io
import re
from dataclasses import dataclass
from typing import NamedTuple

from audiorec_cli.errors import AudiorecError

MAX_BROKEN_SHARE = 0.01
BROKEN_SHOWN = 3
HEADER_SHOWN = 200  # characters
SEPARATORS = "\t;,"
# Names that a column goes by, most specific first.
STATIONS = (
    *("station", "station_name", "station_id", "playlist", "playlist_name", "playlist_id"),
    *("user", "user_id", "user_name", "listener", "listener_id"),
)
COLUMN_NAMES = {
    "seed": ("seed", "seed_track", "seed_track_id", "seed_id", *STATIONS),
    "track": ("track", "track_id", "song", "song_id", "item", "item_id", "path", "title"),
    "thumb": (
        *("thumb", "thumbs", "rating", "vote", "feedback", "label", "like", "liked"),
        *("value", "score"),
    ),
}
PLACES = {"seed": 0, "track": 1, "thumb": 2}  # of the columns, where there is no header
THUMBS = {
    **dict.fromkeys(("1", "+1", "1.0", "up", "true", "yes", "like", "liked", "👍"), 1),
    **dict.fromkeys(("-1", "-1.0", "−1", "down", "false", "no", "dislike", "disliked", "👎"), -1),
    **dict.fromkeys(("0", "0.0"), 0),
}


class Thumb(NamedTuple):
    """A row: the seed and the track as the file names them, and whether the thumb is up."""

    seed: str
    track: str
    is_up: bool


@dataclass(frozen=True)
class ThumbReading:
    """What reading a file of thumbs gave.

    names_stations : the column of the seeds is called one of stations or listeners, not of tracks
    neutral_rows : number of rows left out that are neither up nor down
    broken_rows : number of rows left out because something is missing or unknown in them
    broken_shown : of the first of them, where it is and what is the matter
    """

    thumbs: list[Thumb]
    names_stations: bool
    neutral_rows: int
    broken_rows: int
    broken_shown: list[str]


def read_thumbs(path):
    """Read a CSV or TSV of thumbs, with a header or with the columns seed, track and thumb.

    A thumb is 1, up, true or like, or else -1, down, false or dislike; 0 is down where there is no
    -1, and else neither. Broken rows are left out and counted; more than 1 % of them is an error.
    Returns a ThumbReading. Raises AudiorecError.
    """
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        text = file.read()  # once, as a pipe can be read no more often
    separator = _separator(text)
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)
    try:
        return _reading(path, ((rows.line_num, [cell.strip() for cell in row]) for row in rows))
    except csv.Error as error:
        raise AudiorecError(
            f"{path} is no CSV or TSV that can be read (line {rows.line_num}: {error}): save it "
            "anew"
        ) from error


def _separator(text):
    line = next((line for line in io.StringIO(text) if line.strip()), "")
    return max(SEPARATORS, key=line.count)


def _reading(path, rows):
    """The ThumbReading of rows, each the number of its line and the texts of its cells."""
    rows = [(line, cells) for line, cells in rows if any(cells)]
    if not rows:
        raise AudiorecError(f"{path} holds no thumbs: name another with --thumbs")
    places, seeds_name = _columns(path, rows[0][1])
    if seeds_name is not None:
        del rows[0]
    signed, broken = [], []
    for line, cells in rows:
        # cells that are not there are empty
        seed, track, thumb = (cells[p] if p < len(cells) else "" for p in places.values())
        fault = _fault(seed, track, thumb)
        if fault:
            broken.append(f"line {line}: {fault}")
        else:
            signed.append((seed, track, THUMBS[thumb.lower()]))
    _check(path, len(rows), broken)
    thumbs = _thumbs(signed)
    return ThumbReading(
        thumbs,
        seeds_name in STATIONS,
        len(signed) - len(thumbs),
        len(broken),
        broken[:BROKEN_SHOWN],
    )


def _columns(path, cells):
    """{meaning: place} by the first line, and what the column of seeds is called there.

    The name is None where the line is no header.
    """
    names = [re.sub(r"[ \-.]+", "_", cell.lower()) for cell in cells]
    found = {
        meaning: next((name for name in known if name in names), None)
        for meaning, known in COLUMN_NAMES.items()
    }
    if None not in found.values():
        return {meaning: names.index(name) for meaning, name in found.items()}, found["seed"]
    if not _fault(*(*cells, "", "", "")[:3]):
        return PLACES, None
    shown = ", ".join(cells)[:HEADER_SHOWN]
    missing = next(meaning for meaning, name in found.items() if name is None)
    raise AudiorecError(
        f"{path} has no column for the {missing} in its first line, {shown}: call its columns "
        "seed (or station), track and thumb"
    )


def _fault(seed, track, thumb):
    """What is the matter with a row, "" for nothing."""
    if not seed or not track:
        return "no track" if seed else "no seed"
    return "" if thumb.lower() in THUMBS else f'"{thumb}" is no thumb'


def _check(path, n_rows, broken):
    if len(broken) > MAX_BROKEN_SHARE * n_rows:
        raise AudiorecError(
            f"{path} has broken rows, {len(broken)} of {n_rows} ("
            + "; ".join(broken[:BROKEN_SHOWN])
            + "): mend it: a row has a seed, a track, and a thumb of 1 or -1"
        )
    if n_rows == 0:
        raise AudiorecError(f"{path} holds no thumbs: name another with --thumbs")


def _thumbs(signed):
    """The Thumbs of rows of seed, track and sign, without those that are neither up nor down."""
    zero_is_down = all(sign != -1 for _, _, sign in signed)
    return [Thumb(seed, track, sign > 0) for seed, track, sign in signed if sign or zero_is_down]
