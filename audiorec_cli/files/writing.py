"""Writing so that nothing is lost: whole files in one go, stamped with where they come from."""

import contextlib
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

from audiorec_cli import __version__
from audiorec_cli.errors import AudiorecError
from audiorec_cli.files.reading import kind_of
from audiorec_cli.files.schema import SCHEMA_VERSION, TEXT, field_of

SPARE_BYTES = 16 * 2**20


def encoded(kind, name, values):
    """`values` as the schema stores them; file names that are not UTF-8 keep their bytes."""
    dtype = field_of(kind, name).dtype
    if dtype != TEXT:
        return np.ascontiguousarray(values, dtype=dtype)
    texts = np.empty(len(values), dtype=object)
    texts[:] = [text.replace("\0", " ").encode(TEXT, "surrogateescape") for text in values]
    return texts


def stored_dtype(kind, name):
    """The HDF5 type of a dataset of the schema."""
    dtype = field_of(kind, name).dtype
    return h5py.string_dtype() if dtype == TEXT else dtype


def stamp(file, kind, params, **attributes):
    """The root attributes that say what the file is and where it comes from."""
    command = shlex.join(["audiorec", *sys.argv[1:]])
    file.attrs["schema_version"] = SCHEMA_VERSION
    texts = {
        "kind": kind,
        "created_by": f"audiorec {__version__}: {command}",
        "params": json.dumps(params),
        **attributes,
    }
    for name, text in texts.items():
        encoded = text.replace("\0", " ").encode(TEXT, "surrogateescape")
        file.attrs.create(name, encoded, dtype=h5py.string_dtype())


@contextlib.contextmanager
def written_whole(path, n_bytes):
    """A new HDF5 file that appears at `path` in one go, or not at all."""
    path = Path(path)
    require_space(path.parent, n_bytes)
    temporary = path.with_name(f".audiorec-{os.getpid()}.part")
    try:
        with h5py.File(temporary, "w") as file:
            yield file
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except PermissionError as error:
        raise AudiorecError(f"{path}: no permission to write there: name another file") from error
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(path, kind):
    """Refuse an output that cannot be written, or is something else, before work goes into it."""
    path = Path(path)
    if path.is_dir():
        raise AudiorecError(f"{path} is a folder: name a file to write, such as {path}/out.h5")
    if not path.parent.is_dir():
        raise AudiorecError(f"{path.parent}: no such folder to write {path.name} in: make it first")
    if path.exists() and not path.is_file():
        raise AudiorecError(f"{path} is no regular file: name a file to write")
    if path.exists() and kind_of(path) != kind:
        raise AudiorecError(f"{path} exists and holds no {kind}: name another file to write")
    if not os.access(path.parent, os.W_OK):
        raise AudiorecError(f"{path.parent}: no permission to write there: name another file")


def require_space(folder, n_bytes):
    """Refuse to begin what the disk cannot hold: HDF5 crashes on a full disk, it does not raise."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes + SPARE_BYTES:
        raise AudiorecError(
            f"{folder}: {free / 2**20:.0f} MiB free and {(n_bytes + SPARE_BYTES) / 2**20:.0f} MiB "
            "needed: make room, then run the same command again"
        )
