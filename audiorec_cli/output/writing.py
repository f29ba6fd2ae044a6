"""Files that other programs open: where they may be written, whole or not at all."""

import os
from pathlib import Path

from audiorec_cli.errors import AudiorecError

PART = ".audiorec-"  # what the names of files begin with that are not whole yet


def one_line(text):
    """A tag or file name on one line that UTF-8 and XML can hold: the rest becomes blanks."""
    text = text.encode("utf-8", "replace").decode()
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def require_file(out):
    """Refuse a place that no file can be written to, before work goes into it."""
    path = Path(out)
    if path.is_dir():
        raise AudiorecError(f"{out} is a folder: name a file to write")
    if path.exists() and not path.is_file():
        raise AudiorecError(f"{out} is no regular file: name a file to write")
    require_folder(path.parent, f"to write {path.name} in")


def require_folder(folder, purpose):
    """Refuse a folder that is not there, or cannot be written to."""
    if not folder.is_dir():
        raise AudiorecError(f"{folder}: no such folder {purpose}: make it first")
    if not os.access(folder, os.W_OK):
        raise AudiorecError(f"{folder}: no permission to write there: name another")


def require_folder_of(folder, is_ours, what):
    """Refuse a place that no folder can be made in, and a folder that holds anything else.

    is_ours : whether a folder that is there holds nothing else; what : it holds, in words
    """
    if not os.path.lexists(folder):
        require_folder(folder.parent, f"to make {folder.name} in")
        return
    if not folder.is_dir():
        raise AudiorecError(f"{folder} is no folder: name a folder to make")
    if not is_ours(folder):
        raise AudiorecError(f"{folder} holds something else than {what}: name another folder")
    require_folder(folder, "")


def write_whole(data, out):
    """Write bytes to the path `out`, whole or not at all; raises as write_together."""
    write_together({Path(out): data})


def write_together(contents):
    """Write files that belong together, none under its name before all are on the disk.

    contents : {path: bytes}; files of these names are replaced, in this order
    Raises AudiorecError where the disk has no room, or the place is not to be written to.
    """
    written = {}
    try:
        for number, (path, data) in enumerate(contents.items()):
            written[path] = path.with_name(f"{PART}{os.getpid()}-{number}.part")
            with open(written[path], "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for path, temporary in written.items():
            os.replace(temporary, path)
    except OSError as error:
        raise AudiorecError(
            f"{path} cannot be written: {error.strerror}: name another file, or make room"
        ) from error
    finally:
        for temporary in written.values():
            temporary.unlink(missing_ok=True)
