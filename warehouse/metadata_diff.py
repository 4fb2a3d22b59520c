"""What changed in a server's metadata from one reading to the next: definitions, org units, and who reports which data set.

Belongs here: pairing the versions that the core keeps, and naming the properties that differ. Does not belong here: reading
metadata (`assets.dhis2.metadata`), keeping versions (`history`), drawing (`pipelines.cli`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from warehouse.catalogue.table_catalogue import OPEN_END
from warehouse.store import Warehouse

ORG_UNITS, ASSIGNMENTS = "organisationUnits", "dataSetAssignments"
"""Kinds besides those of core.metadata_object, which are named as the server's endpoints."""

_VERSIONS = {
    "core.metadata_object": """
        select kind_code as kind, object_uid as uid, coalesce(name, object_code, object_uid) as name, object_code as code,
            value_type_code, parent_uid, detail, recorded_from, recorded_to
        from core.metadata_object where instance_code = $instance""",
    "core.org_unit": f"""
        select '{ORG_UNITS}' as kind, org_unit_uid as uid, name, level, parent_uid, opening_on, closed_on, country_code,
            province_area_code, geometry_code, longitude_degrees, latitude_degrees, recorded_from, recorded_to
        from core.org_unit where instance_code = $instance""",
    "core.data_set_assignment": f"""
        select '{ASSIGNMENTS}' as kind, data_set_uid || ':' || org_unit_uid as uid,
            data_set_code || ' by ' || coalesce(unit.name, org_unit_uid) as name, period_type_code, timely_days,
            a.recorded_from, a.recorded_to
        from core.data_set_assignment a
        -- cardinality: many to one, the newest version of each unit
        left join (select org_unit_uid, arg_max(name, recorded_from) as name from core.org_unit
            where instance_code = $instance group by all) unit using (org_unit_uid)
        where a.instance_code = $instance""",
}
_OPEN_END = datetime.fromisoformat(OPEN_END)
_IDENTITY = ("kind", "uid", "recorded_from", "recorded_to")

ChangeCode = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class PropertyChange:
    """One property of an object before and after; None where it had no value. Of a list, what went and what came."""

    property: str
    before: Any
    after: Any


@dataclass(frozen=True)
class MetadataChange:
    """One object that differs between two readings: when it was recorded, what it is, and which properties changed."""

    recorded_at: datetime
    kind: str
    uid: str
    name: str
    change: ChangeCode
    properties: tuple[PropertyChange, ...] = ()


@dataclass(frozen=True)
class MetadataDiff:
    """A server's metadata as it is held now, and what changed since `since`, oldest first, without the first reading."""

    server: str
    first_read_at: datetime
    since: datetime
    counts: Mapping[str, int]
    """Objects held now, by kind."""
    changes: tuple[MetadataChange, ...]


def metadata_diff(warehouse: Warehouse, instance_code: str, since: datetime | None = None) -> MetadataDiff | None:
    """What changed on one server at or after `since`; without it, in the newest reading that changed anything.

    None when no metadata of the server was ever loaded.
    """
    versions = [row for query in _VERSIONS.values() for row in _rows(warehouse, query, instance_code)]
    if not versions:
        return None
    first = min(row["recorded_from"] for row in versions)
    changes = sorted(
        _changes(versions, first), key=lambda found: (found.recorded_at, found.kind, found.name, found.uid)
    )
    newest = max((found.recorded_at for found in changes), default=first.replace(tzinfo=UTC))
    start = since or newest
    counts: dict[str, int] = {}
    for row in versions:
        if row["recorded_to"] == _OPEN_END:
            counts[row["kind"]] = counts.get(row["kind"], 0) + 1
    return MetadataDiff(
        instance_code,
        first.replace(tzinfo=UTC),
        start,
        dict(sorted(counts.items())),
        tuple(found for found in changes if found.recorded_at >= start),
    )


def _rows(warehouse: Warehouse, query: str, instance_code: str) -> list[dict[str, Any]]:
    return list(warehouse.read(query, {"instance": instance_code}).iter_rows(named=True))


def _changes(versions: Iterable[Mapping[str, Any]], first: datetime) -> Iterable[MetadataChange]:
    """Each border between two versions of an object as a change; the first reading is where everything begins, no change."""
    by_object: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in versions:
        by_object.setdefault((row["kind"], row["uid"]), []).append(row)
    for (kind, uid), held in by_object.items():
        held.sort(key=lambda row: row["recorded_from"])
        before: Mapping[str, Any] | None = None
        for row in held:
            at = row["recorded_from"].replace(tzinfo=UTC)
            if before is not None and before["recorded_to"] == row["recorded_from"]:
                different = tuple(_differences(_properties(before), _properties(row)))
                if different:
                    yield MetadataChange(at, kind, uid, row["name"], "changed", different)
            else:
                if before is not None:
                    yield _removed(before)
                if row["recorded_from"] > first:
                    yield MetadataChange(at, kind, uid, row["name"], "added")
            before = row
        if before is not None and before["recorded_to"] != _OPEN_END:
            yield _removed(before)


def _removed(row: Mapping[str, Any]) -> MetadataChange:
    return MetadataChange(row["recorded_to"].replace(tzinfo=UTC), row["kind"], row["uid"], row["name"], "removed")


def _properties(row: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a version, those in `detail` by their path (leftSide.expression); lists as sorted texts."""
    found = {name: value for name, value in row.items() if name not in (*_IDENTITY, "detail")}
    return found | dict(_flat(json.loads(row["detail"]) if row.get("detail") else {}))


def _flat(value: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    for key, inner in value.items():
        name = f"{path}{key}"
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{name}.")
        elif isinstance(inner, list):
            yield name, sorted(_member(item) for item in inner)
        else:
            yield name, inner


def _member(item: Any) -> str:
    """A member of a list as a text: the UID in it when it has one, however deep, as {"dataElement": {"id": ...}}."""
    while isinstance(item, Mapping) and len(item) == 1:
        (item,) = item.values()
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, sort_keys=True)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[PropertyChange]:
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        if isinstance(was, list) and isinstance(now, list):
            yield PropertyChange(name, [i for i in was if i not in now], [i for i in now if i not in was])
        else:
            yield PropertyChange(name, was, now)
