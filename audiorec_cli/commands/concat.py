"""audiorec concat: several models' factors of one log side by side."""

from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import DEFAULT_NAMES

FactorsFiles = Annotated[
    list[Path],
    typer.Argument(metavar="FACTORS", help="Factors files, two or more, made from one log."),
]
OutFile = Annotated[Path, typer.Option(help="Factors file to write.")]


def concat(factors: FactorsFiles, out: OutFile = DEFAULT_NAMES["factors"]):
    """Put several models' factors of the same log side by side, each normalised.

    The models may differ, and so may the numbers of their factors; the log and the tracks held
    out may not. What is trained on the file that is written, and predicted, is recommended and
    compared as with one model's; only recommend --history, --blend without C and train --objective
    wpe take factors of the model als alone.
    """
    from audiorec_cli import files
    from audiorec_cli.listening.concatenation import concatenate

    if len(factors) < 2:
        raise AudiorecError(f"{factors[0]} is one factors file: name two or more")
    if any(out.resolve() == path.resolve() for path in factors):
        raise AudiorecError(f"{out} is one of those to concatenate: name another with --out")
    if len({path.resolve() for path in factors}) < len(factors):
        raise AudiorecError("a factors file is named twice: name each once")
    files.require_writable(out, "factors")
    joined = concatenate([files.load_factors(path) for path in factors], list(map(str, factors)))
    files.save_factors(out, joined)
    _describe(out, factors, joined)


def _describe(out, paths, joined):
    n_tracks, n_factors = joined.track_factors.shape
    items = joined.params.get("items", "tracks")
    console.note(f"{out}: {n_factors} factors of {n_tracks} {items}, from {len(paths)} files")
