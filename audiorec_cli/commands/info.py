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
    datasets = described.pop("datasets")
    settings = json.loads(described.pop("params", "{}"))
    rows = [("file", str(file)), *described.items()]
    rows += [(f"settings.{name}", value) for name, value in _flat(settings)]
    rows += [(f"data.{name}", value) for name, value in datasets.items()]
    console.print_table(
        ("what", "value"),
        [(name, value if as_json else _shown(value)) for name, value in rows],
        as_json=as_json,
    )


def _flat(settings, prefix=""):
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _shown(value):
    return value if isinstance(value, str) else json.dumps(value)
