"""The instant of a refresh. Pure rooms are handed it; none asks the machine.

Belongs here: the clock protocol and the wall clock. Does not belong here: the simulated clock (`practice`), schedules.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...


class WallClock:
    """The machine's clock, for real sources."""

    def now(self) -> datetime:
        """The current instant in UTC, to the second: finer instants only make names longer."""
        return datetime.now(UTC).replace(microsecond=0)


class FixedClock:
    """A clock that stands still: the practice ground's simulated instant, and tests."""

    def __init__(self, instant: datetime) -> None:
        self._instant = instant.astimezone(UTC)

    def now(self) -> datetime:
        """The instant it was made with."""
        return self._instant


def next_recorded_at(now: datetime, *last: datetime | None) -> datetime:
    """The system time of a new refresh: `now`, or one second after all of `last` when the clock stands still or runs back.

    `last`: the last refresh of the store and the last event of the shelf, each None where there is none; UTC without zone or aware.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    known = [one.replace(tzinfo=UTC) if one.tzinfo is None else one.astimezone(UTC) for one in last if one is not None]
    return max([now, *(one + timedelta(seconds=1) for one in known)])


@dataclass(frozen=True)
class Refresh:
    """What every step of one refresh shares: its system time, the instant it looks from, and whether the ground is practice."""

    recorded_at: datetime
    as_at: datetime
    is_practice: bool
    is_full: bool = False
    """Servers are read from the beginning, and every landed file is read again."""
    since: datetime | None = None
    """Servers are asked for changes since then, when that is earlier than what they were last asked for."""
    alone: bool = False
    """The run is for single sources: one that cannot be pulled fails the run, because nothing else would suffer."""
    missing: str | None = None
    """On a release build: which sources failed or were late, in words."""
