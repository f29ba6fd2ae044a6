"""audiorec demo: a simulated library and its listeners, to try everything on."""

import functools
import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another library.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes to use.", show_default="all cores")
    ] = None,
):
    """Make a simulated music library with a simulated listening log, to try audiorec on.

    Writes DIR/audio, synthesised tracks in eight styles, some of them new releases that nobody
    has played, and DIR/listens.tsv, the plays of listeners who do not exist either.
    """
    from audiorec_cli.demo import library

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AudiorecError(f"{folder} exists and is not empty: name another folder, or remove it")
    if not folder.absolute().parent.is_dir():
        raise AudiorecError(
            f"{folder.parent}: no such folder to make {folder.name} in: make it first"
        )
    settings = library.DemoSettings(seed=seed)
    unfinished = folder.with_name(f".{folder.absolute().name}.{os.getpid()}.part")
    try:
        _write(library, settings, unfinished, workers)
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    console.note(f"{folder}: read {folder}/README.txt for what to do with it")


def _write(library, settings, folder, workers):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    tracks = library.plan_library(settings)
    console.note(f"{len(tracks)} tracks and {settings.listeners} listeners, all of them simulated")
    write = functools.partial(library.write_track, folder=folder, settings=settings)
    with (
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
        console.progress("demo", total=len(tracks), unit="tracks") as advance,
    ):
        for _ in pool.map(write, tracks):
            advance()
    library.write_log(library.simulate_listening(tracks, settings), folder / "listens.tsv")
    library.write_readme(folder, settings)
