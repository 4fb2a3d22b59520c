"""Where a source's files arrive: an inbox folder and addresses to pull, and which files there are whole.

Belongs here: telling a file that is still being copied from one that is there, by looks at its size and time. Does not belong
here: which names a source reads, what it makes of a file, Dagster.
"""

import hashlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.limits import limits

log = logging.getLogger(__name__)

RECENT_SECONDS = 60.0
"""A file that has not changed for longer is not being copied any more; no need to look twice."""
PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Inbox:
    """An inbox folder, HTTPS addresses pulled on schedule, and the credential for them."""

    folder: Path
    urls: tuple[str, ...] = ()
    credential: str | None = None


@dataclass(frozen=True)
class Look:
    """One look into an inbox. `files`: name -> bytes, nanoseconds, SHA-256 of the content when it last stood still ("" before
    that), and whether it stands still now. `arrived`: names whose content is whole and new since the look before."""

    files: Mapping[str, tuple[int, int, str, bool]]
    arrived: tuple[str, ...]


def look(
    folder: Path, paths: Iterable[Path], earlier: Mapping[str, Sequence[object]], known: Iterable[str] = ()
) -> Look:
    """The state of an inbox now, beside `earlier` (`Look.files`, perhaps through JSON). `known`: hashes of content that was
    taken in already.

    A file that is copied under its own name is there from its first byte on: it is whole when two looks in a row find the same
    size and time. Content decides what is new, never the name: a file issued again under an old name arrives again, a file that
    was only touched or copied does not.
    """
    seen = {str(entry[2]) for entry in earlier.values()} | set(known)
    files: dict[str, tuple[int, int, str, bool]] = {}
    arrived = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            found = path.stat()
            before = list(earlier.get(name, (-1, -1, "", False)))
            stands = before[:2] == [found.st_size, found.st_mtime_ns]
            sha256, was_whole = str(before[2]), bool(before[3])
            if stands and not was_whole:
                with path.open("rb") as stream:
                    sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            continue  # taken away between listing and reading
        if sha256 and stands and sha256 not in seen:
            arrived.append(name)
            seen.add(sha256)
        files[name] = (found.st_size, found.st_mtime_ns, sha256, stands)
    return Look(files, tuple(arrived))


def standing_files(paths: Iterable[Path]) -> list[Path]:
    """The files that are not being copied at this moment, in the order given; the others wait for the next pull and are named
    in the log. Only files changed within the last minute are looked at twice."""
    listed = list(paths)
    before = {path: _size_and_time(path) for path in listed}
    now = time.time_ns()
    recent = [path for path, found in before.items() if found and found[1] > now - RECENT_SECONDS * 1e9]
    if recent:
        time.sleep(PAUSE_SECONDS)
    growing = {path for path in recent if _size_and_time(path) != before[path]}
    for path in sorted(growing):
        log.warning("%s is still being written and waits for the next pull", path.name)
    return [path for path in listed if before[path] and path not in growing]


def whole_bytes(path: Path) -> bytes:
    """The bytes of a file that is read at once. Raises TooLarge before a byte is read of one that no register or bulletin is."""
    size = path.stat().st_size
    limits().hold("file_bytes", size, f"{path.name} has {size:,} bytes")
    return path.read_bytes()


def _size_and_time(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
