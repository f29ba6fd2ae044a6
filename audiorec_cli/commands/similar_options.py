"""The options of `similar`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli.options import file_option

LIST = "What comes into the list"


class Likeness(StrEnum):
    """What of two tracks is compared."""

    factors = "factors"
    usage = "usage"
    listening = "listening"


class Duplicates(StrEnum):
    """What becomes of further files of a recording."""

    keep = "keep"
    drop = "drop"


Queries = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="QUERY",
        help='A title, "artist - title", path or track_id, nearly right. Several give what is near '
        "to all of them together.",
    ),
]
Not = Annotated[
    list[str] | None,
    typer.Option("--not", metavar="QUERY", help="Away from this track; may be repeated."),
]
Extend = Annotated[
    Path | None,
    typer.Option(
        metavar="PLAYLIST",
        help="Go on with a playlist (.m3u8, .m3u, .xspf, .jspf): its tracks, found by path or "
        "by name, each once, and behind them -k that are near to all of them together.",
    ),
]
PathTo = Annotated[
    str | None,
    typer.Option(
        metavar="QUERY",
        help="Walk from the first track to this one, in -k even steps. The score tells how near a "
        "track is to its step.",
    ),
]
K = Annotated[
    int,
    typer.Option(
        "-k", min=1, help="Tracks to list, those asked for among them; with --extend, to add."
    ),
]
PlaylistOut = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--out",
        metavar="PLAYLIST",
        help="Playlist to write: .m3u8, .m3u, .xspf, .jspf, or .mpv.m3u8 for mpv; - writes an M3U8 "
        "to stdout.",
    ),
]
Pick = Annotated[int | None, typer.Option(min=1, help="Which of the numbered candidates is meant.")]
By = Annotated[
    Likeness,
    typer.Option(
        help="factors: predicted factors; usage: who would listen, as they predict; listening: "
        "the same by factors of the log, which new tracks have none of.",
    ),
]
Spread = Annotated[
    bool,
    typer.Option(
        "--spread",
        help="Rank tracks lower that are near to everything (cross-domain similarity local "
        "scaling); the score stays the cosine.",
        rich_help_panel=LIST,
    ),
]
MaxPerArtist = Annotated[
    int | None, typer.Option(min=1, help="Tracks of an artist, at most.", rich_help_panel=LIST)
]
MaxPerAlbum = Annotated[
    int | None, typer.Option(min=1, help="Tracks of an album, at most.", rich_help_panel=LIST)
]
MinScore = Annotated[
    float | None,
    typer.Option(min=-1, max=1, help="Leave out what scores less.", rich_help_panel=LIST),
]
NoQuery = Annotated[
    bool,
    typer.Option(
        "--no-query",
        help="Leave out the tracks asked for, and those of the playlist that goes on.",
        rich_help_panel=LIST,
    ),
]
SimilarMels = Annotated[
    Path | None,
    file_option(
        "--mels",
        "With --duplicates drop: the mels file that tells which tracks sound the same.",
        "the one that the predictions were made from, or the only one in this folder",
        rich_help_panel=LIST,
    ),
]
DuplicatesOption = Annotated[
    Duplicates,
    typer.Option(
        "--duplicates",
        help="drop: list a recording once. Its other files have the same artist and nearly the "
        "same title or, where there is a mels file, the same sound.",
        rich_help_panel=LIST,
    ),
]
