"""The track that a person means by a query."""

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError

CANDIDATES_SHOWN = 20


def row_of(query, tracks, pick):
    """The row of the track that a query means; where it is not clear the candidates are shown."""
    from audiorec_cli.retrieval.lookup import find_tracks

    rows = find_tracks(query, tracks)
    if not rows:
        raise AudiorecError(
            f'no track is called anything like "{query}": check the spelling, or make the '
            "predictions again with 'audiorec predict' if it is new"
        )
    if pick is not None and pick > len(rows):
        raise AudiorecError(f'"{query}" may mean {len(rows)} tracks: --pick goes up to that')
    if pick is not None:
        return rows[pick - 1]
    if len(rows) == 1:
        return rows[0]
    for number, row in enumerate(rows[:CANDIDATES_SHOWN], start=1):
        console.note(f"{number:3}. {tracks.name(row)}  ({tracks.track_id[row]})")
    raise AudiorecError(
        f'no single track is called "{query}", these {len(rows)} come near: '
        "give a number with --pick, or more of the name"
    )
