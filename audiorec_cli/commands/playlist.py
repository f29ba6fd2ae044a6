"""The tracks of a playlist that a command is given."""

from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import LoggedTracks


def named_in(path):
    """What a playlist names, as Named. AudiorecError where that is nothing."""
    from audiorec_cli.output.playlist_reading import read_playlist

    if not (named := read_playlist(path)):
        raise AudiorecError(f"{path} names no track: name another playlist")
    return named


def rows_named(named, predicted):
    """The row of each track that a playlist names, None where the library does not have it.

    It is looked for by its path, or the path's end where the library moved, and then by its names.
    """
    from audiorec_cli.matching import find_matches
    from audiorec_cli.retrieval.lookup import find_paths

    with_path = [place for place, one in enumerate(named) if one.path is not None]
    paths = [named[place].path for place in with_path]
    found = find_paths(paths, predicted.tracks, predicted.audio_folder)
    rows = dict(zip(with_path, found, strict=True))
    others = [place for place in range(len(named)) if rows.get(place) is None]
    matches = find_matches(described([named[place] for place in others]), predicted.tracks)
    for place, row in zip(matches.library_rows, matches.log_rows, strict=True):
        rows[others[place]] = int(row)
    return [rows.get(place) for place in range(len(named))]


def described(named):
    """Named tracks as LoggedTracks; what they are called by is nobody's track_id."""
    return LoggedTracks.unplayed(
        track_id=[f"entry {place} of the playlist" for place in range(1, len(named) + 1)],
        title=[one.title for one in named],
        artist=[one.artist for one in named],
        isrc=[""] * len(named),
        mbid=[one.mbid for one in named],
    )
