"""Opening what a user hands in, which may be damaged or hostile.

`opened` holds a file against SCHEMA before anything is read from it: no links, no external
storage, no virtual datasets, no filters, no types, shapes or sizes but those written there.
"""

import contextlib
import errno
import json
import math
import os
from pathlib import Path

import h5py
import numpy as np

from audiorec_cli import __version__
from audiorec_cli.errors import AudiorecError
from audiorec_cli.files.journal import recover
from audiorec_cli.files.schema import MADE_BY, READ_VERSIONS, SCHEMA, TEXT, called, field_of

STRINGS_AT_A_TIME = 256
TEXT_BYTES_AT_A_TIME = 1 << 30  # if each of them were all the text that the file has room for
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What HDF5, and the records, raise over a damaged file.
DAMAGE = (ValueError, TypeError, OSError, KeyError, RuntimeError)


class InUse(AudiorecError):
    """A file that another process is writing to."""


def kind_of(path):
    """The kind of the file at `path`, "" where it is none of audiorec's. Raises InUse."""
    path = Path(path)
    if not path.is_file():
        return ""
    try:
        with h5py.File(path, "r") as file:
            kind = attribute(file, "kind")
    except BlockingIOError as error:
        raise InUse(_who_locks(path)) from error
    except DAMAGE:
        return ""
    return kind if kind in MADE_BY else ""


def open_checked(path, kind, opener=h5py.File):
    """The checked HDF5 file of this kind at `path`, for the caller to close.

    opener : makes the h5py.File of a path
    """
    path = Path(path)
    if not path.is_file():
        what = " is no file" if path.exists() else ": no such file"
        raise AudiorecError(f"{path}{what}: {_remedy(kind)}")
    try:
        recover(path)
        file = opener(path)
    except BlockingIOError as error:
        raise InUse(_who_locks(path)) from error
    except PermissionError as error:
        raise AudiorecError(f"{path}: no permission to open it: check its owner") from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise AudiorecError(
                f"{path} has a journal to carry out: {error.strerror}: make room, then try again"
            ) from error
        raise AudiorecError(
            f"{path} is no HDF5 file, or truncated or damaged: {_remedy(kind)}"
        ) from error
    try:
        with refusing_damage(path, kind):
            _check_kind(file, path, kind)
            _check_datasets(file, kind)
    except BaseException:
        file.close()
        raise
    return file


@contextlib.contextmanager
def opened(path, kind):
    """Read a checked file of this kind; whatever does not fit in it is an AudiorecError."""
    with open_checked(path, kind) as file, refusing_damage(path, kind):
        yield file


@contextlib.contextmanager
def refusing_damage(path, kind):
    """Turn what a damaged file makes HDF5, and the records, raise into one line."""
    try:
        yield
    except DAMAGE as error:
        raise AudiorecError(f"{path} is damaged: {_one_line(error)}: {_remedy(kind)}") from error


def _remedy(kind):
    return f"make {called(kind)} with '{MADE_BY[kind]}'"


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def _check_kind(file, path, kind):
    found = attribute(file, "kind")
    if found != kind:
        held = f"holds {called(found)}" if found in MADE_BY else "is not a file of audiorec"
        raise AudiorecError(f"{path} {held}, not {called(kind)}: {_remedy(kind)}")
    version = file.attrs.get("schema_version")
    if not isinstance(version, np.integer) or version not in READ_VERSIONS:
        raise AudiorecError(
            f"{path} has schema version {version} and audiorec {__version__} reads versions "
            f"{READ_VERSIONS[0]} to {READ_VERSIONS[-1]}: upgrade audiorec, or {_remedy(kind)}"
        )


def attribute(file, name):
    """A text attribute of the root, "" where there is no such text."""
    if name not in file.attrs or file.attrs.get_id(name).shape != ():
        return ""
    value = file.attrs[name]
    return value if isinstance(value, str) else ""


def _check_datasets(file, kind):
    """Hold every object of the file against the schema; ValueError names the first misfit."""
    found = dict(walk(file.id))
    needed = [name for name, field in SCHEMA[kind].items() if not field.optional]
    missing = [name for name in needed if not name.endswith("*") and name not in found]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    lengths, stored = {}, 0
    for name, dataset in found.items():
        field = field_of(kind, name)
        if field is None:
            raise ValueError(f"{name} does not belong there")
        _check_dataset(name, dataset, field, lengths)
        stored += dataset.get_storage_size()
    if stored > file.id.get_filesize():
        raise ValueError("it claims more data than it holds")


def walk(group, prefix=""):
    """Every dataset below `group` by name; hard links only, so nothing leads out of the file.

    group : a GroupID; the datasets are DatasetIDs: h5py's own objects of them take several times
        as long, which of the hundreds in a checkpoint is felt.
    """
    for as_stored in group:
        name = as_stored.decode(TEXT)
        if group.links.get_info(as_stored).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{prefix}{name} is a link, which is refused")
        member = h5py.h5o.open(group, as_stored)
        if isinstance(member, h5py.h5d.DatasetID):
            yield prefix + name, member
        elif isinstance(member, h5py.h5g.GroupID) and not prefix:
            yield from walk(member, f"{name}/")
        else:
            raise ValueError(f"{prefix}{name} does not belong there")


def _check_dataset(name, dataset, field, lengths):
    creation, shape, stored = dataset.get_create_plist(), dataset.shape, dataset.get_type()
    if shape is None:
        raise ValueError(f"{name} has no shape")
    if creation.get_layout() == h5py.h5d.VIRTUAL or creation.get_external_count():
        raise ValueError(f"{name} keeps its data in another file, which is refused")
    if creation.get_nfilters():
        raise ValueError(f"{name} is compressed, which no file of audiorec is")
    if dtype_name(stored.dtype) != field.dtype:
        raise ValueError(f"{name} is {dtype_name(stored.dtype)}, not {field.dtype}")
    if field.shape != ("*",):
        if len(shape) != len(field.shape):
            raise ValueError(f"{name} has the shape {shape}")
        for letter, length in zip(field.shape, shape, strict=True):
            if lengths.setdefault(letter, length if isinstance(letter, str) else letter) != length:
                raise ValueError(f"{name} has the shape {shape}, which does not fit")
    if dataset.get_storage_size() < math.prod(shape) * stored.get_size():
        raise ValueError(f"{name} has rows that were never written")


def dtype_name(dtype):
    """A type as the schema writes it."""
    info = h5py.check_string_dtype(dtype)
    if info is not None:
        return TEXT if info.length is None else "fixed text"
    return dtype.name


def _who_locks(path):
    """One line that says which process holds the file open, where the system tells."""
    inode, holder = os.stat(path).st_ino, "another program"
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            columns = line.split()
            if len(columns) > 5 and columns[5].endswith(f":{inode}"):
                holder = f"process {columns[4]}"
    return f"{path} is in use by {holder}: wait until it has finished, or name another file"


def _room_for_text(file):
    """Bytes of the file that are no dataset's own, where its texts must be."""
    return max(1, file.id.get_filesize() - sum(d.get_storage_size() for _, d in walk(file.id)))


def _texts(dataset, room):
    """The texts of an h5py.Dataset, few at a time, so that a forged file cannot fill memory."""
    at_a_time = max(1, min(STRINGS_AT_A_TIME, TEXT_BYTES_AT_A_TIME // room))
    texts, read = [], 0
    for start in range(0, len(dataset), at_a_time):
        block = dataset[start : start + at_a_time]
        read += sum(map(len, block))
        if read > room:
            raise ValueError(f"{dataset.name} claims more text than the file holds")
        texts += [text.decode(TEXT, "surrogateescape") for text in block]
    return texts


def read(file, name):
    """The whole dataset `name`: an array, or a list of texts."""
    return _read_all(file, [name])[name]


def read_group(file, group):
    """The datasets below `group` by their names; HDF5 keeps no group that holds nothing."""
    names = [f"{group}/{name}" for name in file.get(group, ())]
    return {name.removeprefix(f"{group}/"): value for name, value in _read_all(file, names).items()}


def _read_all(file, names):
    datasets = {name: h5py.h5o.open(file.id, name.encode(TEXT)) for name in names}
    dtypes = {name: dataset.dtype for name, dataset in datasets.items()}
    texts = {name for name, dtype in dtypes.items() if dtype_name(dtype) == TEXT}
    room = _room_for_text(file) if texts else 0  # takes a walk over the file
    return {
        name: _texts(h5py.Dataset(dataset), room)
        if name in texts
        else _numbers(dataset, dtypes[name])
        for name, dataset in datasets.items()
    }


def _numbers(dataset, dtype):
    """What a DatasetID holds, as h5py reads it: an array, or a scalar where it has no axis."""
    values = np.zeros(dataset.shape, dtype.newbyteorder("="))
    if values.size:
        dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values[()]


def params(file):
    """The settings that the file was made with."""
    settings = json.loads(attribute(file, "params") or "{}")
    if not isinstance(settings, dict):
        raise ValueError("its settings are not a JSON object")
    return settings
