"""Reading and writing every file: the only package that knows HDF5."""

from audiorec_cli.files.finding import SUFFIXES, checkpoint_fingerprint, describe, find, find_all
from audiorec_cli.files.mels import MelsReader, MelsWriter, load_failures, load_mels
from audiorec_cli.files.reading import kind_of
from audiorec_cli.files.schema import MADE_BY
from audiorec_cli.files.whole import (
    load_checkpoint,
    load_factors,
    load_predictions,
    load_recommendations,
    save_checkpoint,
    save_factors,
    save_predictions,
    save_recommendations,
)
from audiorec_cli.files.writing import require_writable

__all__ = [
    "MADE_BY",
    "SUFFIXES",
    "MelsReader",
    "MelsWriter",
    "checkpoint_fingerprint",
    "describe",
    "find",
    "find_all",
    "kind_of",
    "load_checkpoint",
    "load_factors",
    "load_failures",
    "load_mels",
    "load_predictions",
    "load_recommendations",
    "require_writable",
    "save_checkpoint",
    "save_factors",
    "save_predictions",
    "save_recommendations",
]
