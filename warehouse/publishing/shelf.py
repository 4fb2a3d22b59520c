"""The shelf of releases as other rooms see it: a folder and what stands on it.

Belongs here: the place. Does not belong here: writing or reading release files (`release`).
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReleaseShelf:
    """The folder `release/` of an installation; `current` is the release that is shown."""

    folder: Path

    @property
    def current(self) -> Path | None:
        """Folder of the current release, or None when nothing was released yet."""
        link = self.folder / "current"
        return link.resolve() if link.exists() else None
