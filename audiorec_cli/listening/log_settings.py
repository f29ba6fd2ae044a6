"""What of a listening log is taken, and how; what its layouts are called."""

from dataclasses import dataclass, field, fields

# {name: what it is}; listening/log_formats.py tells them apart.
LOG_FORMATS = {
    "taste-profile": "Echo Nest Taste Profile triplets",
    "lastfm-1k": "Last.fm-1K listens",
    "lastfm-360k": "Last.fm-360K plays of artists",
    "listenbrainz": "ListenBrainz export",
    "pano-scrobbler": "Pano Scrobbler export",
    "spotify-extended": "Spotify extended streaming history",
    "spotify-account": "Spotify account data",
    "maloja": "Maloja export",
    "mpd": "Million Playlist Dataset",
    "parquet": "Parquet table",
    "table": "CSV or TSV with a header, such as Last.fm scrobbles",
}


@dataclass(frozen=True)
class Columns:
    """Which columns of a table say what, None to find them by their usual names.

    track : of an id; a track without one is its artist and title
    group : a column that splits each listener into several, such as a playlist
    of_one : the log may have no column of the listener, being one person's history
    has_options : the command has options that name columns, and --group-by
    """

    user: str | None = None
    track: str | None = None
    title: str | None = None
    artist: str | None = None
    plays: str | None = None
    time: str | None = None
    group: str | None = None
    of_one: bool = False
    has_options: bool = True

    @property
    def named(self):
        """{meaning: column} of those that are not to be found."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {meaning: name for meaning, name in values.items() if isinstance(name, str)}


@dataclass(frozen=True)
class LogSettings:
    """What of a log is taken, and how it counts.

    columns : which columns of a table say what; format : of FORMATS, None to recognise it
    since, until : the first second, and the one after the last, since 1970; None for no bound
    min_plays, min_listeners : of a track, else it is left out
    half_life_days : after which a play counts half, seen from the log's last; None for never
    by_session : each listener is split where nothing was played for 30 minutes
    """

    columns: Columns = field(default_factory=Columns)
    format: str | None = None
    since: float | None = None
    until: float | None = None
    min_plays: float = 0
    min_listeners: int = 1
    half_life_days: float | None = None
    by_session: bool = False

    @property
    def needs_time(self):
        """Whether it matters when a track was played."""
        bounds = (self.since, self.until, self.half_life_days)
        return self.by_session or any(bound is not None for bound in bounds)
