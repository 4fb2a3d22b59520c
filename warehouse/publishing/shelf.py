"""The shelf of releases as other rooms see it: a folder and what stands on it.

Belongs here: the place. Does not belong here: writing or reading release files (`release`).
"""

from dataclasses import dataclass
from datetime import datetime
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

    @property
    def last_event_at(self) -> datetime | None:
        """The instant of the newest release or of the last withdrawal, UTC; None for an empty shelf.

        What the store writes from now on is later: a release shows the store as of its instant, and must go on doing so. The
        store cannot tell: it is rolled back, or an older one is put back, and the releases stay.
        """
        from warehouse.publishing.release import last_event_on

        return last_event_on(self.folder)
