"""The options of `recommend`, of which `audience` takes some."""

from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli.commands.factorize import LogFormat
from audiorec_cli.commands.similar_options import LIST

SPACE = "By sound or by listening"
LISTENING_FIRST = 0.0  # the C that leaves sound the tracks that nobody has played

User = Annotated[
    str | None,
    typer.Argument(
        metavar="USER",
        help="A listener, as the log names them; with --history, whose it is where it has several.",
    ),
]
HistoryFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Recommend to the listener with this history: a log of any format that factorize "
        "reads, or a playlist (by paths or by names). Tracks of the log count, and others of "
        "the library by their sound. Takes factors of the model als.",
    ),
]
HistoryFormat = Annotated[
    LogFormat | None,
    typer.Option(
        "--format",
        help="Format of the history, one of those that factorize --help names.",
        show_default="by content",
        metavar="FORMAT",
    ),
]
AllUsers = Annotated[
    Path | None,
    typer.Option(
        metavar="OUT",
        help="Recommend to every listener of the log, and write it to an .h5 or .parquet file.",
    ),
]
K = Annotated[int, typer.Option("-k", min=1, help="Tracks to list.")]
NewOnly = Annotated[
    bool,
    typer.Option(
        "--new-only", help="Only tracks of which the factors know no play.", rich_help_panel=LIST
    ),
]
KeepHeard = Annotated[
    bool,
    typer.Option(
        "--keep-heard",
        help="Tracks that the listener played come in too; else not, and where the log lists "
        "artists none by those played.",
        rich_help_panel=LIST,
    ),
]
Diversity = Annotated[
    float,
    typer.Option(
        min=0,
        max=0.99,
        help="From 0, the best tracks however alike, towards 1, tracks unlike each other (maximal "
        "marginal relevance).",
        rich_help_panel=LIST,
    ),
]
Blend = Annotated[
    bool,
    typer.Option(
        "--blend",
        help="Weigh listening n / (n + C) and sound the rest, n the listeners of a track; C is "
        "chosen on the validation tracks. Without it listening alone places every track that has "
        "a listener.",
        rich_help_panel=SPACE,
    ),
]
BlendAt = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1e9,
        metavar="C",
        help="Blend with this C: of a track with C listeners both weigh the same.",
        rich_help_panel=SPACE,
    ),
]
BlendCheckpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="FILE",
        help="The checkpoint that predicted: its validation tracks choose C for --blend, and "
        "tracks that it was not trained on tell recommend how sure sound is.",
        show_default="the one that the predictions name, else for --blend the only one here",
        rich_help_panel=SPACE,
    ),
]


def trust_of(blend, blend_at):
    """The C of the two options; None where it is to be chosen."""
    if blend_at is not None:
        return blend_at
    return None if blend else LISTENING_FIRST
