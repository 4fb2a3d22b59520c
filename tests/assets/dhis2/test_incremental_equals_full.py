"""Any sequence of incremental pulls leaves what one full pull leaves: the promise, over random histories, on every version.

The world is the stub DHIS2 of the conftest; landing, staging models and history are the real ones on an in-memory DuckDB.
"""

import itertools
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.dhis2.extract import PullResult, pull_instance
from assets.dhis2.mapping import InstanceMapping, parse_instance
from assets.dhis2.payload import stage_frames
from methods.pseudonym import Pseudonymiser
from warehouse.catalogue.table_catalogue import Table, load_tables
from warehouse.landing import Landing
from warehouse.load import LoadTransaction
from warehouse.schema import create_statement, current_view_statement

VERSIONS = (40, 41, 42, 43, 44)
CORE = (
    "core.org_unit",
    "core.org_unit_earlier_place",
    "core.data_set_assignment",
    "core.data_set_registration",
    "core.data_value",
    "core.referral_record",
    "core.metadata_object",
)
STAGING = (
    "staging.org_unit", "staging.data_set_assignment", "staging.data_set_registration", "staging.data_value",
    "staging.referral_record", "staging.tracked_entity", "staging.referral_listing", "staging.metadata_object",
)  # fmt: skip


class Store:
    """The DHIS2 tables in memory, loaded pull by pull as the pipeline does."""

    def __init__(self, entries: dict[str, Table], folder: Path, mapping: InstanceMapping) -> None:
        self.entries = entries
        self.mapping = mapping
        self.landing = Landing(folder)
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute("create schema staging; create schema core; create schema quarantine")
        for name in (*STAGING, *CORE, "quarantine.record"):
            self.connection.execute(create_statement(entries[name]))
            if entries[name].history:
                self.connection.execute(current_view_statement(entries[name]))
        self.recorded_at = datetime(2026, 1, 1, tzinfo=UTC)
        self.watermark: str | None = None
        self.erased: set[str] = set()

    def refresh(self, world: Any, *, reconcile: bool = False, page_size: int = 4) -> PullResult:
        self.recorded_at += timedelta(days=1)

        def pull_factory(part: str) -> Any:
            return self.landing.pull("dhis2_stub", part, self.recorded_at, is_practice=True)

        key = Pseudonymiser("a key that is long enough for tests", "k", self.erased)
        result = pull_instance(
            world.client(max_parallel=1), self.mapping, pull_factory, self.watermark, key, reconcile=reconcile
        )
        staged = stage_frames(result.receipts, self.landing, self.mapping)
        load = LoadTransaction(self.connection, self.entries, "dhis2_stub", self.recorded_at)
        for name, frame in staged.frames.items():
            load.stage(name, frame, staged.scope)
        for step in staged.loads:
            load.load_history(step.table, mode=step.mode, scope=step.scope)
        self.watermark = result.watermark
        return result

    def state(self) -> dict[str, list[tuple[Any, ...]]]:
        """What is open now, without provenance."""
        found = {}
        for name in CORE:
            columns = ", ".join([*self.entries[name].key, *self.entries[name].compared_columns])
            found[name] = self.connection.execute(f"select {columns} from {name}_current order by all").fetchall()
        return found


@pytest.fixture(scope="session")
def entries() -> dict[str, Table]:
    return load_tables()


@pytest.fixture(scope="session")
def mapping_of(request: pytest.FixtureRequest) -> Callable[..., InstanceMapping]:
    raw = request.getfixturevalue("raw_settings")
    return lambda **changes: parse_instance(raw(**changes), is_practice=True)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Path]]:
    base = tmp_path_factory.mktemp("landing")
    yield (base / str(number) for number in itertools.count())
    shutil.rmtree(base)


UNITS, COMBOS = ("Facility001", "Facility002"), ("CocFemale01", "CocMale0001", "CocUnknown1")
ACTIONS = (
    "create",
    "edit",
    "blank",
    "enroll",
    "delete",
    "delete enrollment",
    "touch",
    "value",
    "bad value",
    "delete value",
)


def act(world: Any, action: str, draw: random.Random) -> None:
    """One thing that somebody does on the server, some of it entered with a time up to minutes in the past."""
    late = draw.choice((0.0, 0.0, 30.0, 300.0))
    alive = [uid for uid, item in world.entities.items() if not item["deleted"]]
    somebody = draw.choice(alive) if alive else world.create(late_by=late)
    period = f"2026{draw.randrange(1, 7):02d}"
    unit, combo = draw.choice(UNITS), draw.choice(COMBOS)
    if action == "create":
        world.create(disease=draw.choice(("TB", "TB", "PLAGUE")), late_by=late)
    elif action == "edit":
        world.edit(somebody, "ElemOutcom1", draw.choice(("CURED", "DIED", "UNHEARD_OF")))
    elif action == "blank":
        world.edit(somebody, "ElemDiseas1", None)
    elif action == "enroll":
        world.enroll(somebody)
    elif action == "delete":
        world.delete(somebody)
    elif action == "delete enrollment":
        world.delete_enrollment(somebody)
    elif action == "touch":
        world.touch(somebody, late_by=late)
    elif action == "value":
        world.set_value(period, unit, combo, str(draw.randrange(50)), late_by=late)
    elif action == "bad value":
        world.set_value(period, unit, combo, "a dozen", late_by=late)
    elif action == "delete value":
        world.delete_value(period, unit, combo)


PLANS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(ACTIONS), max_size=6),
        st.integers(0, 3),
        st.sampled_from((0, 20, 3000, 90_000, 700_000)),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("major", VERSIONS)
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(plan=PLANS, seed=st.integers(0, 10_000), zone=st.sampled_from(("Asia/Ho_Chi_Minh", "Europe/Berlin", "UTC")))
def test_rule_27_any_sequence_of_incremental_pulls_equals_one_full_pull(
    stub_world: Any,
    entries: dict[str, Table],
    mapping_of: Callable[..., InstanceMapping],
    folders: Iterator[Path],
    major: int,
    plan: list[tuple[list[str], int, int]],
    seed: int,
    zone: str,
) -> None:
    draw = random.Random(seed)
    # Around the end of daylight saving in Berlin, with a server whose clock is years from ours.
    world = stub_world(major, zone=zone, now=datetime(2031, 10, 25, 20, tzinfo=UTC))
    mapping = mapping_of(page_size=2, data_from=datetime(2026, 1, 1).date())
    for _ in range(5):
        act(world, "create", draw)
        act(world, "value", draw)
    step_by_step = Store(entries, next(folders), mapping)
    for actions, meddling, pause in plan:
        step_by_step.refresh(world)
        world.tick(seconds=pause)
        for action in actions:
            act(world, action, draw)
            world.tick(seconds=draw.choice((0, 1, 60)))
        left = [meddling]

        def meddle(path: str, query: dict[str, str], left: list[int] = left) -> None:
            world.tick(seconds=1)
            if left[0] > 0 and path.startswith(("tracker", "dataValueSets")) and draw.random() < 0.5:
                left[0] -= 1
                act(world, draw.choice(ACTIONS), draw)

        world.before_answer = meddle
        step_by_step.refresh(world)
        world.before_answer = lambda path, query: None
    world.tick(hours=1)
    step_by_step.refresh(world)
    at_once = Store(entries, next(folders), mapping)
    assert at_once.refresh(world).mode == "full"
    assert step_by_step.state() == at_once.state()


@pytest.mark.parametrize("major", VERSIONS)
def test_rule_25_what_was_purged_without_a_trace_is_closed_by_a_reconciliation(
    stub_world: Any,
    entries: dict[str, Table],
    mapping_of: Callable[..., InstanceMapping],
    folders: Iterator[Path],
    major: int,
) -> None:
    world = stub_world(major)
    people = [world.create() for _ in range(7)]
    for month in range(1, 7):
        world.set_value(f"2026{month:02d}", "Facility001", "CocFemale01", str(month))
    mapping = mapping_of(page_size=2, data_from=datetime(2026, 1, 1).date())
    world.tick(hours=1)
    store = Store(entries, next(folders), mapping)
    store.refresh(world)
    for uid in people[:3]:
        world.purge(uid)
    del world.values["202603", "Facility001", "CocFemale01"]
    world.tick(days=7)
    store.refresh(world)
    assert len(store.state()["core.referral_record"]) == 7  # nothing told us yet
    world.tick(days=7)
    store.refresh(world, reconcile=True)
    again = Store(entries, next(folders), mapping)
    again.refresh(world)
    assert store.state() == again.state()
    assert len(store.state()["core.referral_record"]) == 4
    # Purged to the last: an empty listing is a statement, too.
    for uid in people[3:]:
        world.purge(uid)
    world.tick(days=7)
    store.refresh(world, reconcile=True)
    assert store.state()["core.referral_record"] == []


def test_an_erased_person_is_never_landed_again_whatever_the_server_sends(
    stub_world: Any, entries: dict[str, Table], mapping_of: Callable[..., InstanceMapping], folders: Iterator[Path]
) -> None:
    world = stub_world(42)
    people = [world.create() for _ in range(5)]
    mapping = mapping_of(page_size=2, data_from=datetime(2026, 1, 1).date())
    world.tick(hours=1)
    store = Store(entries, next(folders), mapping)
    store.refresh(world)
    ((token,),) = store.connection.execute(
        "select distinct person_token from core.referral_record where tracked_entity_uid = ?", [people[0]]
    ).fetchall()
    key = Pseudonymiser("a key that is long enough for tests", "k")
    store.erased = {key.erasure_digest("person", token), key.erasure_digest("record", f"stub:{people[1]}")}
    gone = [people[0].encode(), people[1].encode(), token.encode()]
    for table in ("core.referral_record", "staging.referral_record", "staging.tracked_entity"):
        store.connection.execute(f"delete from {table} where tracked_entity_uid in (?, ?)", people[:2])
    shutil.rmtree(store.landing.root)
    for person in people[:3]:
        world.edit(person, "ElemOutcom1", "CURED")
    world.tick(days=1)
    result = store.refresh(world)
    assert result.counts["tracker_erased"] == 2  # told, not dropped silently
    world.tick(days=1)
    assert store.refresh(world, reconcile=True).counts["tracker_listing_erased"] == 1  # a UID alone shows no token
    again = Store(entries, next(folders), mapping)
    again.erased = store.erased
    again.refresh(world)
    assert store.state() == again.state()
    assert len(store.state()["core.referral_record"]) == 3
    for folder in (store.landing.root, again.landing.root):
        written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        assert people[2].encode() in written
        assert token.encode() not in written
        assert people[1].encode() not in written
    assert gone[0] not in b"".join(
        path.read_bytes() for path in again.landing.root.rglob("tracker-0*.jsonl") if path.is_file()
    )


def test_a_second_pull_of_nothing_new_changes_nothing(
    stub_world: Any, entries: dict[str, Table], mapping_of: Callable[..., InstanceMapping], folders: Iterator[Path]
) -> None:
    world = stub_world(42)
    world.create()
    world.set_value("202601", "Facility001", "CocFemale01", "5")
    world.tick(hours=1)
    store = Store(entries, next(folders), mapping_of(data_from=datetime(2026, 1, 1).date()))
    store.refresh(world)
    versions = [
        store.connection.execute(f"select count(*), max(recorded_from) from {name}").fetchall() for name in CORE
    ]
    store.refresh(world)
    assert versions == [
        store.connection.execute(f"select count(*), max(recorded_from) from {name}").fetchall() for name in CORE
    ]


def test_a_unit_that_moves_keeps_its_old_records_where_it_lay(
    stub_world: Any, entries: dict[str, Table], mapping_of: Callable[..., InstanceMapping], folders: Iterator[Path]
) -> None:
    """The hierarchy of the day of the referral decides, also for records that no pull touched; the stay that ended is on record."""
    world = stub_world(42)
    world.create()
    world.tick(days=2)
    store = Store(entries, next(folders), mapping_of(province_areas={"Facility001": "VN34-91"}))
    store.refresh(world)
    area = "select from_area_code, from_country_code from core.referral_record_current"
    assert store.connection.execute(area).fetchall() == [("VN34-91", "VNM")]
    document = world.document

    def moved(path: str, query: dict[str, str]) -> Any:
        answer = document(path, query)
        if path == "organisationUnits":
            for unit in answer[path]:
                unit["path"] = unit["path"].replace("/RootVnm0001/", "/RootVnm0001/Province009/")
        return answer

    world.document = moved
    store.mapping = mapping_of(province_areas={"Facility001": "VN34-91", "Province009": "VN34-80"})
    store.watermark = store.watermark and store.watermark.split("#")[0] + "#" + store.mapping.digest
    world.tick(days=7)
    result = store.refresh(world)
    assert (result.mode, result.counts["tracker"]) == ("incremental", 0)
    assert store.connection.execute(
        "select path from core.org_unit_current where org_unit_uid = 'Facility001'"
    ).fetchall() == [("/RootVnm0001/Province009/Facility001",)]
    assert store.connection.execute(area).fetchall() == [("VN34-91", "VNM")]
    stays = "select path, province_area_code, valid_from_on::varchar from core.org_unit_earlier_place_current"
    assert store.connection.execute(f"{stays} where org_unit_uid = 'Facility001'").fetchall() == [
        ("/RootVnm0001/Facility001", "VN34-91", "0001-01-01")
    ]


@pytest.mark.parametrize("broken_at", [1, 2, 3, 5, 8, 11])
def test_a_broken_pull_goes_on_where_it_stopped(
    stub_world: Any,
    entries: dict[str, Table],
    mapping_of: Callable[..., InstanceMapping],
    folders: Iterator[Path],
    refused: type[Exception],
    broken_at: int,
) -> None:
    world = stub_world(42)
    for month in range(1, 7):
        world.create()
        world.set_value(f"2026{month:02d}", "Facility001", "CocFemale01", str(month))
    world.tick(hours=1)
    mapping = mapping_of(page_size=2, data_from=datetime(2025, 1, 1).date())
    store = Store(entries, next(folders), mapping)
    begun = world.now
    data_requests = [0]

    def power_cut(path: str, query: dict[str, str]) -> None:
        world.tick(minutes=1)
        if path.startswith(("tracker", "dataValueSets", "completeDataSet")):
            data_requests[0] += 1
            if data_requests[0] == broken_at:
                raise refused(403, {"message": "the plug was pulled"})

    world.before_answer = power_cut
    with pytest.raises(Exception, match="the plug was pulled"):
        store.refresh(world)
    world.requests.clear()
    world.create()
    store.refresh(world)
    if 1 < broken_at <= 3:
        asked = [dict(query) for path, query in world.requests if path.startswith("tracker")]
        assert asked[0]["page"] == str(broken_at)
        assert asked[0]["updatedBefore"] == (begun + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    world.before_answer = lambda path, query: None
    world.tick(hours=7)
    store.refresh(world)
    at_once = Store(entries, next(folders), mapping)
    at_once.refresh(world)
    assert store.state() == at_once.state()


def test_definitions_have_a_history(
    stub_world: Any, entries: dict[str, Table], mapping_of: Callable[..., InstanceMapping], folders: Iterator[Path]
) -> None:
    """An option added, one taken away and a rule of somebody else's data: two pulls, two states, no rule."""
    world = stub_world(42)
    one, two, three = ({"id": f"OptionNr00{n}", "code": f"O{n}", "name": f"Option {n}"} for n in (1, 2, 3))
    world.definitions = {
        "trackedEntityAttributes": [
            {"id": "AttrSex0001", "name": "Sex", "valueType": "TEXT", "optionSet": {"id": "OptSetSex01"}}
        ],
        "optionSets": [{"id": "OptSetSex01", "name": "Sex", "options": [one, two]}],
        "indicators": [
            {"id": "Indicator01", "name": "Ours", "numerator": "#{ElemNumber1}", "denominator": "1"},
            {"id": "Indicator02", "name": "Theirs", "numerator": "#{ElemOther01}", "denominator": "1"},
        ],
    }
    store = Store(entries, next(folders), mapping_of(data_from=datetime(2026, 1, 1).date()))
    store.refresh(world)
    world.definitions["optionSets"][0]["options"] = [one, three]
    world.definitions["indicators"][0]["denominator"] = "#{ElemNumber1}"
    world.tick(days=7)
    store.refresh(world)
    query = """select kind_code, object_uid, parent_uid, recorded_to < timestamp '9999-12-31' as is_closed
        from core.metadata_object where kind_code in ('options', 'indicators') order by all"""
    assert store.connection.execute(query).fetchall() == [
        ("indicators", "Indicator01", None, False),
        ("indicators", "Indicator01", None, True),
        ("options", "OptionNr001", "OptSetSex01", False),
        ("options", "OptionNr002", "OptSetSex01", True),
        ("options", "OptionNr003", "OptSetSex01", False),
    ]
