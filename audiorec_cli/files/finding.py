"""Finding files by what they are, and saying what they are."""

from pathlib import Path

from audiorec_cli.errors import AudiorecError
from audiorec_cli.files.reading import (
    InUse,
    attribute,
    dtype_name,
    kind_of,
    open_checked,
    opened,
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
    """The paths of all files of this kind in `folder`, in alphabetical order.

    A file that another process is writing to is not among them.
    """
    found, _ = _look(kind, folder)
    return found


def _look(kind, folder):
    """The files of this kind, and the InUse of each file that could not be looked into."""
    found, in_use = [], []
    for path in sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES):
        try:
            if kind_of(path) == kind:
                found.append(path)
        except InUse as error:
            in_use.append(error)
    return found, in_use


def find(kind, option, folder="."):
    """The single file of this kind in `folder`; AudiorecError where there is none or several."""
    found, in_use = _look(kind, folder)
    if not found and in_use:
        raise in_use[0]
    if not found:
        raise AudiorecError(
            f"no {kind} file in this folder: make one with '{MADE_BY[kind]}', "
            f"or name one with {option}"
        )
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise AudiorecError(f"several {kind} files in this folder: {names}: pick one by {option}")
    return found[0]


def describe(path):
    """What the file at `path` is: kind, rows, provenance, settings and datasets, by name."""
    if not Path(path).is_file():
        what = " is no file" if Path(path).exists() else ": no such file"
        raise AudiorecError(f"{path}{what}: name a file that audiorec made")
    kind = kind_of(path)
    if not kind:
        raise AudiorecError(
            f"{path} is not one of audiorec's HDF5 files, or truncated or damaged: name what mels, "
            "factorize, train, predict or recommend --all-users wrote"
        )
    with opened(path, kind) as file:
        datasets = dict(walk(file.id))
        texts = {name: attribute(file, name) for name in TEXT_ATTRIBUTES}
        return {
            "kind": kind,
            "schema_version": int(file.attrs["schema_version"]),
            **{name: text for name, text in texts.items() if text},
            "rows": {
                group: datasets[column].shape[0]
                for group, column in ROWS_OF.items()
                if column in datasets
            },
            "settings": params(file),
            "datasets": {
                name: f"{dataset.shape} {dtype_name(dataset.dtype)}"
                for name, dataset in datasets.items()
            },
        }


def checkpoint_fingerprint(path):
    """The fingerprint that the checkpoint at `path` carries, without reading its weights."""
    with open_checked(path, "checkpoint") as file:
        return attribute(file, "fingerprint")
