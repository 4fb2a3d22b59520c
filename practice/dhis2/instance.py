"""One practice server as it stands: its version, quirks, zone and clock, and the state of the world that it shows.

Routing and wire formats do not belong here.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from practice.dhis2.bulk import Bulk
from practice.dhis2.metadata import Metadata
from practice.dhis2.quirks import played
from practice.world import geography
from practice.world.region import ServerState, World

# The last number is of no consequence for behaviour; it is what a site of that line would show.
FULL_VERSION = {"2.40": "2.40.12", "2.41": "2.41.9.1", "2.42": "2.42.5.2", "2.43": "2.43.1", "2.44": "2.44-SNAPSHOT"}
TOKEN = "practice-token"
USER, PASSWORD = "practice", "practice"
MOVING_STEP = timedelta(hours=9)


@dataclass
class Tally:
    """What a server was asked, for tests: counts only, no parameters, nothing personal."""

    requests: list[tuple[str, str, int]] = field(default_factory=list)
    sessions: int = 0
    failures: int = 0
    """Requests that a failure of the wire hit."""

    def count(self, path_part: str = "", status: int | None = None) -> int:
        """How many requests had the part in their path, and the status if one is given."""
        return sum(path_part in path and (status is None or status == s) for _, path, s in self.requests)


@dataclass(frozen=True)
class Limits:
    """Numbers that an administrator can set on a server, what its proxy lets through, and how patient a test is.

    `fails_at` aims failures of the wire at addresses that begin so, from the first such request on; without it they hit data
    requests only.
    """

    analytics: int = 100_000
    page_size: int = 50_000
    export_budget_rows: int = 500
    retry_after_seconds: int = 0
    slow_seconds: float = 90.0
    drip_seconds: float = 0.002
    offers_csv: bool = True
    fails_at: str = ""


class Instance:
    """One server of the practice ground.

    `now` gives the simulated instant; the state is that of the world at it. Under the quirk `moving-pages` every tracker
    request moves the server some hours on, so that rows appear and change between two pages.
    """

    def __init__(
        self, world: World, server: str, now: Callable[[], datetime], *, version: str, quirks: tuple[str, ...] = (),
        limits: Limits | None = None, bulk_values: int = 0,
    ) -> None:  # fmt: skip
        if version not in FULL_VERSION:
            raise ValueError(f"no practice server of version {version!r}; there are {', '.join(FULL_VERSION)}")
        self.world, self.server, self.version = world, server, version
        self._now = now
        self.quirks = played(version, quirks)
        self.limits = limits or Limits()
        self.bulk = Bulk(server, bulk_values) if bulk_values else None
        self.tally = Tally()
        self.lock = threading.Lock()
        self.tracker_requests = 0
        self._metadata: dict[datetime, Metadata] = {}

    def plays(self, quirk: str) -> bool:
        """True when the server plays the quirk."""
        return quirk in self.quirks

    @property
    def minor(self) -> int:
        """The second number of the version: 42 for 2.42."""
        return int(self.version.split(".")[1])

    @cached_property
    def zone(self) -> ZoneInfo:
        """The server's time zone."""
        if self.plays("summer-time-zone"):
            return ZoneInfo("Europe/Berlin")
        if self.plays("utc-zone"):
            return ZoneInfo("UTC")
        return ZoneInfo({"vnm": "Asia/Ho_Chi_Minh", "khm": "Asia/Phnom_Penh"}[self.server])

    def instant(self) -> datetime:
        """The instant whose state the server shows, in UTC."""
        at = self._now().astimezone(UTC)
        if self.plays("moving-pages"):
            at += MOVING_STEP * min(self.tracker_requests, 18)
        return at

    def skew(self) -> timedelta:
        """How far the server's own clock is from the simulated one: it shifts every time that the server writes or reads."""
        return timedelta(hours=7 if self.plays("clock-ahead") else -7 if self.plays("clock-behind") else 0)

    def server_date(self) -> datetime:
        """What the server takes for now."""
        return self.instant() + self.skew()

    def state(self) -> ServerState:
        """The world as this server holds it now."""
        return self.world.server(self.server, self.instant())

    def analytics_at(self) -> datetime:
        """When the analytics tables were last built: at two in the night, local time."""
        local = self.instant().astimezone(self.zone)
        built = datetime.combine(local.date(), time(2), tzinfo=self.zone)
        if built > local:
            built -= timedelta(days=1)
        if self.plays("stale-analytics"):
            built -= timedelta(days=10)
        return built.astimezone(UTC)

    def metadata(self) -> Metadata:
        """All metadata objects as of now."""
        at = self.instant()
        with self.lock:
            if at not in self._metadata:
                self._metadata = {
                    at: Metadata(self.state(), self.zone, common_root=self.plays("common-root"), bulk=self.bulk)
                }
            return self._metadata[at]

    def visible_roots(self) -> list[str]:
        """The units at the top of the user's scopes."""
        units = {u.uid: u for u in geography.org_units(self.server)}
        roots = [u for u, unit in units.items() if unit.placements[0].parent_uid is None]
        if self.plays("missing-root"):
            return [root for root in roots if not units[root].is_partner]
        if self.plays("common-root"):
            return self.metadata().roots()
        return roots + ([self.bulk.root] if self.bulk else [])

    def scope(self) -> set[str]:
        """Every unit that the user may see data of."""
        return self.metadata().subtree(self.visible_roots())
