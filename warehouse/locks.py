"""Locks between processes: a file that one process holds and that says who. The kernel frees it when the holder dies, so a
killed refresh leaves nothing locked behind.

Belongs here: holding a file, waiting for it, telling who has it. Does not belong here: what is protected by it, and
DuckDB's own lock on the store (`warehouse.store`).
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE_SECONDS = 0.2


class LockHeld(Exception):
    """Another process has the lock; another attempt may help. `holder` is what it wrote about itself."""

    def __init__(self, what: str, holder: str) -> None:
        super().__init__(f"{what} is in use: {holder}. Wait for it to end, or end it.")
        self.what = what
        self.holder = holder


@contextmanager
def held(
    path: Path,
    what: str,
    holder: str,
    *,
    patience_seconds: float = 0.0,
    waiting: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """The file is this process's while the block runs, and says `holder`; afterwards it is empty.

    `waiting` is told once who is waited for. Raises LockHeld when another process still has it after `patience_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, path, what, patience_seconds, waiting)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # closing frees the lock


def holder_of(path: Path) -> str | None:
    """What the process that holds the file says of itself; None when nobody holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(descriptor)
    return None


def _take(
    descriptor: int, path: Path, what: str, patience_seconds: float, waiting: Callable[[str], None] | None
) -> None:
    until = time.monotonic() + patience_seconds
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise LockHeld(what, _read(path)) from None
            if waiting and not told:
                waiting(_read(path))
                told = True
            time.sleep(PAUSE_SECONDS)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
