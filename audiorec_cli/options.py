"""Options that several commands share, and the finding of files that were not named."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Device(StrEnum):
    """Where the network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


def enum_of(name, values):
    """An enumeration of these texts, as an option that takes one of them needs it."""
    return StrEnum(name, [(value.replace("-", "_"), value) for value in values])


_FOUND = "the only one in this folder"


def file_option(name, what, default=_FOUND, **options):
    """An option that names a file; `default` tells which one is taken without it."""
    return typer.Option(name, metavar="FILE", help=what, show_default=default, **options)


MelsFile = Annotated[Path | None, file_option("--mels", "Mels file.")]
FactorsFile = Annotated[Path | None, file_option("--factors", "Factors file.")]
CheckpointFile = Annotated[Path | None, file_option("--checkpoint", "Checkpoint.")]
PredictionsFile = Annotated[
    Path | None,
    file_option("--predictions", "Predictions file.", f"{_FOUND}; made where there is none yet"),
]
DeviceOption = Annotated[
    Device, typer.Option("--device", help="Where the network runs; auto takes a GPU if it can.")
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, max=65536, help="Excerpts at a time.")
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=2**32 - 1, help="The same seed, the same result.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes to use.", show_default="all cores"),
]
RelativeTo = Annotated[
    Path | None,
    typer.Option(
        "--relative-to",
        metavar="DIR",
        help="Write paths in playlists relative to the folder that they will lie in; for mpv, "
        "those of tracks that begin at a second stay absolute.",
        show_default="absolute paths",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


# What each kind of file is called unless it is named.
DEFAULT_NAMES = {
    "mels": Path("mels.h5"),
    "factors": Path("factors.h5"),
    "checkpoint": Path("model.h5"),
    "predictions": Path("predictions.h5"),
}


def found(kind, path):
    """`path`, or where none was named the only file of this kind in the current folder."""
    from audiorec_cli import console, files

    if path is not None:
        return path
    path = files.find(kind, f"--{kind}")
    console.note(f"{kind}: using {path}")
    return path
