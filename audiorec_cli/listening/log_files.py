"""The files that a log consists of: one, those of a folder, or those of a zip archive."""

import contextlib
import lzma
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.log_formats import FORMATS, recognise
from audiorec_cli.listening.log_settings import LOG_FORMATS
from audiorec_cli.listening.log_tables import HEAD_BYTES

JSON_BEGINS = re.compile(r'[\[{]\s*[\[{}"\]]')
OFFICE = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")  # what is in their archives
MAX_PACKED_RATIO, PACKED_BYTES_OF_NO_MATTER = 200, 1 << 16  # text packs to a tenth
ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF"
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(RuntimeError, NotImplementedError),  # of a password, or a compression that is not known
)


@dataclass(frozen=True)
class LogFile:
    """A file of a log: what people call it, where it is to be read, and its format's name."""

    name: str
    path: Path
    format: str

    def source(self, columns):
        """The Source that it is. Raises AudiorecError, or Unreadable."""
        layout = FORMATS[self.format]
        if not layout.has_columns and columns.named:
            raise AudiorecError(
                f"{self.name} is {LOG_FORMATS[self.format]}, whose columns are known: leave out "
                "the options that name columns, and a --group-by other than session"
            )
        return layout.scan(self.path, columns) if layout.has_columns else layout.scan(self.path)


@contextlib.contextmanager
def log_files(path, wanted=None):
    """The LogFiles at `path`, by name, all of one format.

    path : a file, a folder of any depth, or a zip archive, which is unpacked for as long
    wanted : the name of their format, None to recognise it by their content
    Raises AudiorecError where there is none, or where there are several formats.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        if path.is_dir():
            found = _of_folder(path)
        elif _head(path).startswith(ZIP):
            unpacked = stack.enter_context(tempfile.TemporaryDirectory(prefix="audiorec-"))
            found = _of_zip(path, Path(unpacked))
        else:
            yield [LogFile(str(path), path, wanted or _format_of_one(path))]
            return
        yield _of_one_format(path, found, wanted)


def _head(path):
    if not path.is_file():
        what = " is no file" if path.exists() else ": no such file"
        raise AudiorecError(f"{path}{what}: name a listening log")
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise AudiorecError(f"{path} cannot be opened: {error.strerror}: name another") from error


def _format_of_one(path):
    head = _head(path)
    if found := recognise(head):
        return found
    if head.startswith(HDF5):
        raise AudiorecError(f"{path} is an HDF5 file, and no listening log: name one")
    text = head.decode("utf-8-sig", "replace").lstrip()
    if not text:
        raise AudiorecError(f"{path} is empty: name a listening log")
    if "\0" in text or head.startswith(b"\x1f\x8b"):
        raise AudiorecError(f"{path} is no text in UTF-8: unpack it, or save it as CSV in UTF-8")
    if JSON_BEGINS.match(text):
        raise AudiorecError(
            f"{path} is JSON, but no history that is known: name its layout with --format, or "
            "turn it into CSV"
        )
    return "table"  # whose header may be named by options, or be told what it lacks


def _of_folder(folder):
    paths = sorted(Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    files = ((path, recognise(_head(path))) for path in paths if path.is_file())
    return [LogFile(f"{path}", path, found) for path, found in files if found]


def _of_zip(archive, folder):
    """Unpack what is recognised, under names of our own: an archive's may lead elsewhere."""
    found = []
    try:
        with zipfile.ZipFile(archive) as packed:
            members = sorted(
                (member for member in packed.infolist() if not member.is_dir()),
                key=lambda member: member.filename,
            )
            if any(member.filename in OFFICE for member in members):
                raise AudiorecError(f"{archive} is an office document: save its table as CSV")
            for member in members:
                with packed.open(member) as file:
                    format_name = recognise(file.read(HEAD_BYTES))
                if format_name:
                    _require_sanity(archive, member)
                    _require_room(archive, folder, member.file_size)
                    path = folder / f"{len(found)}"
                    with packed.open(member) as file, open(path, "wb") as out:
                        shutil.copyfileobj(file, out)
                    found.append(LogFile(f"{archive}: {member.filename}", path, format_name))
    except ZIP_ERRORS as error:
        raise AudiorecError(
            f"{archive} cannot be unpacked: {error}: unpack it yourself, and name the folder"
        ) from error
    return found


def _require_sanity(archive, member):
    if member.file_size > MAX_PACKED_RATIO * max(member.compress_size, PACKED_BYTES_OF_NO_MATTER):
        raise AudiorecError(
            f"{archive} holds {member.file_size / 2**20:.0f} MiB of hardly anything in "
            f"{member.filename}: unpack it yourself, and name the folder"
        )


def _require_room(archive, folder, n_bytes):
    if n_bytes > shutil.disk_usage(folder).free:
        raise AudiorecError(
            f"{archive} holds {n_bytes / 2**20:.0f} MiB, and {folder.parent} has less room: make "
            "room, or set TMPDIR to a larger disk"
        )


def _of_one_format(path, found, wanted):
    formats = sorted({file.format for file in found})
    if wanted:
        found = [file for file in found if file.format == wanted]
    elif len(formats) > 1:
        either = " or ".join(f"--format {name}" for name in formats)
        raise AudiorecError(f"{path} holds logs of several kinds: pick one with {either}")
    if not found:
        kind = LOG_FORMATS[wanted] if wanted else "listening log that is known"
        raise AudiorecError(f"{path} holds no {kind}: name another")
    return found
