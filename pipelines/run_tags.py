"""What a run is for, written on it as tags: which source, whether everything is read again, which sources are missing.

Belongs here: the names of the tags and reading them. Does not belong here: who sets them (`jobs`, `weekly`, `cli`), who acts
on them (`resources`, assets).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

JOB = "mhwg/job"
SOURCE = "mhwg/source"
"""Source instances of the run, comma-separated; absent: all."""
FULL = "mhwg/full"
SINCE = "mhwg/since"
MISSING = "mhwg/missing"
"""On a release build: sources that failed or were late, in words."""
TICK = "mhwg/tick"
SEEN = "mhwg/seen"
"""On a release build of the weekly refresh: the tick it belongs to, and the sources that had ended well by then."""
LAUNCHED_BY = "mhwg/launched_by"
ARRIVAL = "mhwg/arrival"
"""On a run that an inbox sensor asked for: which files arrived, as a digest; the same on every attempt."""
PROCESS = "mhwg/process"
USER = "mhwg/user"
"""Account that started the run from the command line."""


@dataclass(frozen=True)
class Purpose:
    """The tags of a run, read. No sources: all of them."""

    sources: frozenset[str] = frozenset()
    is_full: bool = False
    since: datetime | None = None
    missing: str | None = None
    is_alone: bool = False
    """The run is the job of one source and nothing else."""

    def concerns(self, source: str) -> bool:
        """True when the run is for this source."""
        return not self.sources or source in self.sources

    @property
    def tags(self) -> dict[str, str]:
        """The purpose as tags of a run."""
        found = {
            SOURCE: ",".join(sorted(self.sources)),
            FULL: "yes" if self.is_full else "",
            SINCE: self.since.date().isoformat() if self.since else "",
            MISSING: self.missing or "",
        }
        return {name: text for name, text in found.items() if text}


def purpose_of(tags: Mapping[str, str]) -> Purpose:
    """What a run with these tags is for."""
    since = tags.get(SINCE)
    return Purpose(
        frozenset(filter(None, tags.get(SOURCE, "").split(","))),
        tags.get(FULL) == "yes",
        datetime.combine(date.fromisoformat(since), datetime.min.time(), UTC) if since else None,
        tags.get(MISSING),
        tags.get(JOB, "").startswith("refresh_"),
    )
