"""The track that a person means by a query."""

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError

CANDIDATES_SHOWN = 20


def row_of(query, tracks, pick):
    """The row of the track that a query means; where it is not clear the candidates are shown."""
    from audiorec_cli.retrieval.lookup import find_tracks

    rows, is_exact, is_clear = find_tracks(query, tracks)
    if not rows:
        raise AudiorecError(
            f'no track is called anything like "{query}": check the spelling, or make the '
            "predictions again with 'audiorec predict' if it is new"
        )
    if pick is not None and pick <= len(rows):
        return rows[pick - 1]
    if pick is None and is_clear:
        if not is_exact:
            console.note(f'no track is called "{query}": taken for {tracks.name(rows[0])}')
        return rows[0]
    for number, row in enumerate(rows[:CANDIDATES_SHOWN], start=1):
        console.note(f"{number:3}. {tracks.name(row)}  ({tracks.track_id[row]})")
    if pick is not None:
        n_tracks = console.counted(len(rows), "track")
        raise AudiorecError(f'"{query}" may mean {n_tracks}: --pick goes up to that')
    near = f"these {len(rows)} come" if len(rows) > 1 else "this comes"
    raise AudiorecError(
        f'no single track is called "{query}", {near} near: give a number with --pick, or more of '
        "the name"
    )
