"""Finding files by what they are, and saying what they are."""

from pathlib import Path

import h5py

from audiorec_cli.errors import AudiorecError
from audiorec_cli.files.reading import attribute, kind_of, open_checked
from audiorec_cli.files.schema import MADE_BY

SUFFIXES = (".h5", ".hdf5")


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
    """What the file at `path` is: its kind, provenance, settings and shapes, as a dictionary."""
    if not Path(path).is_file():
        raise AudiorecError(f"{path}: no such file: name a file that audiorec made")
    kind = kind_of(path)
    if not kind:
        raise AudiorecError(
            f"{path} is not a file of audiorec, or truncated or damaged: name another, or make "
            "one with 'audiorec mels AUDIO' or 'audiorec factorize LOG'"
        )
    with open_checked(path, kind) as file:
        datasets = {}
        file.visititems(
            lambda name, item: (
                datasets.update({name: (item.shape, item.dtype)})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
        return {
            "kind": kind,
            "schema_version": int(file.attrs["schema_version"]),
            **{
                name: attribute(file, name)
                for name in ("created_by", "params", "audio_folder", "fingerprint")
                if attribute(file, name)
            },
            "datasets": datasets,
        }


def checkpoint_fingerprint(path):
    """The fingerprint that the checkpoint at `path` carries, without reading its weights."""
    with open_checked(path, "checkpoint") as file:
        return attribute(file, "fingerprint")
