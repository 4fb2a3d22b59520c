"""Where a source's files arrive: an inbox folder and addresses to pull, and which files there are whole.

Belongs here: telling a file that is still being copied from one that is there, by looks at its size and time, and telling new
content from content that is landed already. Does not belong here: which names a source reads, what it makes of a file, Dagster.
"""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assets.limits import TooLarge, limits
from warehouse.landing import Receipt

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


def landed_sha256(receipts: Sequence[Receipt]) -> set[str]:
    """Hashes, as received, of the files that these receipts describe: one, or the several of a delivery."""
    told = [receipt.parameters.get("sha256", ()) for receipt in receipts]
    return {str(sha256) for found in told for sha256 in ([found] if isinstance(found, str) else found)}


@dataclass
class Intake:
    """What one pull of a source brought: receipts of what is new, names of what was known already, faults, one sentence each."""

    receipts: list[Receipt] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def news(self, name: str, data: bytes, landed: set[str]) -> str | None:
        """The SHA-256 of content that is new, which joins `landed`; None, and the name among the known, when it is not."""
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in landed:
            self.known.append(name)
            return None
        landed.add(sha256)
        return sha256

    def new_files(self, source: str, paths: Iterable[Path], landed: set[str]) -> Iterator[tuple[str, bytes, str]]:
        """Name, bytes and SHA-256 of each file whose content is new. One that no register or bulletin is by its size is a fault."""
        for path in paths:
            try:
                data = whole_bytes(path)
            except TooLarge as fault:
                self.faults.append(f"{source} inbox: {fault}.")
                continue
            sha256 = self.news(path.name, data, landed)
            if sha256 is not None:
                yield path.name, data, sha256


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
