"""audiorec demo: a simulated library and its listeners, to try everything on."""

import functools
import shutil
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import Seed, Workers


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    seed: Seed = 0,
    workers: Workers = None,
):
    """Make a simulated music library with a simulated listening log, to try audiorec on.

    Writes DIR/audio, synthesised tracks in eight styles, some of them new releases that nobody
    has played, and DIR/listens.tsv, the plays of listeners who do not exist either.
    """
    from audiorec_cli.demo.library import DemoSettings

    existed = folder.exists()
    if existed and not folder.is_dir():
        raise AudiorecError(f"{folder} is no folder: name a folder to make")
    if existed and any(folder.iterdir()):
        raise AudiorecError(f"{folder} exists and is not empty: name another folder")
    unfinished = folder / ".unfinished"
    try:
        _make(unfinished)
        _write(DemoSettings(seed=seed), unfinished, workers)
        for path in unfinished.iterdir():
            path.rename(folder / path.name)
    finally:
        if unfinished.exists():
            shutil.rmtree(unfinished)
        if not existed and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
    console.note(f"{folder}: read {folder}/README.txt for what to do with it")


def _make(unfinished):
    """Make the folder of an unfinished library, and the one that it lies in."""
    try:
        unfinished.parent.mkdir(exist_ok=True)
        unfinished.mkdir()
    except OSError as error:
        raise AudiorecError(
            f"{unfinished.parent} cannot be made: {error.strerror}: name another folder"
        ) from error


def _write(settings, folder, workers):
    from audiorec_cli.demo import library
    from audiorec_cli.workers import process_context, process_pool, starting_processes

    tracks = library.plan_library(settings)
    console.note(f"{len(tracks)} tracks and {settings.listeners} listeners, all of them simulated")
    write = functools.partial(library.write_track, folder=folder, settings=settings)
    context = process_context([library.__name__])
    with (
        process_pool(context, workers) as pool,
        console.progress("demo", total=len(tracks), unit="tracks") as advance,
    ):
        try:
            with starting_processes(context):
                written = pool.map(write, tracks)
            for _ in written:
                advance()
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    library.write_log(library.simulate_listening(tracks, settings), folder / "listens.tsv")
    library.write_readme(folder, settings)
