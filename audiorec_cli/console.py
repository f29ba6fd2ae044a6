"""Talking to people and pipes: results to stdout, everything else to stderr."""

import contextlib
import json
import math
import os
import sys
import time
import unicodedata

from audiorec_cli.errors import AudiorecError

# Plain progress lines, for a log file or a pipe, come no closer together than this.
SECONDS_BETWEEN_LINES = 5.0


def printable(text):
    """`text` on one line, with nothing in it that could steer a terminal.

    Tags and file names are untrusted: control characters, line breaks, direction overrides and
    bytes that are no text are shown by their code.
    """
    return "".join(
        char if char == " " or unicodedata.category(char)[0] not in "CZ" or char == "\u3000"
        else _code(char)
        for char in str(text)
    )  # fmt: skip


def _code(char):
    if unicodedata.category(char) == "Zs":
        return " "
    return char.encode("unicode_escape").decode("ascii")


def counted(n, noun):
    """A number of things in words: "1 file", "2 files"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def note(text):
    """Say something on stderr: which file was taken, what was left out, what was written."""
    # a log that cannot be written is no reason to stop the work
    with contextlib.suppress(OSError):
        _stderr().print(printable(text), style="dim")


def error(text):
    """The one line on stderr that explains a failure."""
    with contextlib.suppress(OSError):
        console = _stderr()
        console.print("error: ", style="bold red", end="")
        console.print(printable(text))


def _stderr():
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_table(columns, rows, *, as_json=False, section=None, for_machines=()):
    """Print results to stdout: a table on a terminal, tab-separated in a pipe, JSON on request.

    columns : names; rows : tuples of text, numbers or None
    section : name of a column; the table is ruled where its value changes
    for_machines : names of columns that a terminal has no room for
    """
    rows = list(rows)
    with writing_results():
        if as_json:
            print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=1))
        elif sys.stdout.isatty():
            _print_rich_table(columns, rows, section, for_machines)
        else:
            for row in (columns, *rows):
                print("\t".join(_cell(value) for value in row))


def print_gap():
    """Print an empty line between two tables to stdout."""
    with writing_results():
        print()


def print_json(value):
    """Print a value to stdout as JSON, in letters that every terminal and pipe takes."""
    with writing_results():
        print(json.dumps(value, indent=1))


@contextlib.contextmanager
def writing_results():
    """Results that cannot be written are a failure; a reader that has had enough is none."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # what is left in the buffer would fail once more when the program ends
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        raise AudiorecError(
            f"the results cannot be written to stdout: {error.strerror}: send them elsewhere"
        ) from error


def _print_rich_table(columns, rows, section, hidden):
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    shown = [index for index, column in enumerate(columns) if column not in hidden]
    for index in shown:
        numeric = all(not isinstance(row[index], str) for row in rows)
        table.add_column(columns[index], justify="right" if numeric else "left", overflow="fold")
    where = columns.index(section) if section else None
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        ends = where is not None and following is not None and row[where] != following[where]
        table.add_row(*(Text(_cell(row[index])) for index in shown), end_section=ends)
    Console(emoji=False).print(table)


def _cell(value):
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.3f}" if isinstance(value, float) else printable(value)


@contextlib.contextmanager
def progress(description, *, total, unit):
    """Progress on stderr with rate and time left: a bar on a terminal, lines elsewhere.

    Yields advance(n=1, text=""), to be called as work is done.
    """
    from tqdm import tqdm

    class Bar(tqdm):
        """A bar that writes slow rates as "1.8s/track"."""

        @staticmethod
        def format_meter(*arguments, **options):
            return _with_plain_rate(tqdm.format_meter(*arguments, **options))

    make = Bar if sys.stderr.isatty() else _ProgressLines
    # a unit of " tracks" gives "12.3 tracks/s"
    bar = make(total=total, desc=description, unit=f" {unit}", file=sys.stderr)

    def advance(n=1, text=""):
        if text:
            bar.set_postfix_str(text, refresh=False)
        bar.update(n)

    try:
        yield advance
    finally:
        bar.close()


class _ProgressLines:
    """The part of tqdm's interface used here, as plain lines for where there is no terminal."""

    FORMAT = "{desc}: {n_fmt} of {total_fmt}, {elapsed} gone, {remaining} left, {rate_fmt}{postfix}"

    def __init__(self, *, total, desc, unit, file):
        self.total, self.description, self.unit, self.file = total, desc, unit, file
        self.n, self.postfix = 0, ""
        self.started = self.printed = time.monotonic()

    def set_postfix_str(self, text, refresh=False):
        self.postfix = text

    def update(self, n):
        self.n += n
        if time.monotonic() - self.printed >= SECONDS_BETWEEN_LINES:
            self._print()

    def close(self):
        if self.n:  # what failed at its first step has its own line
            self._print()

    def _print(self):
        from tqdm import tqdm

        self.printed = time.monotonic()
        line = tqdm.format_meter(
            self.n,
            self.total,
            self.printed - self.started,
            prefix=self.description,
            unit=self.unit,
            postfix=self.postfix,
            bar_format=self.FORMAT,
        )
        with contextlib.suppress(OSError):
            print(_with_plain_rate(line), file=self.file, flush=True)


def _with_plain_rate(line):
    """A tqdm line whose slow rate has no gap: the unit begins with one, for "12 tracks/s"."""
    return line.replace("s/ ", "s/")
