"""Finding files by what they are, and saying what they are."""

from pathlib import Path

from audiorec_cli.errors import AudiorecError
from audiorec_cli.files.reading import (
    attribute,
    dtype_name,
    kind_of,
    open_checked,
    params,
    walk,
)
from audiorec_cli.files.schema import MADE_BY

SUFFIXES = (".h5", ".hdf5")
TEXT_ATTRIBUTES = ("created_by", "audio_folder", "fingerprint")
# A column that has a row for each thing of that name.
ROWS_OF = {
    "tracks": "tracks/track_id",
    "excerpts": "excerpts/track",
    "failures": "failures/path",
    "listeners": "users/user_id",
    "epochs": "history/epoch",
}


def find_all(kind, folder="."):
    """The paths of all files of this kind in `folder`, in alphabetical order."""
    paths = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES)
    return [path for path in paths if kind_of(path) == kind]


def find(kind, option, folder="."):
    """The single file of this kind in `folder`; AudiorecError where there is none or several."""
    found = find_all(kind, folder)
    if not found:
        raise AudiorecError(
            f"no {kind} file in this folder: make one with '{MADE_BY[kind].command}', "
            f"or name one with {option}"
        )
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise AudiorecError(f"several {kind} files in this folder: {names}: pick one by {option}")
    return found[0]


def describe(path):
    """What the file at `path` is: kind, rows, provenance, settings and datasets, by name."""
    if not Path(path).is_file():
        raise AudiorecError(f"{path}: no such file: name a file that audiorec made")
    kind = kind_of(path)
    if not kind:
        raise AudiorecError(
            f"{path} is not a file of audiorec, or truncated or damaged: name another, or make "
            "one with 'audiorec mels AUDIO' or 'audiorec factorize LOG'"
        )
    with open_checked(path, kind) as file:
        datasets = dict(walk(file))
        texts = {name: attribute(file, name) for name in TEXT_ATTRIBUTES}
        return {
            "kind": kind,
            "schema_version": int(file.attrs["schema_version"]),
            **{name: text for name, text in texts.items() if text},
            "rows": {
                group: len(datasets[column])
                for group, column in ROWS_OF.items()
                if column in datasets
            },
            "settings": params(file),
            "datasets": {
                name: f"{dataset.shape} {dtype_name(dataset)}" for name, dataset in datasets.items()
            },
        }


def checkpoint_fingerprint(path):
    """The fingerprint that the checkpoint at `path` carries, without reading its weights."""
    with open_checked(path, "checkpoint") as file:
        return attribute(file, "fingerprint")
