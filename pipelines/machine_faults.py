"""Faults of the machine, not of data or program: no memory, no room on a disk, no right to a file, a damaged file. One sentence
with what to do.

Belongs here: recognising them by what Python, DuckDB and SQLite say, and the sentence. Does not belong here: exit codes and
printing (`pipelines.cli`), sending (`pipelines.alerts`).

The sentence is ours alone: a library's words may quote a path or a value, so they are left to the run's log.
"""

import errno
import os

_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
_SQLITE = (
    (errno.ENOSPC, "disk is full"),
    (errno.ENOSPC, "disk i/o error"),
    (errno.EACCES, "attempt to write a readonly database"),
    (errno.EACCES, "unable to open database file"),
)
_OF_FILES = frozenset(
    {
        "OSError", "PermissionError", "OperationalError",
        "IOException", "TransactionException", "FatalException",  # DuckDB
        "ComputeError", "ArrowException",  # polars, pyarrow
    }
)  # fmt: skip

NO_MEMORY = (
    "There was not enough memory: what was begun has been undone, the last good state stands. Let other programs give some "
    "back, or give the service more (MemoryMax of its unit, mem_limit of its container, most_memory_mb in [warehouse] of the "
    "settings), and run again."
)
NO_ROOM = (
    "A disk is full, or a file may not grow: what was begun has been undone, the last good state stands. Make room (old "
    "`backups/`, old releases); `mhwg doctor` says how much is free. Then run again."
)
NO_RIGHTS = (
    "A file or folder may not be written or read by this account: what was begun has been undone, the last good state stands. "
    "Look who owns the state folder (`mhwg doctor`), and whether its disk is mounted read-only; then run again."
)

DAMAGED = (
    "A database file is damaged: its checksums differ or its end is missing; nothing was published from it. If it is the "
    "warehouse, go back to a backup: `mhwg restore FILE --replace`; the next refresh pulls what came since."
)
_DAMAGE = ("corrupt database file", "could not read enough bytes from file", "database disk image is malformed")


def machine_sentence(fault_class: str, message: str) -> str | None:
    """What to do about a fault of the machine, known by its class and its text; None for any other fault.

    The text counts only in classes that speak of files: a source's own sentence may have the same words.
    """
    if fault_class in ("MemoryError", "OutOfMemoryException"):
        return NO_MEMORY
    text = message.lower()
    if fault_class in (*_OF_FILES, "Error", "DatabaseError") and any(words in text for words in _DAMAGE):
        return DAMAGED
    if fault_class not in _OF_FILES:
        return None
    if any(words in text for words in _words(_ROOM)):
        return NO_ROOM
    if fault_class == "PermissionError" or any(words in text for words in _words(_RIGHTS)):
        return NO_RIGHTS
    return NO_MEMORY if any(words in text for words in _words((errno.ENOMEM,))) else None


def _words(numbers: tuple[int, ...]) -> list[str]:
    """As Python numbers them, as the operating system words them (DuckDB quotes that), and as SQLite does."""
    found = [words for number in numbers for words in (f"[errno {number}]", os.strerror(number).lower())]
    return [*found, *(words for number, words in _SQLITE if number in numbers)]
