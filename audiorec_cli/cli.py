"""The command `audiorec`: registers the commands and turns a failure into one line."""

import _thread
import os
import signal
import sys
import threading
from typing import Annotated

import typer

from audiorec_cli import __version__, console
from audiorec_cli.commands.audience import audience
from audiorec_cli.commands.concat import concat
from audiorec_cli.commands.demo import demo
from audiorec_cli.commands.evaluate import evaluate
from audiorec_cli.commands.export import export
from audiorec_cli.commands.factorize import factorize
from audiorec_cli.commands.filters import filters
from audiorec_cli.commands.info import info
from audiorec_cli.commands.map import map_tracks
from audiorec_cli.commands.mels import mels
from audiorec_cli.commands.outliers import outliers
from audiorec_cli.commands.page import page
from audiorec_cli.commands.predict import predict
from audiorec_cli.commands.recommend import recommend
from audiorec_cli.commands.similar import similar
from audiorec_cli.commands.top_activations import top_activations
from audiorec_cli.commands.train import train
from audiorec_cli.errors import AudiorecError, ExitStatus

IMPORTING = "<frozen importlib"  # what the files of frames begin with that import
SOON_S = 0.02

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    mels, factorize, concat, train, predict, evaluate, similar, recommend, audience,
    outliers, top_activations, filters, map_tracks, page, export, info, demo,
):  # fmt: skip
    module = command.__module__.rpartition(".")[2]  # map.py has no function that is called map
    app.command(name=module.replace("_", "-"))(command)


def _print_version(wanted: bool):
    if wanted:
        print(f"audiorec {__version__}")
        raise typer.Exit


@app.callback()
def audiorec(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
):
    """Recommend music from its sound.

    mels + factorize → train → predict → similar, map, page, top-activations: each command hands
    an HDF5 file to the next, and files that are not named are found in the current folder by what
    they are. Begin with: audiorec mels ./audio
    """


def main(argv=None):
    """Run the command line `argv` (without the program's name) and return its exit status."""
    try:
        app(args=argv, prog_name="audiorec")
    except AudiorecError as failure:
        console.error(failure)
        return ExitStatus.FAILED
    except OSError as failure:
        if failure.filename is None:
            raise
        console.error(
            f"{failure.filename}: {failure.strerror}: name another path, or mend this one"
        )
        return ExitStatus.FAILED
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except SystemExit as end:
        return end.code or ExitStatus.DONE
    return ExitStatus.DONE


def run():
    """The entry point of the console command."""
    sys.unraisablehook = _interrupt_again
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not that of nohup
        signal.signal(signal.SIGINT, _interrupt_unless_importing)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    # Python that a library starts, to run a line of code, would import what lies in the current
    # folder, which is full of files that others made (`python -m audiorec_cli` does so itself)
    os.environ["PYTHONSAFEPATH"] = "1"
    # titles may hold letters that the terminal's encoding lacks
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())


def _interrupt_unless_importing(_, frame):
    """Raise a Ctrl-C, behind an import that it comes amid: libraries loaded in part may crash."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORTING):
            return _interrupt_soon()
        frame = frame.f_back
    raise KeyboardInterrupt


def _interrupt_soon():
    threading.Timer(SOON_S, _interrupt).start()


def _interrupt():
    """Ctrl-C once more; where it can be, as a signal, which wakes what waits as well."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _interrupt_again(unraisable):
    """Repeat a Ctrl-C that came while Python was where nothing can be raised, and would be lost."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        _interrupt_soon()
    else:
        sys.__unraisablehook__(unraisable)
