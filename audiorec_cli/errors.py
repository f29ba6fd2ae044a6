"""The one error that a user sees, and the exit statuses."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the process answers to the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


class AudiorecError(Exception):
    """A failure that one line explains: the message names the thing and the remedy."""
