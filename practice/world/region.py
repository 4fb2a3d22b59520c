"""The whole practice region: the state of every server at an instant, and the truth to test against.

Everything is a pure function of the seed, the switches and the instant; the caches only save time. Wire formats do not
belong here.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from practice.world import geography
from practice.world.aggregates import AggregateWorld, visible_registration, visible_values
from practice.world.definitions import data_sets
from practice.world.geography import OrgUnit
from practice.world.people import Person
from practice.world.records import DataValue, Registration, TrackedEntity
from practice.world.referrals import ReferralWorld, TrueReferral, fold

T = TypeVar("T")
FAULTS = ("unknown-code", "negative", "text-in-number", "closed-unit", "part-over-whole")


@dataclass(frozen=True)
class Canaries:
    """Identifiers of the planted patients, as any desk may have written them; none may leave the client's memory."""

    names: frozenset[str]
    national_ids: frozenset[str]
    phones: frozenset[str]
    birth_dates: frozenset[str]
    addresses: frozenset[str]

    def all(self) -> frozenset[str]:
        """Every planted text."""
        return self.names | self.national_ids | self.phones | self.birth_dates | self.addresses


class ServerState:
    """What one server holds at one instant."""

    def __init__(self, world: "World", server: str, instant: datetime) -> None:
        self.world, self.server, self.instant = world, server, instant
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}

    def _once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, made once although many requests ask at the same time."""
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
            made: T = self._made[name]
            return made

    @property
    def org_units(self) -> tuple[OrgUnit, ...]:
        """The units that had been created by the instant."""
        return self._once(
            "org_units", lambda: tuple(u for u in geography.org_units(self.server) if u.created_at <= self.instant)
        )

    @property
    def paths(self) -> dict[str, str]:
        """Path of each unit (`/top/.../uid`) by UID."""
        return self._once("paths", self._paths)

    def _paths(self) -> dict[str, str]:
        parents = {u.uid: u.parent_at(self.instant) for u in self.org_units}
        made: dict[str, str] = {}

        def path(uid: str) -> str:
            if uid not in made:
                parent = parents[uid]
                made[uid] = f"{path(parent)}/{uid}" if parent else f"/{uid}"
            return made[uid]

        for uid in parents:
            path(uid)
        return made

    @property
    def tracked_entities(self) -> list[TrackedEntity]:
        """Every tracked entity, deleted ones included and marked, oldest first."""
        return self._once("tracked_entities", self._tracked_entities)

    def _tracked_entities(self) -> list[TrackedEntity]:
        found = (fold(d, self.instant) for d in self.world.referrals.dossiers(self.server, self.instant))
        return sorted((te for te in found if te is not None), key=lambda te: (te.created_at, te.uid))

    @property
    def data_values(self) -> list[DataValue]:
        """Every data value, deleted ones included and marked, by data set, period and unit."""
        return self._once("data_values", self._data_values)

    def _data_values(self) -> list[DataValue]:
        return [
            value
            for report in self.world.aggregates.reports(self.server, self.instant)
            for value in visible_values(report, self.instant)
        ]

    @property
    def registrations(self) -> list[Registration]:
        """Every complete data set registration, withdrawn ones included and marked."""
        return self._once("registrations", self._registrations)

    def _registrations(self) -> list[Registration]:
        found = (
            visible_registration(r, self.instant) for r in self.world.aggregates.reports(self.server, self.instant)
        )
        return [registration for registration in found if registration is not None]


class World:
    """The practice region of one seed.

    `faults` plants bad figures (see FAULTS); `weekly_episodes` sets the number of referral episodes that begin in a week.
    """

    def __init__(
        self, seed: int, *, faults: Iterable[str] = (), weekly_episodes: int = 20, canary_every: int = 20
    ) -> None:
        unknown = set(faults) - set(FAULTS)
        if unknown:
            raise ValueError(f"unknown faults {sorted(unknown)}; there are {', '.join(FAULTS)}")
        self.seed = seed
        self.faults = frozenset(faults)
        self.referrals = ReferralWorld(
            seed, weekly_episodes=weekly_episodes, canary_every=canary_every, faults=self.faults
        )
        self.aggregates = AggregateWorld(seed, faults=self.faults)
        self._states: OrderedDict[tuple[str, datetime], ServerState] = OrderedDict()
        self._lock = threading.Lock()

    def server(self, server: str, instant: datetime) -> ServerState:
        """The state of one server at an instant; the last few are kept."""
        key = (server, instant.astimezone(UTC))
        if server not in geography.SERVERS:
            raise ValueError(f"no practice server {server!r}; there are {', '.join(geography.SERVERS)}")
        with self._lock:
            if key not in self._states:
                self._states[key] = ServerState(self, server, key[1])
                while len(self._states) > 8:
                    self._states.popitem(last=False)
            return self._states[key]

    def true_referrals(self, instant: datetime) -> list[TrueReferral]:
        """What really happened in every episode of which some server knows at the instant."""
        return [
            truth
            for episode in self.referrals.episodes(instant)
            for truth in episode.truths
            if any(at is not None and at <= instant for at in (truth.sending_known_at, truth.receiving_known_at))
        ]

    def totals(self, server: str, instant: datetime) -> dict[tuple[str, str], int]:
        """The sum of every figure that a server holds at the instant, by (concept code, period); not by place or category.

        Planted faults and the odd content of servers are left out: this is what a sound reader should arrive at.
        """
        concepts = {e.uid: e.concept_code for made in data_sets(server).values() for e in made.elements}
        found: dict[tuple[str, str], int] = {}
        for value in self.server(server, instant).data_values:
            if not value.deleted and value.value.isdigit():
                key = (concepts[value.data_element], value.period)
                found[key] = found.get(key, 0) + int(value.value)
        return found

    def people(self, instant: datetime) -> list[Person]:
        """Every invented patient of an episode that has begun by the instant."""
        return [someone for episode in self.referrals.episodes(instant) for someone in episode.people]

    def canaries(self, instant: datetime) -> Canaries:
        """The identifiers of the planted patients that some server holds at the instant."""
        texts: dict[str, set[str]] = {c: set() for c in ("names", "national_id", "phone", "birth_date", "address")}
        canary_names = {n for p in self.people(instant) if p.is_canary for n in (p.family_name, p.given_name)}
        for server in geography.SERVERS:
            for entity in self.server(server, instant).tracked_entities:
                values = entity.attributes
                words = {values.get("family_name", ""), values.get("given_name", "")}
                if not {w.strip().casefold() for w in words} & {n.casefold() for n in canary_names}:
                    continue
                texts["names"] |= {w.strip() for w in words if w.strip()}
                for concept in ("national_id", "phone", "birth_date", "address"):
                    if values.get(concept) and values[concept] != "moved away":
                        texts[concept].add(values[concept])
        return Canaries(
            frozenset(texts["names"]), frozenset(texts["national_id"]), frozenset(texts["phone"]),
            frozenset(texts["birth_date"]), frozenset(texts["address"]),
        )  # fmt: skip
