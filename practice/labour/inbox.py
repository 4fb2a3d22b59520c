"""The inbox as the ministry would have filled it by an instant.

Belongs here: which files exist when, and writing them without touching those that are already right. Does not belong
here: the files' content (`bulletins`, `registers`), the simulated clock.
"""

import os
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from assets.labour.citations import cited_documents
from practice.labour.bulletins import available_on, document_bytes, file_name
from practice.labour.registers import register_files

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
"""Files are dated in Ha Noi: a refresh of Monday 05:00 there is still Sunday in UTC."""


def bulletin_files(on: date) -> dict[str, bytes]:
    """Name and bytes of every cited document published by that day."""
    return {
        file_name(document): document_bytes(document) for document in cited_documents() if available_on(document, on)
    }


def files_at(instant: datetime) -> dict[str, bytes]:
    """Name and bytes of every file sent by `instant`: a pure function of it."""
    on = instant.astimezone(HANOI).date()
    return bulletin_files(on) | register_files(on)


def write_inbox(folder: Path, instant: datetime) -> list[Path]:
    """The inbox holds what was sent by `instant`. Returns the files that were new or changed; equal files keep their bytes,
    their time and their inode, so that nothing looks new that is not."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = []
    for name, data in files_at(instant).items():
        path = folder / name
        if path.exists() and path.read_bytes() == data:
            continue
        partial = folder / f".{name}.part"
        partial.write_bytes(data)
        os.replace(partial, path)
        written.append(path)
    return written
