"""The client against the practice servers: versions x endpoints x quirks, counted; as a program it writes docs/dhis2-proof.md.

    python tests/assets/dhis2/proof.py

The two were written from the same notes by different hands, so that each checks the other: what was received is compared with
what the practice world holds, not with what the server says. `play` pulls everything as a refresh does; `read` reads one
endpoint with the client's own reader while the quirk is played there.
"""

import io
import sys
import tempfile
import tomllib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

import practice
from assets.dhis2 import analytics, metadata, tracker
from assets.dhis2.aggregate import (
    copy_csv,
    copy_json,
    plan_chunks,
    registration_parameters,
    registration_rows,
    value_parameters,
)
from assets.dhis2.client import CSV, Credential, Dhis2Client, RetryPolicy
from assets.dhis2.errors import Dhis2Error
from assets.dhis2.extract import pull_instance
from assets.dhis2.instants import parse_instant
from assets.dhis2.mapping import InstanceMapping, parse_instance
from assets.dhis2.metadata import ServerFacts
from assets.dhis2.payload import VALUE_KEY, stage_frames
from methods.pseudonym import Pseudonymiser
from practice.clock import DEFAULT_SEED, PracticeClock
from practice.dhis2 import serve
from practice.dhis2.instance import FULL_VERSION, PASSWORD, USER, Instance, Limits
from practice.dhis2.quirks import BY_NAME, QUIRKS, VERSIONS
from practice.world.region import ServerState, World
from warehouse.landing import Landing

SERVER = "khm"
DATA_SET = "HIV_TESTING"
FIRST_ON = date(2025, 1, 1)
"""First day of the data values that are read endpoint by endpoint: two years, so more than one chunk."""
PROOF = Path(__file__).parents[3] / "docs" / "dhis2-proof.md"
KEY = Pseudonymiser("a key that is long enough for tests", "k")
SWITCHED = tuple(quirk for quirk in QUIRKS if not quirk.versions)

Key = tuple[Hashable, ...]
"""What tells one row from all others, with the instant of its last change where it has one."""


def proof_world() -> World:
    """The region of the proof: every kind of record, few patients."""
    return World(DEFAULT_SEED, weekly_episodes=4)


def mapping_of(code: str, *, data_set: str | None) -> InstanceMapping:
    """The practice ground's settings of one server, with one data set (none: None), in small pages."""
    raw = tomllib.loads((Path(practice.__file__).parent / "mhwg.toml").read_text(encoding="utf-8"))
    (entry,) = [item for item in raw["dhis2"] if item["code"] == code]
    mapping = parse_instance(entry, is_practice=True)
    return replace(mapping, data_sets=tuple(item for item in mapping.data_sets if item.code == data_set), page_size=128)


@dataclass(frozen=True)
class Outcome:
    """What one reading brought against what the server held: rows lost and doubled, or the error that it ended with.

    `met` counts how often the quirk struck, where that can be counted (failures of the wire).
    """

    version: str
    endpoint: str
    quirk: str
    records: int = 0
    values: int = 0
    lost: int = 0
    doubled: int = 0
    repeats: int = 0
    error: str = ""
    met: int = 0

    @property
    def summary(self) -> str:
        """One cell of the table."""
        return f"refused: {self.error}" if self.error else f"lost {self.lost}, doubled {self.doubled}"


# -- a whole pull ----------------------------------------------------------------------------------------------------


def play(world: World, version: str, quirk: str, folder: Path, *, offers_csv: bool = True) -> Outcome:
    """One full pull of the practice server playing one quirk, counted against the world."""
    clock = PracticeClock(folder)
    limits = Limits(export_budget_rows=50, slow_seconds=3.0, drip_seconds=0.0, offers_csv=offers_csv)
    quirks = () if quirk == "none" else (quirk,)
    with serve(world, clock, (SERVER,), version=version, quirks=quirks, limits=limits) as running:
        mapping = replace(mapping_of(SERVER, data_set=DATA_SET), url=running.urls[SERVER])
        instance = running.instances[SERVER]
        landing = Landing(folder / "landing")
        client = _client(mapping.url, quirk)
        before = _held_by_pull(instance, mapping)
        try:
            result = pull_instance(
                client,
                mapping,
                lambda part: landing.pull(mapping.source_code, part, clock.instant(), is_practice=True),
                None,
                KEY,
            )
        except Dhis2Error as fault:
            met = _met(instance, quirk)
            return Outcome(version, "", quirk, error=type(fault).__name__, repeats=client.repeat_count, met=met)
        after = _held_by_pull(instance, mapping)
        staged = stage_frames(result.receipts, landing, mapping)
    records = staged.frame("staging.referral_record")["enrollment_uid"].to_list()
    values = [tuple(row) for row in staged.frame("staging.data_value").select(VALUE_KEY[1:]).iter_rows()]
    # What came or went while a moving server was read is not yet ours; the next pull brings it.
    lost = len((before[0] & after[0]) - set(records)) + len((before[1] & after[1]) - set(values))
    doubled = len(records) - len(set(records)) + len(values) - len(set(values))
    return Outcome(
        version, "", quirk, len(records), len(values), lost, doubled, client.repeat_count, met=_met(instance, quirk)
    )


def _client(url: str, quirk: str) -> Dhis2Client:
    """A client that waits for nothing; with a session to lose where sessions are the quirk."""
    return Dhis2Client(
        url,
        Credential.from_text(f"{USER}:{PASSWORD}" if quirk == "session-cap" else "practice-token"),
        server=SERVER,
        read_timeout=1.0 if quirk == "slow" else 60.0,
        retry=RetryPolicy(attempts=6, first_wait=0.0, longest_wait=0.0),
    )


def _met(instance: Instance, quirk: str) -> int:
    return instance.tally.sessions if quirk == "session-cap" else instance.tally.failures


def _held_by_pull(instance: Instance, mapping: InstanceMapping) -> tuple[set[str], set[tuple[str, ...]]]:
    """Live enrollments, and keys of live values of mapped elements, that the server holds now."""
    state = instance.state()
    enrollments = {
        enrollment.uid
        for entity in state.tracked_entities
        if not entity.deleted
        for enrollment in entity.enrollments
        if not enrollment.deleted
    }
    elements = mapping.element_concepts()
    values = {
        (value.data_element, value.period, value.org_unit, value.category_option_combo, value.attribute_option_combo)
        for value in state.data_values
        if value.data_element in elements and not value.deleted
    }
    return enrollments, values


# -- one endpoint ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What the reader of an endpoint has in hand."""

    client: Dhis2Client
    facts: ServerFacts
    mapping: InstanceMapping
    units: tuple[str, ...]
    """Org units of which something is asked one by one: the roots and some facilities."""
    periods: tuple[str, ...]


@dataclass(frozen=True)
class Endpoint:
    """One address that the client reads: its reader, what the world holds there, and which quirks can show there."""

    name: str
    path: str
    read: Callable[[Asked], list[Key]]
    """Rows as they arrive, after the reader's own de-duplication."""
    held: Callable[[Instance, Asked], set[Key]]
    """Rows that must arrive, by the world."""
    always: frozenset[str]
    """Quirks of a version or of the world that show at this address, besides those of every address."""
    switched: frozenset[str] = frozenset()
    """Quirks on request that show at this address, besides those of the wire."""
    limits: Limits = field(default_factory=lambda: Limits(export_budget_rows=50))


def _at(instant: datetime) -> str:
    """An instant to the millisecond, as servers write it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def _read_info(asked: Asked) -> list[Key]:
    facts = metadata.server_facts(asked.client)
    built = parse_instant(facts.analytics_at, facts.zone) if facts.analytics_at else None
    return [
        ("version", facts.version),
        ("zone", facts.zone.key),
        ("clock", _at(facts.server_at)),
        ("analytics", built and _at(built)),
    ]


def _held_info(instance: Instance, _: Asked) -> set[Key]:
    built = None if instance.plays("no-analytics") else _at(instance.analytics_at() + instance.skew())
    return {
        ("version", FULL_VERSION[instance.version]),
        ("zone", instance.zone.key),
        ("clock", _at(instance.server_date())),
        ("analytics", built),
    }


def _read_me(asked: Asked) -> list[Key]:
    metadata.require_scope(asked.client, asked.mapping)
    user = metadata.user_facts(asked.client)
    return [("capture", unit) for unit in user.capture] + [("search", unit) for unit in user.search]


def _held_me(instance: Instance, _: Asked) -> set[Key]:
    return {(scope, unit) for scope in ("capture", "search") for unit in instance.visible_roots()}


def _read_metadata(asked: Asked) -> list[Key]:
    mapping = asked.mapping
    elements = metadata.data_elements(asked.client, mapping)
    found: dict[str, list[dict[str, Any]]] = {
        "organisationUnits": metadata.org_units(asked.client, mapping.root_org_units, 2),
        "dataSets": metadata.data_sets(asked.client, mapping),
        "dataElements": elements,
        **metadata.definitions(asked.client, mapping, elements),
    }
    return [(kind, str(row["id"])) for kind in sorted(found) if kind in _KINDS for row in found[kind]]


_KINDS = (
    "organisationUnits", "dataSets", "dataElements", "categoryOptionCombos", "programs", "programStages",
    "trackedEntityAttributes",
)  # fmt: skip


def _held_metadata(instance: Instance, asked: Asked) -> set[Key]:
    mapping, referral = asked.mapping, asked.mapping.referral
    assert referral is not None
    wanted: dict[str, Iterable[str]] = {
        "organisationUnits": _below(instance.state(), mapping.root_org_units),
        "dataSets": [data_set.uid for data_set in mapping.data_sets],
        "dataElements": [*mapping.element_concepts(), *referral.elements],
        "categoryOptionCombos": mapping.category_codes(),
        "programs": [referral.program],
        "programStages": referral.stages,
        "trackedEntityAttributes": referral.attributes,
    }
    return {(kind, uid) for kind, uids in wanted.items() for uid in uids}


def _below(state: ServerState, roots: Sequence[str]) -> set[str]:
    return {unit for unit, path in state.paths.items() if set(path.split("/")) & set(roots)}


_UID_OF = {"trackedEntities": "trackedEntity", "enrollments": "enrollment", "events": "event"}


def _tracker_reader(entity: Any) -> Callable[[Asked], list[Key]]:
    uid = _UID_OF[entity]

    def read(asked: Asked) -> list[Key]:
        referral = asked.mapping.referral
        assert referral is not None
        roots = asked.mapping.root_org_units
        rows: list[Mapping[str, Any]] = []
        # A listing of events takes one org unit; the others take all at once.
        for units in [(root,) for root in roots] if entity == "events" else [roots]:
            listing = tracker.Listing(
                entity, referral.program, units, f"{uid},updatedAt,deleted", updated_before=asked.facts.server_at
            )
            # Five times as many events as persons, in pages four times as large.
            size = asked.mapping.page_size * (4 if entity == "events" else 1)
            start = tracker.Position(page_size=tracker.page_size_at_most(size))
            for page in tracker.pages(asked.client, asked.facts.dialect, listing, start):
                rows += page.rows
        kept = {str(row[uid]): row for row in sorted(rows, key=lambda row: str(row["updatedAt"]))}
        return [(one, _at(parse_instant(str(row["updatedAt"]), asked.facts.zone))) for one, row in kept.items()]

    return read


def _tracker_held(entity: str) -> Callable[[Instance, Asked], set[Key]]:
    def held(instance: Instance, _: Asked) -> set[Key]:
        found: set[Key] = set()
        for person in instance.state().tracked_entities:
            enrollments = person.enrollments
            events = [event for enrollment in enrollments for event in enrollment.events]
            levels: dict[str, Sequence[Any]] = {
                "trackedEntities": [person],
                "enrollments": enrollments,
                "events": events,
            }
            found |= {
                (row.uid, _at(row.updated_at + instance.skew()))
                for row in levels[entity]
                if not (instance.plays("purged") and person.deleted)
            }
        return found

    return held


_VALUE_FIELDS = ("data_element", "period", "org_unit", "category_option_combo", "attribute_option_combo")


def _value_keys(files: Iterable[io.BytesIO], facts: ServerFacts) -> list[Key]:
    rows = pl.concat([pl.read_parquet(file.getvalue()) for file in files]).select(*_VALUE_FIELDS, "last_updated")
    return [(*row[:-1], _at(parse_instant(row[-1], facts.zone))) for row in rows.iter_rows()]


def _value_chunks(asked: Asked) -> Any:
    return plan_chunks(asked.mapping, asked.facts.server_at.astimezone(asked.facts.zone).date(), by_year=True)


def _read_csv(asked: Asked) -> list[Key]:
    elements = frozenset(asked.mapping.element_concepts())

    def copy(stream: Any) -> io.BytesIO:
        target = io.BytesIO()
        copy_csv(stream, target, elements)
        return target

    files = [
        asked.client.read("dataValueSets.csv", value_parameters(chunk, None), copy, accept=CSV)
        for chunk in _value_chunks(asked)
    ]
    return _value_keys(files, asked.facts)


def _read_json(asked: Asked) -> list[Key]:
    """Unit by unit, because a single unit's rows are those that 2.43 leaves keys out of."""
    elements = frozenset(asked.mapping.element_concepts())
    files = []
    for unit in asked.units:
        for chunk in _value_chunks(replace(asked, mapping=replace(asked.mapping, root_org_units=(unit,)))):
            alone = replace(chunk, with_descendants=False)
            answer = asked.client.get_json("dataValueSets.json", value_parameters(alone, None))
            target = io.BytesIO()
            copy_json(answer, target, elements)
            files.append(target)
    return _value_keys(files, asked.facts)


def _values_held(instance: Instance, asked: Asked, units: Iterable[str]) -> set[Key]:
    elements, wanted, skew = asked.mapping.element_concepts(), set(units), instance.skew()
    return {
        (*(getattr(value, name) for name in _VALUE_FIELDS), _at(value.updated_at + skew))
        for value in instance.state().data_values
        if value.data_element in elements
        and value.org_unit in wanted
        and value.period >= f"{FIRST_ON:%Y%m}"
        and not (instance.plays("purged") and value.deleted)
    }


def _held_csv(instance: Instance, asked: Asked) -> set[Key]:
    return _values_held(instance, asked, _below(instance.state(), asked.mapping.root_org_units))


def _held_json(instance: Instance, asked: Asked) -> set[Key]:
    return _values_held(instance, asked, asked.units)


def _read_registrations(asked: Asked) -> list[Key]:
    rows: list[Key] = []
    for chunk in _value_chunks(asked):
        answer = asked.client.get_json("completeDataSetRegistrations", registration_parameters(chunk))
        rows += [
            (row["data_set"], row["period"], row["org_unit"], _at(parse_instant(row["date"], asked.facts.zone)))
            for row in registration_rows(answer)
        ]
    return rows


def _held_registrations(instance: Instance, asked: Asked) -> set[Key]:
    sets = {data_set.uid for data_set in asked.mapping.data_sets}
    units = _below(instance.state(), asked.mapping.root_org_units)
    return {
        (row.data_set, row.period, row.org_unit, _at(row.registered_at + instance.skew()))
        for row in instance.state().registrations
        if row.data_set in sets and row.org_unit in units and row.period >= f"{FIRST_ON:%Y%m}"
    }


def _analytics_request(asked: Asked, units: tuple[str, ...]) -> analytics.Request:
    return analytics.Request(tuple(sorted(asked.mapping.element_concepts())), asked.periods, units)


def _read_analytics(asked: Asked) -> list[Key]:
    rows = analytics.aggregate_rows(asked.client, asked.facts, _analytics_request(asked, asked.units))
    return [(row["dx"], row["pe"], row["ou"], float(row["value"] or "nan")) for row in rows]


def _computed(instance: Instance) -> ServerState:
    """The state that the server's analytics tables were built from."""
    return instance.world.server(instance.server, instance.analytics_at())


def _held_analytics(instance: Instance, asked: Asked) -> set[Key]:
    state, sums = _computed(instance), dict[tuple[str, str, str], float]()
    wanted, elements = set(asked.units), asked.mapping.element_concepts()
    paths = instance.state().paths
    for value in state.data_values:
        if value.deleted or value.data_element not in elements or value.period not in asked.periods:
            continue
        for unit in wanted & set(paths[value.org_unit].split("/")):
            key = (value.data_element, value.period, unit)
            sums[key] = sums.get(key, 0.0) + float(value.value)
    return {(*key, total) for key, total in sums.items()}


def _read_raw(asked: Asked) -> list[Key]:
    roots = asked.mapping.root_org_units
    rows = analytics.raw_rows(asked.client, asked.facts, _analytics_request(asked, roots))
    return [tuple(row[name] for name in ("dx", "pe", "ou", "co", "ao", "value")) for row in rows]


def _held_raw(instance: Instance, asked: Asked) -> set[Key]:
    elements = asked.mapping.element_concepts()
    units = _below(instance.state(), asked.mapping.root_org_units)
    return {
        (*(getattr(value, name) for name in ("data_element", "period", "org_unit")),
         value.category_option_combo, value.attribute_option_combo, value.value)
        for value in _computed(instance).data_values
        if not value.deleted and value.data_element in elements and value.org_unit in units and value.period in asked.periods
    }  # fmt: skip


_WINDOW = (date(2026, 1, 1), date(2026, 6, 30))


def _query_reader(kind: Any) -> Callable[[Asked], list[Key]]:
    column = {"events": "event", "enrollments": "enrollment"}[kind]

    def read(asked: Asked) -> list[Key]:
        referral = asked.mapping.referral
        assert referral is not None
        parameters = [
            ("dimension", f"ou:{';'.join(asked.mapping.root_org_units)}"),
            ("startDate", _WINDOW[0].isoformat()),
            ("endDate", _WINDOW[1].isoformat()),
        ]
        rows = analytics.query_rows(
            asked.client, asked.facts, kind, referral.program, parameters, required=(column,), page_size=50
        )
        return [(row[column],) for row in rows]

    return read


def _query_held(kind: str) -> Callable[[Instance, Asked], set[Key]]:
    def held(instance: Instance, asked: Asked) -> set[Key]:
        units = _below(instance.state(), asked.mapping.root_org_units)
        found: set[Key] = set()
        for person in _computed(instance).tracked_entities:
            for enrollment in person.enrollments:
                if person.deleted or enrollment.deleted:
                    continue
                rows = [(enrollment.uid, enrollment.enrolled_on, enrollment.org_unit_uid)]
                if kind == "events":
                    rows = [(e.uid, e.occurred_on, e.org_unit_uid) for e in enrollment.events if not e.deleted]
                found |= {
                    (uid,) for uid, day, unit in rows if day and _WINDOW[0] <= day <= _WINDOW[1] and unit in units
                }
        return found

    return held


WIRE = frozenset(
    {"expired-token", "session-cap", "https-redirect", "too-many-requests", "bad-gateway", "unavailable", "gateway-timeout",
     "server-error", "reset", "slow", "slow-drip", "truncated-json", "wrong-content-type", "byte-order-mark", "gzip"}
)  # fmt: skip
"""Quirks of credentials and of the wire: they show at every address."""
FAILURES = WIRE - {"expired-token", "session-cap", "https-redirect", "slow-drip", "byte-order-mark", "gzip"}
"""Those that hit some requests only; how often is counted."""
_EVERYWHERE = frozenset({"login-page"})
_CLOCKS = frozenset({"summer-time-zone", "utc-zone", "clock-ahead", "clock-behind"})
_TREE = frozenset({"common-root"})
_BUILT = frozenset({"no-analytics", "stale-analytics"})
_LISTS = frozenset(
    {"tracker-shape", "next-page-elsewhere", "stale-parameters", "strict-parameters", "plain-statuses", "page-of-fifty",
     "export-budget"}
)  # fmt: skip
_VALUES = frozenset(
    {"needs-range", "new-period-types", "illegal-queries", "units-over-time", "zero-not-stored", "empty-shapes", "odd-content"}
)  # fmt: skip
_MOVING = frozenset({"moving-pages", "purged", "ownership-moved"})

ENDPOINTS = (
    Endpoint("system/info", "/api/system/info", _read_info, _held_info, frozenset(), _CLOCKS | _BUILT | {"other-calendar"}),
    Endpoint("me", "/api/me", _read_me, _held_me, frozenset(), _TREE | {"missing-root"}),
    Endpoint(
        "metadata lists", "/api/organisationUnits", _read_metadata, _held_metadata, frozenset({"page-of-fifty", "units-over-time"}),
        _TREE,
    ),
    Endpoint(
        "tracker/trackedEntities", "/api/tracker/trackedEntities", _tracker_reader("trackedEntities"),
        _tracker_held("trackedEntities"), _LISTS | {"short-pages", "late-bump", "odd-content", "duplicate-persons"},
        _MOVING | _CLOCKS | _TREE | {"values-removed"},
    ),
    Endpoint(
        "tracker/enrollments", "/api/tracker/enrollments", _tracker_reader("enrollments"), _tracker_held("enrollments"),
        _LISTS | {"short-pages"}, _MOVING | _CLOCKS | _TREE,
    ),
    Endpoint(
        "tracker/events", "/api/tracker/events", _tracker_reader("events"), _tracker_held("events"), _LISTS,
        _MOVING | _CLOCKS | _TREE | {"values-removed"}, Limits(export_budget_rows=200),
    ),
    Endpoint(
        "dataValueSets.csv", "/api/dataValueSets.csv", _read_csv, _held_csv, _VALUES,
        _CLOCKS | _TREE | {"purged", "import-conflicts"},
    ),
    Endpoint(
        "dataValueSets.json", "/api/dataValueSets.json", _read_json, _held_json, _VALUES | {"hoisted-keys"},
        _CLOCKS | _TREE | {"purged", "import-conflicts"},
    ),
    Endpoint(
        "completeDataSetRegistrations", "/api/completeDataSetRegistrations", _read_registrations, _held_registrations,
        frozenset({"loose-registrations", "needs-range", "illegal-queries"}), _CLOCKS | _TREE,
    ),
    Endpoint(
        "analytics", "/api/analytics", _read_analytics, _held_analytics,
        frozenset({"analytics-limit", "illegal-queries", "zero-not-stored"}), _BUILT | _CLOCKS | _TREE, Limits(analytics=40),
    ),
    Endpoint(
        "analytics/rawData.json", "/api/analytics/rawData.json", _read_raw, _held_raw,
        frozenset({"suffix-needed", "analytics-limit", "illegal-queries"}), _BUILT | _CLOCKS | _TREE, Limits(analytics=300),
    ),
    Endpoint(
        "analytics/events/query", "/api/analytics/events/query", _query_reader("events"), _query_held("events"),
        frozenset({"analytics-shape", "analytics-limit", "illegal-queries"}), _BUILT | _TREE, Limits(analytics=60),
    ),
    Endpoint(
        "analytics/enrollments/query", "/api/analytics/enrollments/query", _query_reader("enrollments"),
        _query_held("enrollments"), frozenset({"analytics-shape", "analytics-limit", "illegal-queries"}), _BUILT | _TREE,
        Limits(analytics=60),
    ),
)  # fmt: skip
NOT_READ = {"old-endpoints": "addresses that the client never asks"}
"""Quirks that show at no address that the client reads, and why."""


def quirks_at(endpoint: Endpoint) -> list[str]:
    """Names of the quirks on request that can show at an endpoint, in the order of the list; "none" is the version's own."""
    wanted = WIRE | endpoint.switched
    return ["none", *(quirk.name for quirk in SWITCHED if quirk.name in wanted)]


def always_at(endpoint: Endpoint, version: str) -> list[str]:
    """Names of the quirks that a server of this version shows at an endpoint unasked."""
    wanted = _EVERYWHERE | endpoint.always
    return [quirk.name for quirk in QUIRKS if version in quirk.versions and quirk.name in wanted]


def is_refused(endpoint: str, quirk: str) -> bool:
    """True when the client must end with an error: nothing can be read, or reading would mislead."""
    if quirk == "no-analytics":
        return endpoint.startswith("analytics")
    return quirk != "none" and BY_NAME[quirk].stops


def read(world: World, version: str, endpoint: Endpoint, quirk: str, folder: Path) -> Outcome:
    """One endpoint read whole while the server plays one quirk there, counted against the world."""
    clock = PracticeClock(folder)
    mapping = replace(mapping_of(SERVER, data_set=DATA_SET), data_from=FIRST_ON)
    limits = replace(endpoint.limits, slow_seconds=60.0, drip_seconds=0.0, fails_at=endpoint.path)
    quirks = () if quirk == "none" else (quirk,)
    with serve(world, clock, (SERVER,), version=version, quirks=quirks, limits=limits) as running:
        instance = running.instances[SERVER]
        client = _client(running.urls[SERVER], quirk)
        outcome = Outcome(version, endpoint.name, quirk)
        try:
            # Where nobody gets in, the server's facts are not known; any version's first question would do.
            facts = (
                _usual_facts(version) if quirk in ("expired-token", "https-redirect") else metadata.server_facts(client)
            )
            roots = metadata.topmost(
                mapping.root_org_units, [{"id": u, "path": p} for u, p in instance.state().paths.items()]
            )
            asked = Asked(client, facts, replace(mapping, root_org_units=roots), *_some(world))
            before = endpoint.held(instance, asked)
            rows = endpoint.read(asked)
        except Dhis2Error as fault:
            return replace(outcome, error=type(fault).__name__, repeats=client.repeat_count, met=_met(instance, quirk))
        after = endpoint.held(instance, asked)
    # What came or went while a moving server was read is not yet ours; the next pull brings it.
    lost, doubled = (before & after) - set(rows), len(rows) - len(set(rows))
    return replace(
        outcome,
        records=len(rows),
        lost=len(lost),
        doubled=doubled,
        repeats=client.repeat_count,
        met=_met(instance, quirk),
    )


@cache
def _usual_facts(version: str) -> ServerFacts:
    """What a plain server of a version says of itself."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(proof_world(), PracticeClock(Path(folder)), (SERVER,), version=version) as running,
    ):
        return metadata.server_facts(_client(running.urls[SERVER], "none"))


@cache
def _some(world: World) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The roots and some units with data, and the data set's latest periods."""
    with tempfile.TemporaryDirectory() as folder:
        state = world.server(SERVER, PracticeClock(Path(folder)).instant())
    mapping = mapping_of(SERVER, data_set=DATA_SET)
    values = [value for value in state.data_values if value.data_element in mapping.element_concepts()]
    units = sorted({value.org_unit for value in values})[:4]
    return (*mapping.root_org_units, *units), tuple(sorted({value.period for value in values})[-6:])


def misses(outcome: Outcome) -> list[str]:
    """What is wrong with the outcome of one endpoint: rows lost or doubled, no rows, a quirk that never struck, an error
    where there must be none or none where there must be one."""
    wrong = [f"{name} {count}" for name in ("lost", "doubled") if (count := getattr(outcome, name))]
    if bool(outcome.error) != is_refused(outcome.endpoint, outcome.quirk):
        wrong.append(outcome.error or "not refused")
    if not outcome.error and not outcome.records:
        wrong.append("no rows")
    if outcome.quirk in FAILURES and not outcome.met:
        wrong.append("the quirk never struck")
    if outcome.quirk == "session-cap" and outcome.met != 1:
        wrong.append(f"{outcome.met} sessions")
    return wrong


# -- the page --------------------------------------------------------------------------------------------------------

_HEAD = f"""# Proof: DHIS2 versions, endpoints and quirks

What the client reads from the practice servers, against what the practice world holds. *Lost*: rows that the server held throughout and
that did not arrive, or arrived with another instant of change. *Doubled*: rows that are there twice after de-duplication. *Refused*: the
client must not read such a server; the error says what to do. Server of Cambodia; referral program and data set {DATA_SET}.
[practice-quirks.md](practice-quirks.md) tells what each quirk is. Generated by `python tests/assets/dhis2/proof.py`; do not edit.
"""


def page(outcomes: Iterable[Outcome]) -> str:
    """The proof as Markdown: a whole pull, then a section per endpoint; a line per quirk, a column per version."""
    by_place = {(outcome.endpoint, outcome.quirk, outcome.version): outcome for outcome in outcomes}
    cells = len(by_place)
    sums = [sum(getattr(outcome, name) for outcome in by_place.values()) for name in ("lost", "doubled")]
    lines = [_HEAD, f"{cells} cells: lost {sums[0]}, doubled {sums[1]}.", ""]
    names = ["none", *(quirk.name for quirk in SWITCHED)]
    lines += ["## A whole pull", "", *_grid("", names, by_place), ""]
    for endpoint in ENDPOINTS:
        lines += [f"## {endpoint.name}", "", *_grid(endpoint.name, quirks_at(endpoint), by_place), ""]
        lines += ["Always on in every line above:", ""]
        lines += [f"- {version}: {_numbered(always_at(endpoint, version))}" for version in VERSIONS]
        lines += [""]
    lines += ["## Shown at no endpoint that the client reads", ""]
    lines += [f"- {_numbered([name])}: {why}" for name, why in NOT_READ.items()]
    return "\n".join(lines) + "\n"


def _numbered(names: Iterable[str]) -> str:
    return ", ".join(f"{BY_NAME[name].number} {name}" for name in names)


def _grid(endpoint: str, names: Sequence[str], by_place: Mapping[tuple[str, str, str], Outcome]) -> list[str]:
    lines = [f"| quirk | number | {' | '.join(VERSIONS)} |", f"|---|---|{'---|' * len(VERSIONS)}"]
    for name in names:
        number = "" if name == "none" else str(BY_NAME[name].number)
        cells = [by_place[endpoint, name, version].summary for version in VERSIONS]
        lines.append(f"| {name} | {number} | {' | '.join(cells)} |")
    return lines


def everything(world: World) -> Iterable[Outcome]:
    """Every cell of the proof, whole pulls first."""
    for quirk in ["none", *(item.name for item in SWITCHED)]:
        for version in VERSIONS:
            with tempfile.TemporaryDirectory() as place:
                yield play(world, version, quirk, Path(place))
    for endpoint in ENDPOINTS:
        for quirk in quirks_at(endpoint):
            for version in VERSIONS:
                with tempfile.TemporaryDirectory() as place:
                    yield read(world, version, endpoint, quirk, Path(place))


if __name__ == "__main__":
    done = []
    for cell in everything(proof_world()):
        done.append(cell)
        print(cell, misses(cell), file=sys.stderr, flush=True)
    PROOF.write_text(page(done), encoding="utf-8")
