"""`/api/dataValueSets` and `/api/completeDataSetRegistrations`: aggregate figures as each version exports them.

No paging: the answer streams. Which figure exists is the world's business; tracker records are in `tracker`.
"""

import gzip
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from practice.dhis2.instance import Instance
from practice.dhis2.messages import CSV_TYPE, Answer, Refused, Request, as_json, json_answer, web_message
from practice.dhis2.periods import read_period
from practice.dhis2.times import offset, read_day, read_duration, read_instant
from practice.world.definitions import DEFAULT_OPTION_COMBO
from practice.world.records import DataValue

CSV_HEADER = "dataelement,period,orgunit,categoryoptioncombo,attributeoptioncombo,value,storedby,lastupdated,comment,followup,deleted\n"


@dataclass
class _Query:
    data_sets: list[str]
    elements: set[str]
    periods: list[str]
    start: date | None
    end: date | None
    units: set[str]
    named_units: list[str]
    children: bool
    option_combos: list[str]
    since: datetime | None
    include_deleted: bool
    limit: int | None


def _query(instance: Instance, request: Request, *, needs_elements: bool = True) -> _Query:
    """The request, checked in the order in which the server checks it.

    *Raises* Refused (409) with the E2xxx code of the first fault.
    """
    metadata = instance.metadata()
    if not request.query:
        raise Refused(409, "Query parameters cannot be null", "E2000")
    sets, groups, elements = request.all("dataSet"), request.all("dataElementGroup"), request.all("dataElement")
    if not (sets or groups or elements) and needs_elements:
        raise Refused(409, "At least one data element, data set or data element group must be specified", "E2001")
    wanted = set(elements)
    for group in groups:
        wanted |= {
            o["id"] for o in metadata.index["dataElementGroups"].get(group, {"dataElements": []})["dataElements"]
        }
    for data_set in sets:
        held = metadata.index["dataSets"].get(data_set)
        if held is None:
            # Read access is checked for data sets that are named; an unknown one reads as no access.
            raise Refused(409, f"User is not allowed to view data set: {data_set}", "E2010")
        wanted |= {part["dataElement"]["id"] for part in held["dataSetElements"]}
    periods, start, end = request.all("period"), request.one("startDate"), request.one("endDate")
    updated, duration = request.one("lastUpdated"), request.one("lastUpdatedDuration")
    if periods and (start or end):
        raise Refused(409, "Both periods and start and end date cannot be specified", "E2003")
    ranged = bool(periods) or (bool(start) and bool(end))
    if not ranged and (instance.plays("needs-range") or not (updated or duration)):
        raise Refused(
            409,
            "At least one period, start/end dates, last updated or last updated duration must be specified",
            "E2002",
        )
    first, last = (read_day(start, "startDate"), read_day(end, "endDate")) if start and end else (None, None)
    if first and last and first > last:
        raise Refused(409, "Start date must be before end date", "E2004")
    for period in periods:
        if read_period(period, instance.plays("new-period-types")) is None:
            raise Refused(409, f"Period is not valid: {period}", "E2002")
    since = read_instant(updated, instance.zone, "lastUpdated") - instance.skew() if updated else None
    if duration and since is None:
        length = read_duration(duration)
        # Up to 2.43.1 a bad duration is ignored without a word.
        if length is None and instance.minor >= 44:
            raise Refused(409, f"Duration is not valid: {duration}", "E2005")
        since = instance.instant() - length if length else None
    named, unit_groups = request.all("orgUnit"), request.all("orgUnitGroup")
    children = request.flag("children")
    if not named and not unit_groups:
        if children:
            raise Refused(409, "Organisation units must be specified when children is true", "E2008")
        raise Refused(409, "At least one organisation unit or organisation unit group must be specified", "E2006")
    if children and unit_groups:
        raise Refused(409, "Children cannot be included for organisation unit groups", "E2007")
    scope = instance.scope()
    for unit in named:
        if unit not in scope:
            raise Refused(409, f"User is not allowed to view org unit: {unit}", "E2012")
    units = metadata.subtree(named) if children else set(named)
    for group in unit_groups:
        units |= {
            o["id"]
            for o in metadata.index["organisationUnitGroups"].get(group, {"organisationUnits": []})["organisationUnits"]
        }
    limit = request.one("limit")
    if limit is not None and int(limit) < 0:
        raise Refused(409, f"Limit cannot be less than zero: {limit}", "E2009")
    combos = request.all("attributeOptionCombo")
    for combo in combos:
        if combo != DEFAULT_OPTION_COMBO:
            raise Refused(409, f"User is not allowed to view attribute option combo: {combo}", "E2011")
    return _Query(
        sets, wanted, periods, first, last, units & scope, named, children, combos, since, request.flag("includeDeleted"),
        int(limit) if limit is not None else None,
    )  # fmt: skip


def _touches(query: _Query, instance: Instance) -> set[str] | None:
    """The period strings wanted, read once per distinct string; None when time is not restricted."""
    if query.periods:
        return set(query.periods)
    if query.start is None or query.end is None:
        return None
    found = set()
    for period in {v.period for v in instance.state().data_values} | {r.period for r in instance.state().registrations}:
        read = read_period(period)
        # A range takes the periods that lie within it.
        if read and read[1] >= query.start and read[2] <= query.end:
            found.add(period)
    return found


def _selected(instance: Instance, query: _Query) -> Iterator[DataValue]:
    periods = _touches(query, instance)
    count = 0
    for place, value in enumerate(instance.state().data_values):
        if value.data_element not in query.elements or value.org_unit not in query.units:
            continue
        if periods is not None and value.period not in periods:
            continue
        if value.deleted and (not query.include_deleted or instance.plays("purged")):
            continue
        if query.since is not None and value.updated_at < query.since:
            continue
        if query.limit is not None and count >= query.limit:
            return
        count += 1
        yield _odd(value, place) if instance.plays("odd-content") else value


def _odd(value: DataValue, place: int) -> DataValue:
    """One value in six thousand is text, one in nineteen thousand has 400 digits."""
    if place % 6000 == 4321:
        return replace(value, value="khoảng 5")
    if place % 19000 == 12345:
        return replace(value, value="9" * 400)
    return value


def answer(instance: Instance, request: Request, path: str) -> Answer:
    """The answer to GET /api/dataValueSets[.json|.csv]."""
    if request.method == "POST":
        return _imported(instance)
    accept = request.headers.get("accept", "")
    wants_csv = path.endswith(".csv") or ("csv" in accept and not path.endswith(".json"))
    if not wants_csv and (path.endswith((".xml", ".adx+xml")) or "xml" in accept):
        raise Refused(406, "The practice server offers data value sets as JSON and CSV")
    if wants_csv and not instance.limits.offers_csv:
        raise Refused(406, "This server offers data value sets as JSON only")
    query = _query(instance, request)
    body = _csv(instance, query) if wants_csv else _json(instance, query, request)
    compression = request.one("compression", "none")
    if compression == "gzip":
        # A gzip file, not a gzip encoding: there is no Content-Encoding header.
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
            for part in body:
                file.write(part)
        name = "dataValueSet.csv.gz" if wants_csv else "dataValueSet.json.gz"
        return Answer(
            200, packed.getvalue(), "application/gzip", {"Content-Disposition": f"attachment; filename={name}"}
        )
    return Answer(200, body, CSV_TYPE if wants_csv else "application/json;charset=UTF-8")


def _bulk_range(query: _Query) -> tuple[date, date]:
    if query.periods:
        read = [r for p in query.periods if (r := read_period(p)) is not None]
        return min(r[1] for r in read), max(r[2] for r in read)
    return query.start or date(1900, 1, 1), query.end or date(2100, 1, 1)


def _csv(instance: Instance, query: _Query) -> Iterator[bytes]:
    yield CSV_HEADER.encode()
    if instance.bulk and instance.bulk.data_set_uid in query.data_sets:
        yield from _gathered(instance.bulk.csv(*_bulk_range(query), query.units))
    skew = instance.skew()

    def lines() -> Iterator[bytes]:
        for v in _selected(instance, query):
            comment = f'"{v.comment}"' if v.comment else ""
            text = v.value.replace('"', '""')
            yield (
                f'"{v.data_element}","{v.period}","{v.org_unit}","{v.category_option_combo}","{v.attribute_option_combo}",'
                f'"{text}","{v.stored_by}","{offset(v.updated_at + skew)}",{comment},"{str(v.followup).lower()}",'
                f"{chr(34) + 'true' + chr(34) if v.deleted else ''}\n"
            ).encode()

    yield from _gathered(lines())


def _gathered(parts: Iterable[bytes], size: int = 64 * 1024) -> Iterator[bytes]:
    """The same bytes in larger pieces: one write per line would be most of the cost."""
    held: list[bytes] = []
    length = 0
    for part in parts:
        held.append(part)
        length += len(part)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)


def _json(instance: Instance, query: _Query, request: Request) -> Iterator[bytes]:
    header: dict[str, Any] = {}
    single = (
        len(query.data_sets) == 1 and len(query.periods) == 1 and len(query.named_units) == 1 and not query.children
    )
    hoisted: set[str] = set()
    if instance.plays("hoisted-keys"):
        if single:
            header["dataSet"] = query.data_sets[0]
        if len(query.periods) == 1:
            header["period"], hoisted = query.periods[0], hoisted | {"period"}
        if len(query.named_units) == 1 and not query.children:
            header["orgUnit"], hoisted = query.named_units[0], hoisted | {"orgUnit"}
        if len(query.option_combos) == 1:
            header["attributeOptionCombo"], hoisted = query.option_combos[0], hoisted | {"attributeOptionCombo"}
    elif single:
        header = {"dataSet": query.data_sets[0], "period": query.periods[0], "orgUnit": query.named_units[0]}
        for made in instance.state().registrations:
            if (made.data_set, made.period, made.org_unit) == (
                header["dataSet"],
                header["period"],
                header["orgUnit"],
            ) and made.is_completed:
                header["completeDate"] = offset(made.registered_at + instance.skew())
    rows = (as_json(_row(instance, value, hoisted)) for value in _selected(instance, query))
    first = next(rows, None)
    bulk = instance.bulk if instance.bulk and instance.bulk.data_set_uid in query.data_sets else None
    if first is None and bulk is None:
        # Older servers leave the empty list out.
        yield as_json(header if instance.minor <= 41 else {**header, "dataValues": []})
        return
    head = as_json(header)[:-1]
    yield head + (b"," if header else b"") + b'"dataValues":['
    if bulk:
        yield from bulk.json_rows(*_bulk_range(query), query.units)
    if first is not None:
        yield first
        yield from _gathered(b"," + row for row in rows)
    yield b"]}"


def _row(instance: Instance, value: DataValue, hoisted: set[str]) -> dict[str, Any]:
    skew = instance.skew()
    row: dict[str, Any] = {
        "dataElement": value.data_element, "period": value.period, "orgUnit": value.org_unit,
        "categoryOptionCombo": value.category_option_combo, "attributeOptionCombo": value.attribute_option_combo,
        "value": value.value, "storedBy": value.stored_by, "created": offset(value.created_at + skew),
        "lastUpdated": offset(value.updated_at + skew), "comment": value.comment, "followup": value.followup,
    }  # fmt: skip
    if value.comment is None:
        del row["comment"]
    if instance.minor >= 43 and not value.followup:
        del row["followup"]
    if value.deleted:
        row["deleted"] = True
    return {name: held for name, held in row.items() if name not in hoisted}


def _imported(instance: Instance) -> Answer:
    """What a POST gets: the practice ground does not store what is sent to it."""
    summary = {
        "responseType": "ImportSummary",
        "status": "SUCCESS",
        "importCount": {"imported": 0, "updated": 0, "ignored": 0, "deleted": 0},
    }
    if not instance.plays("import-conflicts"):
        return web_message(200, "OK", "Import was successful.", response=summary)
    conflicts = [{"object": "value", "value": "value_not_numeric", "errorCode": "E7619"}]
    return web_message(
        409, "WARNING", "One or more conflicts encountered, please check import summary.",
        response={**summary, "status": "WARNING", "conflicts": conflicts},
    )  # fmt: skip


def registrations(instance: Instance, request: Request) -> Answer:
    """The answer to GET /api/completeDataSetRegistrations."""
    if not request.all("dataSet"):
        raise Refused(409, "At least one data set must be specified", "E2001")
    created, duration = request.one("created"), request.one("createdDuration")
    if not (request.all("period") or request.one("startDate") or created or duration):
        raise Refused(
            409,
            "At least one period, start/end dates, last updated or last updated duration must be specified",
            "E2002",
        )
    names = {"created": "lastUpdated", "createdDuration": "lastUpdatedDuration"}
    renamed = replace(request, query=tuple((names.get(k, k), v) for k, v in request.query))
    with_range = instance.plays("needs-range") and not request.all("period") and not request.one("startDate")
    if with_range:
        renamed = replace(renamed, query=(*renamed.query, ("startDate", "1900-01-01"), ("endDate", "2100-01-01")))
    query = _query(instance, renamed)
    periods, skew = _touches(query, instance), instance.skew()
    wanted = set(query.data_sets)
    rows = [
        {
            "period": r.period, "dataSet": r.data_set, "organisationUnit": r.org_unit,
            "attributeOptionCombo": r.attribute_option_combo, "date": offset(r.registered_at + skew), "storedBy": r.stored_by,
            "lastUpdated": offset(r.updated_at + skew), "lastUpdatedBy": r.stored_by, "completed": r.is_completed,
        }
        for r in instance.state().registrations
        if r.data_set in wanted and r.org_unit in query.units and (periods is None or r.period in periods)
        and (query.since is None or r.updated_at >= query.since)
    ]  # fmt: skip
    if query.limit is not None:
        rows = rows[: query.limit]
    return json_answer({"completeDataSetRegistrations": rows} if rows or instance.minor >= 42 else {})
