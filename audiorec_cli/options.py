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


_FOUND = "[default: the only one in this folder]"

MelsFile = Annotated[
    Path | None, typer.Option("--mels", help=f"Mels file. {_FOUND}", show_default=False)
]
FactorsFile = Annotated[
    Path | None, typer.Option("--factors", help=f"Factors file. {_FOUND}", show_default=False)
]
CheckpointFile = Annotated[
    Path | None, typer.Option("--checkpoint", help=f"Checkpoint. {_FOUND}", show_default=False)
]
PredictionsFile = Annotated[
    Path | None,
    typer.Option("--predictions", help=f"Predictions file. {_FOUND}", show_default=False),
]
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
