"""Fuzzing the DHIS2 payload for a bounded time: an answer is read, or refused with one of the client's own faults.

Each example begins with a sound answer and breaks it. The seed is fixed, so a run in CI is the run at home; EXAMPLES decides how long.
"""

import copy
import io
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.dhis2 import aggregate
from assets.dhis2.aggregate import ValueFormError
from assets.dhis2.client import CutOffError
from assets.dhis2.errors import Dhis2Error
from assets.dhis2.extract import pull_instance
from assets.dhis2.mapping import InstanceMapping, parse_instance
from assets.dhis2.referral import RecordFormError, landed_record, require_form
from assets.dhis2.referral_records import LandedEntities, entity_parts, record_parts
from methods.pseudonym import Pseudonymiser
from warehouse.landing import Landing, Receipt

EXAMPLES = 150
fuzzed = settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)  # fmt: skip
KEY = Pseudonymiser("a key that is long enough for tests", "k")
SOUND: dict[str, Any] = {
    "trackedEntity": "TrackedEn01", "orgUnit": "Facility001", "createdAt": "2026-07-01T08:00:00.000",
    "updatedAt": "2026-07-02T08:00:00.000", "deleted": False,
    "attributes": [{"attribute": "AttrNatId01", "value": "079199000111"}, {"attribute": "AttrBirth01", "value": "1990-02-03"},
                   {"attribute": "AttrSex0001", "value": "F"}],
    "programOwners": [{"program": "Program0001", "orgUnit": "Facility001"}],
    "enrollments": [{
        "enrollment": "Enrollmen01", "program": "Program0001", "orgUnit": "Facility001", "status": "ACTIVE",
        "enrolledAt": "2026-07-01", "updatedAt": "2026-07-02T08:00:00.000", "deleted": False,
        "attributes": [{"attribute": "AttrFamily1", "value": "Nguyen"}],
        "events": [{
            "event": "EventOfIt01", "programStage": "StageSent01", "orgUnit": "Facility001", "status": "COMPLETED",
            "occurredAt": "2026-07-01", "scheduledAt": None, "updatedAt": "2026-07-02T08:00:00.000", "deleted": False,
            "dataValues": [{"dataElement": "ElemDiseas1", "value": "TB"}, {"dataElement": "ElemToOrgU1", "value": "Facility002"},
                           {"dataElement": "ElemTreatm1", "value": "2026-07-03"}],
        }],
    }],
}  # fmt: skip
deep: list[Any] = []
for _ in range(50):
    deep = [deep]
NASTY = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from([
        "\ud800", "x" * 10_000, "<script>alert(1)</script>", "=HYPERLINK(\"http://x\")", "'; drop table core.referral; --",
        "../../etc/passwd", "9999-99-99", "0000-00-00", "-271821-04-20", "+275760-09-13T00:00:00.000Z", "2026-02-30T25:61:61",
        "2026-07-01T08:00:00.000+99:99", "NaN", "Infinity", math.nan, math.inf, -math.inf, 10**400, "\x00", "\u202e", "", {}, [], [[]],
        {"a": {"b": {}}}, deep,
    ]),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into a JSON value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found += places(child, (*path, key))
    return found


def broken(data: st.DataObject, sound: dict[str, Any]) -> Any:
    """The sound answer with one to three members replaced, removed or renamed."""
    value = copy.deepcopy(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        here = places(value)
        if not here:
            break
        *way, last = data.draw(st.sampled_from(here))
        holder = value
        for key in way:
            holder = holder[key]
        match data.draw(st.sampled_from(["replace", "replace", "remove", "add"])):
            case "replace":
                holder[last] = copy.deepcopy(data.draw(NASTY))  # a later step may change what stands there
            case "remove":
                del holder[last]
            case _ if isinstance(holder, dict):
                holder[data.draw(st.text(max_size=8))] = copy.deepcopy(data.draw(NASTY))
    return value


def read_entity(entity: Any, mapping: InstanceMapping, receipt: Receipt, folder: Path) -> None:
    """One tracked entity goes the whole way: form, hashing, landing, staging."""
    referral = mapping.referral
    assert referral is not None
    require_form(entity)
    line = json.dumps(landed_record(entity, referral, KEY), ensure_ascii=False, sort_keys=True).encode()
    assert b"079199000111" not in line
    path = folder / "tracker-000001.jsonl"
    path.write_bytes(line + b"\n")
    entities = LandedEntities([path])
    (people,), (records,) = entity_parts(entities, receipt, mapping), record_parts(entities, receipt, mapping)
    assert people.height == 1
    assert records.height <= 5


def test_the_sound_entity_is_sound(stub: InstanceMapping, full_pull: Receipt, tmp_path: Path) -> None:
    read_entity(SOUND, stub, full_pull, tmp_path)


@fuzzed
@given(data=st.data())
def test_a_broken_entity_is_read_or_refused_by_its_form(
    stub: InstanceMapping, full_pull: Receipt, tmp_path: Path, data: st.DataObject
) -> None:
    entity = broken(data, SOUND)
    told = ""
    try:
        read_entity(entity, stub, full_pull, tmp_path)
    except RecordFormError as fault:
        told = str(fault)
    assert "079199000111" not in told
    assert len(told) < 200


@pytest.mark.parametrize(
    "entity",
    [None, [], "text", {}, {"trackedEntity": None}, {"trackedEntity": "../../x"}, {**SOUND, "enrollments": {"a": 1}},
     {**SOUND, "updatedAt": "\ud800"}, {**SOUND, "updatedAt": "x" * 201}, {**SOUND, "createdAt": 5}, {**SOUND, "attributes": [None]},
     {**SOUND, "attributes": [{"attribute": "AttrNatId01", "value": {"deep": []}}]}],
)  # fmt: skip
def test_what_is_no_tracked_entity_is_refused(entity: Any) -> None:
    with pytest.raises(RecordFormError):
        require_form(entity)


def test_a_server_with_a_broken_record_fails_alone_and_says_which(
    stub_world: Any, raw_settings: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    world = stub_world(42)
    uid = world.create()
    world.tick(hours=1)
    sound = world.entity
    world.entity = lambda name: {**sound(name), "enrollments": "none"} if name == uid else sound(name)
    landing = Landing(tmp_path)
    with pytest.raises(Dhis2Error, match="record 1 of a page of tracker: enrollments of a tracked entity is no list"):
        pull_instance(
            world.client(max_parallel=1),
            parse_instance(raw_settings(), is_practice=True),
            lambda part: landing.pull("dhis2_stub", part, datetime(2026, 7, 6, tzinfo=UTC), is_practice=True),
            None,
            KEY,
        )


HEADER = "dataelement,period,orgunit,categoryoptioncombo,attributeoptioncombo,value,storedby,lastupdated,comment,followup,deleted\n"
LINES = "".join(
    f"ElemNumber1,2026{month:02d},Facility001,CocFemale01,AocDefault1,{month},admin,2026-07-01T08:00:00.000+0000,a note,false,\n"
    for month in range(1, 7)
)


@fuzzed
@given(data=st.data())
def test_a_broken_csv_of_values_is_read_or_told_as_cut_off(data: st.DataObject) -> None:
    body = bytearray((HEADER + LINES).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, max(0, len(body) - 1)))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change" if body:
                body[where] = data.draw(st.integers(0, 255))
            case "cut":
                del body[where : where + data.draw(st.integers(1, 300))]
            case _:
                body[where:where] = data.draw(
                    st.one_of(st.binary(max_size=12), st.sampled_from([b'"', b"\x00", b"\n\n", b"x" * 9000]))
                )
    target = io.BytesIO()
    try:
        counts = aggregate.copy_csv(io.BytesIO(bytes(body)), target, frozenset(["ElemNumber1"]))
    except CutOffError:
        return
    landed = pyarrow.parquet.read_table(io.BytesIO(target.getvalue()))
    assert landed.num_rows == counts.received - counts.unmapped


VALUES: dict[str, Any] = {
    "dataSet": "DataSetMon1", "period": "202601", "orgUnit": "Facility001",
    "dataValues": [{"dataElement": "ElemNumber1", "categoryOptionCombo": "CocFemale01", "attributeOptionCombo": "AocDefault1",
                    "value": "5", "lastUpdated": "2026-07-01T08:00:00.000", "deleted": False}],
}  # fmt: skip


@fuzzed
@given(data=st.data())
def test_a_broken_json_of_values_is_read_or_refused_by_its_form(data: st.DataObject) -> None:
    answer = broken(data, VALUES)
    target = io.BytesIO()
    try:
        counts = aggregate.copy_json(answer, target, frozenset(["ElemNumber1"]))
    except ValueFormError:
        return
    assert pyarrow.parquet.read_table(io.BytesIO(target.getvalue())).num_rows == counts.received - counts.unmapped
