"""Recommendations to all listeners as a Parquet table, a row a track."""

import io

import numpy as np
import polars as pl

from audiorec_cli.output.tables import as_utf8
from audiorec_cli.output.writing import write_whole

SUFFIX = ".parquet"
COLUMNS = ("user_id", "rank", "score", "track_id", "artist", "title", "path")
NAMES = ("track_id", "artist", "title", "path")


def is_ours(path):
    """Whether the file at `path` is one that write_parquet made."""
    try:
        return list(pl.read_parquet_schema(path)) == list(COLUMNS)
    except (pl.exceptions.PolarsError, OSError):
        return False


def write_parquet(made, out):
    """Write Recommendations to `out`: user_id, rank (from 1), score, track_id and tags."""
    is_there = made.recommended >= 0
    users, ranks = np.nonzero(is_there)
    rows = made.recommended[is_there]
    tags = {name: _texts(getattr(made.tracks, name)) for name in NAMES}
    table = pl.DataFrame(
        {
            "user_id": _texts(made.user_id).gather(users),
            "rank": (ranks + 1).astype(np.int32),
            "score": made.scores[is_there],
            **{name: texts.gather(rows) for name, texts in tags.items()},
        }
    )
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    write_whole(buffer.getvalue(), out)


def _texts(values):
    return pl.Series([as_utf8(text) for text in values], dtype=pl.String)
