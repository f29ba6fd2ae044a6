"""The listeners that tracks are recommended to: of the log, or with a history of their own."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiorec_cli import console
from audiorec_cli.commands.own_space import in_own_space
from audiorec_cli.commands.playlist import described, named_in, rows_named
from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import LoggedTracks

NAMES_SHOWN = 3


class Listener(NamedTuple):
    """Somebody to recommend to.

    name : as the log or the file calls him or her; factors : (n_factors,) of any norm
    plays : (1, n_tracks) CSR of the tracks that Factors know; heard : (k,) rows of the library's
    """

    name: str
    factors: np.ndarray
    plays: Any
    heard: np.ndarray


class History(NamedTuple):
    """What a file tells of one listener: tracks, with the plays (k,) of each.

    where : the file; tracks : LoggedTracks
    lacks : as of a LogReading
    """

    where: Path
    name: str
    tracks: LoggedTracks
    plays: np.ndarray
    lacks: str = ""


def has_taste(factors):
    """(n_users,) bool: the listeners of whom Factors know something."""
    plays = factors.log.plays[:, ~factors.is_held_out]
    return factors.user_factors.any(axis=1) & (plays.getnnz(axis=1) > 0)


def heard_by(plays, known):
    """Which tracks of the library were played: (m, n) CSR, positive where they were.

    plays : (m, n_tracks) CSR of the log's tracks; known : Listened
    """
    from scipy.sparse import csr_matrix

    n_users, n_logged = plays.shape
    with_none = csr_matrix((plays.data, plays.indices, plays.indptr), (n_users, n_logged + 1))
    return with_none[:, np.where(known.log_rows < 0, n_logged, known.log_rows)]


def listener_of_log(user_id, factors, known):
    """The Listener that the log calls so. AudiorecError where it knows none, or no taste of it."""
    log = factors.log
    if user_id not in log.user_id:
        raise AudiorecError(
            f'the log has no listener "{user_id}"{_nearly(user_id, log.user_id)}: check the name, '
            "or give the plays of someone else with --history FILE"
        )
    row = log.user_id.index(user_id)
    plays = log.plays[row]
    vector = factors.user_factors[row]
    if not has_taste(factors)[row]:
        raise AudiorecError(
            f"{user_id} played nothing that the factors were fitted to: ask for another listener"
        )
    return Listener(user_id, vector, plays, heard_by(plays, known).indices)


def _nearly(user_id, user_ids):
    from rapidfuzz import process

    names = [name for name, _, _ in process.extract(user_id, user_ids, limit=NAMES_SHOWN)]
    return f" (it has {', '.join(names)}{' …' * (len(names) < len(user_ids))})" if names else ""


def read_history(path, user_id, predicted, log_format=None):
    """The History in a file.

    path : a log of any format that `factorize` reads, or a playlist
    user_id : whose of the listeners in the file, None where it has one
    log_format : of the log, None to recognise it
    """
    from audiorec_cli.output.playlists import SUFFIXES

    if path.suffix.lower() in SUFFIXES:
        if user_id is not None or log_format is not None:
            raise AudiorecError(f"{path} is a playlist: leave out USER and --format")
        return _history_of_playlist(path, predicted)
    return _history_of_log(path, user_id, log_format)


def listener_of_history(history, predicted, factors, known):
    """The Listener with a History, placed by one step of the fit.

    Its tracks that the factors were fitted to count, and of others those of the library, by what is
    predicted from their sound. known : Listened of the library
    Returns the Listener, and Factors that know all these tracks. AudiorecError where it has none.
    """
    from audiorec_cli import matching
    from audiorec_cli.listening.folding import fold_in_listeners, require_als

    require_als(factors, "--history")
    by_artist = factors.params.get("items") == "artists"
    # of files of one song all count as heard, of rows of one song all are known
    files_of_it = matching.find_matches(predicted.tracks, history.tracks).library_rows
    in_library = matching.find_matches(history.tracks, predicted.tracks)
    in_log = matching.find_matches(history.tracks, factors.log.tracks, by_artist=by_artist)
    rows, log_rows = _with_those_of_library(in_log, in_library, known)
    heard = np.flatnonzero(np.isin(known.log_rows, log_rows))
    heard = np.unique(np.r_[heard, files_of_it, in_library.log_rows])
    is_fitted = ~factors.is_held_out[log_rows]
    rows, log_rows = rows[is_fitted], log_rows[is_fitted]
    by_sound = known.is_new[in_library.log_rows] & ~np.isin(in_library.library_rows, rows)
    factors, places = _with_library(factors, in_library.log_rows[by_sound], predicted, known)
    alone = in_library.library_rows[by_sound]
    counts = history.plays[np.r_[rows, alone]]
    plays = _row_of(np.r_[log_rows, places], counts, len(factors.log.tracks))
    vector = fold_in_listeners(plays, factors)[0]
    if not vector.any():
        raise AudiorecError(_nothing_known(history, by_artist))
    _describe_history(history, rows, alone)
    return Listener(history.name, vector, plays, heard), factors


def _with_those_of_library(in_log, in_library, known):
    """The history's tracks that the log has, and its rows of them: (k,) each.

    in_log, in_library : Matches of the history's tracks; known : Listened of the library. What the
    library calls by the history's names, and the log by others, is among them.
    """
    log_rows = known.log_rows[in_library.log_rows]
    is_more = (log_rows >= 0) & ~np.isin(in_library.library_rows, in_log.library_rows)
    rows = np.concatenate([in_log.library_rows, in_library.library_rows[is_more]])
    return rows, np.concatenate([in_log.log_rows, log_rows[is_more]])


def _with_library(factors, rows, predicted, known):
    """Factors that know these rows (k,) of the library, and where in their log each is: (k,)."""
    from audiorec_cli.listening.folding import with_tracks

    if not len(rows):
        return factors, rows
    once, place = np.unique(rows, return_inverse=True)
    logged = _as_logged(predicted.tracks.take(once))
    directions = predicted.predicted_factors[once]
    factors, places = with_tracks(factors, logged, known.log_rows[once], directions)
    return factors, places[place]


def _as_logged(tracks):
    """Tracks of the library as a log would name them."""
    return LoggedTracks.unplayed(
        tracks.track_id, tracks.title, tracks.artist, tracks.isrc, tracks.mbid
    )


def _nothing_known(history, by_artist):
    """What is wrong with a History of which nothing is known, and the remedy."""
    # a log of artists needs no titles
    lacks = "" if by_artist and history.lacks == "title" else history.lacks
    remedy = "give a history with tracks of either"
    if lacks:
        remedy = f"call its column with the {lacks}s {lacks}, if it has one, or {remedy}"
    n_tracks = console.counted(len(history.tracks), "track")
    return (
        f"{history.where}: {n_tracks}, such as {history.tracks.name(0)}, and none that the factors "
        f"were fitted to, or that is in the library: {remedy}"
    )


def _describe_history(history, in_log, by_sound):
    """Note what places how many of a history's tracks: these are its rows."""
    n_tracks = len(history.tracks)
    others = np.setdiff1d(np.arange(n_tracks), np.union1d(in_log, by_sound))
    names = "; ".join(history.tracks.name(row) for row in others[:NAMES_SHOWN])
    parts = [f"{len(in_log)} placed by listening"]
    if len(by_sound):
        parts.append(f"{len(by_sound)} by sound")
    if names:
        shown = names + " …" * (len(others) > NAMES_SHOWN)
        parts.append(f"{len(others)} by neither: {shown}")
    console.note(f"{history.where}: {console.counted(n_tracks, 'track')}, {', '.join(parts)}")


def _row_of(columns, values, n):
    """A (1, n) CSR with these values, added up where a column comes again."""
    from scipy.sparse import csr_matrix

    row = csr_matrix((values.astype(np.float32), (np.zeros(len(columns), int), columns)), (1, n))
    row.sum_duplicates()
    return row


def _history_of_playlist(path, predicted):
    """The History of a playlist, each entry one play: of the library's tracks, or of others."""
    named = named_in(path)
    rows = rows_named(named, predicted)
    in_library = Counter(row for row in rows if row is not None)
    missing = [one for one, row in zip(named, rows, strict=True) if row is None]
    elsewhere = Counter(one._replace(path=None) for one in missing if one.title or one.mbid)
    if not in_library and not elsewhere:
        raise AudiorecError(
            f"{path}: none of its tracks is in the library, or has a name: give a playlist of this "
            "library, or one with titles"
        )
    if n_left_out := len(named) - in_library.total() - elsewhere.total():
        console.note(
            f"{path}: {n_left_out} of {len(named)} entries are left out: not in the library, and "
            "without a name"
        )
    tracks = _as_logged(predicted.tracks.take([*in_library])).followed_by(described([*elsewhere]))
    plays = np.array([*in_library.values(), *elsewhere.values()])
    return History(path, path.stem, tracks, plays)


def _history_of_log(path, user_id, log_format):
    from audiorec_cli.listening import logs
    from audiorec_cli.listening.log_settings import Columns, LogSettings
    from audiorec_cli.listening.log_source import ANONYMOUS

    settings = LogSettings(columns=Columns(of_one=True, has_options=False), format=log_format)
    reading = logs.read_log(path, settings)
    log = reading.plays
    if user_id is None and len(log.user_id) > 1:
        shown = ", ".join(log.user_id[:NAMES_SHOWN])
        raise AudiorecError(
            f"{path} has {len(log.user_id)} listeners, such as {shown}: name one of them"
        )
    if user_id not in (None, ANONYMOUS) and log.user_id == [ANONYMOUS]:
        raise AudiorecError(f"{path} is the history of one listener: leave out USER")
    if user_id is not None and user_id not in log.user_id:
        raise AudiorecError(
            f'{path} has no listener "{user_id}"{_nearly(user_id, log.user_id)}: check the name'
        )
    row = log.plays[0 if user_id is None else log.user_id.index(user_id)]
    return History(
        path, user_id or path.stem, log.tracks.take(row.indices), row.data, reading.lacks
    )


class Reasons:
    """Which of a listener's plays speaks most for a track.

    It is the play that adds most to the score (listening.folding.Contributions); with factors of
    another model than "als", and in a space of the predictions' own, where that would hardly ever
    be another than what was played most, the one whose factors are nearest to the track's.

    factors : Factors; predicted : Predictions; coordinates : (n, n_factors) of their tracks
    """

    def __init__(self, factors, predicted, coordinates):
        from audiorec_cli.listening.folding import Contributions

        self._factors, self._predicted, self._coordinates = factors, predicted, coordinates
        is_als = factors.params.get("model") == "als" and not in_own_space(predicted)
        self._contributions = Contributions(factors) if is_als else None

    def of(self, plays, rows):
        """Names of the tracks played that speak most for each track of the library: k texts.

        plays : (1, n_tracks) CSR of one listener, of tracks of the log; rows : (k,) of the library
        """
        log, played, directions = self._factors.log, plays.indices, self._coordinates[rows]
        if self._contributions is None:
            parts = directions @ self._factors.track_factors[played].T
        else:
            parts = self._contributions.of(plays, directions)
        return [log.tracks.name(played[place]) for place in parts.argmax(axis=1)]
