"""Who may read what this installation writes: its owner. Looked at before every run, and mended where it can be.

Belongs here: which folders and files hold data of persons or secrets, and their modes. Does not belong here: other findings
(`pipelines.doctor`).
"""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipelines.failures import SettingsError
from pipelines.settings import Settings
from warehouse.victims import FOLDER

log = logging.getLogger(__name__)

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_to_others(settings: Settings) -> Iterator[Path]:
    """The state folder and what stands directly in it and in the victims' folder, where others than the owner have any right.
    Below a closed folder nobody gets further."""
    folder, victims = settings.state_folder, settings.state_folder / FOLDER
    if not folder.exists():
        return
    inside = sorted(victims.iterdir()) if victims.is_dir() and os.access(victims, os.R_OK | os.X_OK) else []
    for path in (folder, *sorted(folder.iterdir()), *inside):
        if not path.is_symlink() and path.stat().st_mode & OTHERS:
            yield path


def keep_private(settings: Settings) -> list[Path]:
    """Nobody but the owner can read the state folder, or this is refused; the paths whose rights were taken back.

    Raises SettingsError for a path of another account: it cannot be closed from here, and what is written there would be read.
    """
    closed = []
    for path in open_to_others(settings):
        mode = stat.S_IMODE(path.stat().st_mode)
        try:
            os.chmod(path, mode & ~OTHERS)
        except PermissionError as fault:
            raise SettingsError(
                f"{path} has mode {mode:04o} and belongs to another account: others may read persons' records there. Make it "
                f"yours and close it (chown, chmod {'700' if path.is_dir() else '600'}), then run again."
            ) from fault
        log.warning("%s was open to others (mode %04o); it is the owner's alone now", path.name, mode)
        closed.append(path)
    return closed
