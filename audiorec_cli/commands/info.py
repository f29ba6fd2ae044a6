"""audiorec info: what a file is."""

import json
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.options import Json


def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that audiorec made.")],
    failures: Annotated[
        bool, typer.Option("--failures", help="List what gave no track to a mels file, and why.")
    ] = False,
    as_json: Json = False,
):
    """Tell what a file is: its kind, its rows, its settings and the command that made it."""
    from audiorec_cli import files

    if failures:
        rows = [(failure.path, failure.reason) for failure in files.load_failures(file)]
        console.print_table(("path", "reason"), rows, as_json=as_json)
        return
    described = {"file": str(file), **files.describe(file)}
    if as_json:
        console.print_json(described)
        return
    rows = described.pop("rows")
    console.print_table(("what", "value"), [*rows.items(), *_flat(described)])


def _flat(described, prefix=""):
    for name, value in described.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)
