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


_FOUND = "the only one in this folder"


def _file_option(name, what):
    return typer.Option(name, metavar="FILE", help=what, show_default=_FOUND)


MelsFile = Annotated[Path | None, _file_option("--mels", "Mels file.")]
FactorsFile = Annotated[Path | None, _file_option("--factors", "Factors file.")]
CheckpointFile = Annotated[Path | None, _file_option("--checkpoint", "Checkpoint.")]
PredictionsFile = Annotated[Path | None, _file_option("--predictions", "Predictions file.")]
DeviceOption = Annotated[
    Device, typer.Option("--device", help="Where the network runs; auto takes a GPU if it can.")
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Excerpts at a time.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def found(kind, path, *, option=None):
    """`path`, or where none was named the only file of this kind in the current folder."""
    from audiorec_cli import console, files

    if path is not None:
        return path
    path = files.find(kind, option or f"--{kind}")
    console.note(f"{kind}: using {path}")
    return path
