"""Rows of a log, with numbers in the place of texts, to Plays."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from audiorec_cli.records import LoggedTracks, Plays

LISTENER = ("user", "group")
DESCRIPTIONS = ("title", "artist", "isrc", "mbid")
ITEM = ("track", *DESCRIPTIONS)
SESSION_GAP_S = 30 * 60
DAY_S = 24 * 3600
AT_A_TIME = 1 << 20  # of the numbers of plays, so that copies of them take little memory


def within(rows, settings):
    """The rows between the bounds of LogSettings, each play worth what its age leaves of it."""
    if settings.since is not None:
        rows = rows.filter(pl.col("time") >= settings.since)
    if settings.until is not None:
        rows = rows.filter(pl.col("time") < settings.until)
    if settings.half_life_days is not None:
        age_days = (pl.col("time").max() - pl.col("time")) / DAY_S
        left = pl.col("plays") * 0.5 ** (age_days / settings.half_life_days)
        rows = rows.with_columns(left.cast(pl.Float32))
    return rows


def to_plays(rows, names, settings):
    """Add up the plays of each listener and track.

    rows : a table with some of the columns of LISTENER and ITEM, numbers or null, plays, and time
        where LogSettings need it; names : {column: the texts that these numbers are places in}
    Returns Plays, less the tracks that LogSettings find too rare, and the number of all tracks.
    """
    with ThreadPoolExecutor(2) as threads:
        listening = threads.submit(_listeners, rows, names, by_session=settings.by_session)
        item_of, items = _items(rows, names)
        listener_of, listeners = listening.result()
    shape = (len(listeners), len(items))
    plays = csr_matrix((rows["plays"].to_numpy(), (listener_of, item_of)), shape=shape)
    n_listeners, n_plays = _popularity(plays)
    is_kept = (n_listeners >= settings.min_listeners) & (n_plays >= settings.min_plays)
    if not is_kept.all():
        plays = plays[:, is_kept]
    plays.eliminate_zeros()  # plays so old that nothing is left of them
    has_plays = np.diff(plays.indptr) > 0
    if not has_plays.all():
        plays, listeners = plays[has_plays], listeners.filter(has_plays)
    kept = items.filter(is_kept)
    tracks = LoggedTracks(
        track_id=kept["track"].to_list(),
        **{c: kept[c].to_list() for c in DESCRIPTIONS},
        plays=n_plays[is_kept],
        listeners=n_listeners[is_kept],
    )
    return Plays(listeners.to_list(), tracks, plays), int((n_listeners > 0).sum())


def _popularity(plays):
    """Number of listeners of each track, and of its plays."""
    n_listeners, n_plays = np.zeros(plays.shape[1], np.int64), np.zeros(plays.shape[1])
    for first in range(0, plays.nnz, AT_A_TIME):
        part = slice(first, first + AT_A_TIME)
        n_listeners += np.bincount(plays.indices[part], minlength=plays.shape[1])
        n_plays += np.bincount(plays.indices[part], plays.data[part], minlength=plays.shape[1])
    return n_listeners, n_plays


def _listeners(rows, names, *, by_session):
    """The listener of each row, a place among the listeners, and their ids in order."""
    columns = [c for c in LISTENER if c in rows.columns]
    place_of, found = _distinct(rows, columns, names)
    ids = found.select(_listener_id(columns)).to_series()
    listener_of, listeners = _in_order(place_of, ids)
    if not by_session:
        return listener_of, listeners
    session_of, starts = _sessions(listener_of, rows["time"].to_numpy())
    dates = pl.Series("start", starts["time"] * 1e6).cast(pl.Int64).cast(pl.Datetime("us"))
    ids = listeners.gather(starts["listener"]) + " / " + dates.dt.to_string("%Y-%m-%d %H:%M:%S")
    return _in_order(session_of, ids)


def _sessions(listener_of, time):
    """The session of each row, and the listener and the time that each session starts with.

    A listener's session ends where nothing was played for SESSION_GAP_S.
    """
    order = np.lexsort((time, listener_of))
    listener, time = listener_of[order], time[order]
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (np.diff(listener) != 0) | (np.diff(time) > SESSION_GAP_S)
    session_of = np.empty(len(order), dtype=np.int64)
    session_of[order] = np.cumsum(starts) - 1
    return session_of, {"listener": listener[starts], "time": time[starts]}


def _items(rows, names):
    """The track of each row, a place among the tracks, and a table of these in order.

    The table has the columns track, the id, and title, artist, isrc and mbid.
    """
    columns = [c for c in ITEM if c in rows.columns]
    place_of, found = _distinct(rows, columns, names)
    described = found.select(
        *(pl.col(c) if c in columns else pl.lit("").alias(c) for c in ITEM)
    ).with_columns(track=_item_id())
    item_of, ids = _in_order(place_of, described["track"])
    # a track may be described in several ways: the first in the alphabet stands for all
    first = described.group_by("track").agg(pl.col(c).min() for c in DESCRIPTIONS)
    return item_of, ids.to_frame("track").join(first, on="track", how="left", maintain_order="left")


def _distinct(rows, columns, names):
    """The place of each row among the distinct values of these columns, and the values' texts.

    A single column's values may be more than those that occur.
    """
    if len(columns) == 1:
        return rows[columns[0]].to_numpy(), names[columns[0]].to_frame(columns[0])
    distinct = rows.select(columns).unique()
    places = distinct.with_row_index("place")
    joined = rows.join(places, on=columns, how="left", nulls_equal=True, maintain_order="left")
    texts = (names[c].gather(distinct[c]).fill_null("") for c in columns)
    return joined["place"].to_numpy(), pl.DataFrame(list(texts), schema=columns)


def _in_order(place_of, ids):
    """The place of each row among the sorted ids, and these; ids may say the same twice."""
    order = ids.arg_sort().to_numpy()
    ordered = ids.gather(order)
    if (ordered != ordered.shift()).sum() == len(ids) - 1:
        places = np.empty(len(ids), dtype=np.int32)
        places[order] = np.arange(len(ids), dtype=np.int32)
        return places[place_of], ordered
    ordered = ordered.unique(maintain_order=True)
    places = pl.DataFrame({"id": ordered, "place": np.arange(len(ordered), dtype=np.int32)})
    joined = ids.to_frame("id").join(places, on="id", how="left", maintain_order="left")
    return joined["place"].to_numpy()[place_of], ordered


def _listener_id(columns):
    """The listener, the group, or where the log has both the listener's group."""
    if len(columns) == 1:
        return pl.col(columns[0])
    both = pl.concat_str("user", "group", separator=" / ")
    return (
        pl.when(pl.col("group") == "")
        .then(pl.col("user"))
        .when(pl.col("user") == "")
        .then(pl.col("group"))
        .otherwise(both)
    )


def _item_id():
    """The log's own id of a track, or "artist - title", or the one that it has."""
    both = pl.concat_str("artist", "title", separator=" - ")
    named = (
        pl.when(pl.col("title") == "")
        .then(pl.col("artist"))
        .when(pl.col("artist") == "")
        .then(pl.col("title"))
        .otherwise(both)
    )
    return pl.when(pl.col("track") != "").then(pl.col("track")).otherwise(named)
