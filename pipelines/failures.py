"""What a failure means to the caller: stable exit codes, and which faults a person can act on.

Belongs here: the table of exit codes and the sorting of faults into it. Does not belong here: printing (`pipelines.cli`).
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `mhwg`. They do not change; scripts may rely on them."""

    DONE = 0
    """Everything asked for was done; also when there was nothing new."""
    BUG = 1
    """A fault of the program, with its traceback."""
    PARTIAL = 2
    """A release stands, but at least one source failed or was late; its last good data were used."""
    REFUSED = 3
    """A check or the disclosure audit stopped the work; the last good release is untouched."""
    SETTINGS = 4
    """The settings file or a secret is missing or wrong."""
    BUSY = 5
    """Another process is writing; try again when it has ended."""
    NOT_FOUND = 6
    """What was asked for does not exist (a table, an indicator, a release), or nothing has been refreshed yet."""
    USAGE = 64
    """The command line was not understood."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; the last good state stands."""


class Refused(Exception):
    """A fault that the reader can act on: its text says what was found, what was expected and what to do."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


class SettingsError(Refused):
    """The settings file or a secret is missing or wrong; the message names file, key, what was found and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.SETTINGS)
