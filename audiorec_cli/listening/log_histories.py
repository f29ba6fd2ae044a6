"""Listening histories and playlists as services export them, in JSON.

Of each record only the fields named here are read. Documents are read whole, one file at a time;
lines of JSON are streamed.
"""

import polars as pl

from audiorec_cli.listening.log_source import ANONYMOUS, Source, Unreadable

SHORTEST_PLAY_MS = 30_000  # what Spotify itself counts as a play

IS_BLANK = pl.col("line").fill_null("").str.strip_chars() == ""

SPOTIFY_EXTENDED = {
    "ts": pl.String,
    "username": pl.String,
    "ms_played": pl.Int64,
    "master_metadata_track_name": pl.String,
    "master_metadata_album_artist_name": pl.String,
    "spotify_track_uri": pl.String,
}
SPOTIFY_ACCOUNT = {
    "endTime": pl.String,
    "artistName": pl.String,
    "trackName": pl.String,
    "msPlayed": pl.Int64,
}
MALOJA = {
    "scrobbles": pl.List(
        pl.Struct(
            {
                "time": pl.Int64,
                "track": pl.Struct({"artists": pl.List(pl.String), "title": pl.String}),
            }
        )
    )
}
MPD = {
    "playlists": pl.List(
        pl.Struct(
            {
                "pid": pl.Int64,
                "tracks": pl.List(
                    pl.Struct(
                        {
                            "track_uri": pl.String,
                            "track_name": pl.String,
                            "artist_name": pl.String,
                        }
                    )
                ),
            }
        )
    )
}


def scan_spotify_extended(path):
    """The Source of a file of Spotify's extended streaming history."""
    table = _read_document(path, SPOTIFY_EXTENDED)
    uri = pl.col("spotify_track_uri")
    return _entries(
        table.select(
            user=_named("username"),
            title=pl.col("master_metadata_track_name"),
            artist=pl.col("master_metadata_album_artist_name"),
            time=pl.col("ts"),
            left_out=uri.is_null() | (pl.col("ms_played").fill_null(0) < SHORTEST_PLAY_MS),
        )
    )


def scan_spotify_account(path):
    """The Source of a streaming history in Spotify's account data."""
    table = _read_document(path, SPOTIFY_ACCOUNT)
    return _entries(
        table.select(
            title=pl.col("trackName"),
            artist=pl.col("artistName"),
            time=pl.col("endTime"),
            left_out=pl.col("msPlayed").fill_null(0) < SHORTEST_PLAY_MS,
        )
    )


def scan_maloja(path):
    """The Source of an export of Maloja; several artists of a track are joined by commas."""
    table = _read_document(path, MALOJA).explode("scrobbles").unnest("scrobbles").unnest("track")
    return _entries(
        table.select(title=pl.col("title"), artist=pl.col("artists").list.join(", "), time="time")
    )


def scan_mpd(path):
    """The Source of a slice of the Million Playlist Dataset, whose playlists are the listeners."""
    table = _read_document(path, MPD).explode("playlists").unnest("playlists")
    table = table.explode("tracks").unnest("tracks")
    return _entries(
        table.select(
            user=pl.col("pid").cast(pl.String),
            track=pl.col("track_uri"),
            title=pl.col("track_name"),
            artist=pl.col("artist_name"),
        )
    )


def scan_listenbrainz(path):
    """The Source of an export of ListenBrainz, or of its dump of many users: lines of JSON."""

    def field(*places):
        found = [pl.col("line").str.json_path_match(f"$.{place}") for place in places]
        return pl.coalesce(found)

    said = "track_metadata.additional_info"
    return Source(
        _lines(path).select(
            user=field("user_name").fill_null(ANONYMOUS),
            title=field("track_metadata.track_name"),
            artist=field("track_metadata.artist_name"),
            mbid=field("track_metadata.mbid_mapping.recording_mbid", f"{said}.recording_mbid"),
            isrc=field(f"{said}.isrc"),
            time=field("listened_at"),
            is_blank=IS_BLANK,
        )
    )


def scan_pano_scrobbler(path):
    """The Source of an export of Pano Scrobbler: lines of JSON."""

    def field(name):
        return pl.col("line").str.json_path_match(f"$.{name}")

    return Source(
        _lines(path).select(
            title=field("track"),
            artist=field("artist"),
            time=field("timeMs"),
            left_out=field("event") != "scrobble",
            is_blank=IS_BLANK,
        )
    )


def _lines(path):
    """The lines of a text file; JSON holds no control characters, so one of them separates."""
    return pl.scan_csv(
        path,
        separator="\x1f",
        has_header=False,
        quote_char=None,
        new_columns=["line"],
        infer_schema=False,
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
    )


def _read_document(path, schema):
    try:
        return pl.read_json(path, schema=schema).lazy()
    except pl.exceptions.PolarsError as error:
        said = str(error).splitlines()[0]
        raise Unreadable(f"is not readable as JSON: {said}: export it again") from error


def _named(column):
    """Whose history it is; some exports blank the name."""
    return pl.when(pl.col(column) != "").then(pl.col(column)).otherwise(pl.lit(ANONYMOUS))


def _entries(table):
    return Source(table, unit="entry")
