"""A file that changes in whole steps: all of a step is on disk, or nothing of it.

HDF5 writes a change as many small writes in no useful order, so a kill in their midst, or a full
disk, can leave a file that no longer opens. Here its writes are kept in memory, page by page, until
`commit`. Pages behind the end of the file go straight there, for nothing points at them yet; the
others are written to a journal first and then in their places. A journal that is found when the
file is opened again is carried out if it is complete and thrown away if not.
"""

import contextlib
import hashlib
import io
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, whose open files are not locked here
    fcntl = None

PAGE_BYTES = 1 << 16
MAGIC = b"audiorec journal 1\n"
NUMBER_BYTES = 8


class JournaledFile(io.RawIOBase):
    """A binary file for h5py's file-object driver that changes on disk at `commit` alone.

    It is locked against every other process while it is open. Raises BlockingIOError when
    another holds it.
    """

    def __init__(self, path):
        super().__init__()
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115 - closed by close()
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _carry_out(self._file, journal_of(path))
        except BaseException:
            self._file.close()
            raise
        self._journal = journal_of(path)
        self._size = self._committed_size = os.fstat(self._file.fileno()).st_size
        self._pages, self._position = {}, 0

    def readable(self):
        return True

    def writable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self):
        return self._position

    def truncate(self, size=None):
        self._size = self._position if size is None else size
        return self._size

    def readinto(self, buffer):
        wanted = max(0, min(len(buffer), self._size - self._position))
        done = 0
        while done < wanted:
            number, start = divmod(self._position + done, PAGE_BYTES)
            piece = memoryview(self._page(number))[start : start + wanted - done]
            buffer[done : done + len(piece)] = piece
            done += len(piece)
        self._position += wanted
        return wanted

    def write(self, data):
        data = memoryview(data).cast("B")
        done = 0
        while done < len(data):
            number, start = divmod(self._position + done, PAGE_BYTES)
            page = self._pages[number] = self._page(number)
            piece = data[done : done + PAGE_BYTES - start]
            page[start : start + len(piece)] = piece
            done += len(piece)
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def _page(self, number):
        if number in self._pages:
            return self._pages[number]
        self._file.seek(number * PAGE_BYTES)
        page = bytearray(self._file.read(PAGE_BYTES))
        return page.ljust(PAGE_BYTES, b"\0")

    def commit(self):
        """Put on disk what was written since the last commit.

        Raises OSError; on a full disk before anything that stood there is touched.
        """
        _reserve(self._file, self._committed_size, self._pages)
        behind = {n: p for n, p in self._pages.items() if n * PAGE_BYTES >= self._committed_size}
        for number, page in behind.items():
            _write_page(self._file, number, page)
        within = {n: p for n, p in self._pages.items() if n not in behind}
        os.fsync(self._file.fileno())
        _write_journal(self._journal, self._file, within, self._size)
        _carry_out(self._file, self._journal)
        self._committed_size, self._pages = self._size, {}

    def close(self):
        """Close the file; what was not committed is forgotten."""
        if not self.closed:
            self._file.close()
        super().close()


def journal_of(path):
    """Where the journal of the file at `path` stands."""
    path = Path(path)
    return path.with_name(f".{path.name}.journal")


def recover(path):
    """Carry out a journal that a killed process left beside `path`, unless it is still at work."""
    if journal_of(path).exists():
        with contextlib.suppress(BlockingIOError):
            JournaledFile(path).close()


def _reserve(file, size, pages):
    """Take the room that these pages need behind a file of this size, its last page included."""
    start = size // PAGE_BYTES * PAGE_BYTES
    end = (max(pages, default=-1) + 1) * PAGE_BYTES
    if end > start and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), start, end - start)


def _write_page(file, number, page):
    file.seek(number * PAGE_BYTES)
    left = memoryview(page)
    while left:  # a disk that is nearly full takes a part, and only then raises
        left = left[file.write(left) :]


def _write_journal(journal, file, pages, size):
    """Name the file, its size and its new pages, and last a digest that says it is all there."""
    content = bytearray(MAGIC)
    content += _numbers(os.fstat(file.fileno()).st_ino, size, len(pages))
    for number, page in pages.items():
        content += _numbers(number) + page
    content += hashlib.sha256(content).digest()
    with open(journal, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _numbers(*values):
    return b"".join(value.to_bytes(NUMBER_BYTES, "big") for value in values)


def _carry_out(file, journal):
    """Write a complete journal's pages in their places, then remove it."""
    try:
        content = journal.read_bytes()
    except FileNotFoundError:
        return
    body, digest = content[:-32], content[-32:]
    if hashlib.sha256(body).digest() == digest and body.startswith(MAGIC):
        numbers = io.BytesIO(body[len(MAGIC) :])

        def number():
            return int.from_bytes(numbers.read(NUMBER_BYTES), "big")

        inode, size, n_pages = number(), number(), number()
        if inode == os.fstat(file.fileno()).st_ino:
            for _ in range(n_pages):
                _write_page(file, number(), numbers.read(PAGE_BYTES))
            file.truncate(size)
            os.fsync(file.fileno())
    journal.unlink()
