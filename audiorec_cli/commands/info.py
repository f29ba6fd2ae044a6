"""audiorec info: what a file is."""

import json
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.options import Json


def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that audiorec made.")],
    as_json: Json = False,
):
    """Tell what a file is: its kind, its rows, its settings and the command that made it."""
    from audiorec_cli import files

    described = files.describe(file)
    settings, datasets = _flat(described.pop("settings")), described.pop("datasets")
    rows = [
        ("file", str(file)),
        *described.pop("rows").items(),
        *described.items(),
        *((f"settings.{name}", json.dumps(value)) for name, value in settings),
        *((f"data.{name}", shape) for name, shape in datasets.items()),
    ]
    console.print_table(("what", "value"), rows, as_json=as_json)


def _flat(settings, prefix=""):
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
