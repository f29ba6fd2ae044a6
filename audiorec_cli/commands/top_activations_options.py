"""The options of `top-activations`."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ALL = "all"


class By(StrEnum):
    """How a filter's activation over time becomes one number."""

    max = "max"
    mean = "mean"
    both = "both"


class PlaylistFormat(StrEnum):
    """What playlists are written as: the end of their names."""

    m3u8 = "m3u8"
    xspf = "xspf"
    jspf = "jspf"
    mpv = "mpv.m3u8"


def _filters(text):
    """ALL, or the numbers that "14" or "0-15" names, as a range."""
    if text == ALL or isinstance(text, range):
        return text
    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text, re.ASCII)
    if not match or int(match[1]) > int(match[2] or match[1]):
        raise typer.BadParameter(f"{text!r} is neither a number, nor 'all', nor 'A-B' upwards.")
    return range(int(match[1]), int(match[2] or match[1]) + 1)


Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer",
        help="conv1, conv2 …, dense1, dense2 …, output (the factors, before they are averaged and "
        "normalised), or all; may be repeated.",
        show_default="the last hidden one",
    ),
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        parser=_filters,
        metavar="N|A-B|all",
        help="From 0; may be repeated.",
        show_default="the most selective",
    ),
]
ByOption = Annotated[
    By, typer.Option("--by", help="Rank by the maximum or the mean over time, or make both lists.")
]
K = Annotated[int, typer.Option("-k", min=1, help="Tracks a filter.")]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--out",
        metavar="DIR",
        help="Folder to write a playlist a filter to, and index.tsv, which tells what each shares.",
    ),
]
Format = Annotated[
    PlaylistFormat | None,
    typer.Option(
        "--format",
        help="Of the playlists in DIR. VLC starts tracks where they fire in m3u8 and xspf, mpv in "
        "mpv.m3u8, and reads no xspf and jspf.",
        show_default="m3u8",
    ),
]
