"""`/api/tracker/{trackedEntities,enrollments,events}` in the parameters, shapes and pagers of each version.

Which record exists is the world's business; what a version names, ignores, refuses and hides is here.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from practice.dhis2.fields import Fields, parse_fields, project
from practice.dhis2.instance import Instance
from practice.dhis2.messages import Answer, Refused, Request, json_answer
from practice.dhis2.times import local, local_day, read_day, read_instant, read_iso_duration, zulu, zulu_day
from practice.world.definitions import DEFAULT_OPTION_COMBO, referral_program
from practice.world.records import Enrollment, Event, TrackedEntity

KINDS = ("trackedEntities", "enrollments", "events")
_DEFAULT_FIELDS = {
    "trackedEntities": "*,!relationships,!enrollments,!events,!programOwners",
    "enrollments": "*,!relationships,!events,!attributes",
    "events": "*,!relationships",
}
_ID = {"trackedEntities": "trackedEntity", "enrollments": "enrollment", "events": "event"}
_ORDERS = {
    "trackedEntities": ("createdAt", "updatedAt", "trackedEntity", "enrolledAt"),
    "enrollments": ("createdAt", "updatedAt", "enrolledAt", "completedAt", "enrollment"),
    "events": ("createdAt", "updatedAt", "occurredAt", "scheduledAt", "event", "orgUnit", "status"),
}
_SCOPE_MODES = ("ALL", "ACCESSIBLE", "CAPTURE")
Record = TrackedEntity | Enrollment | Event


def answer(instance: Instance, request: Request, parts: list[str]) -> Answer:
    """The answer to /api/tracker/<kind>[/<uid>]."""
    kind = parts[0].removesuffix(".json").removesuffix(".csv")
    if kind not in KINDS:
        raise Refused(404, f"No such tracker resource: {kind}")
    with instance.lock:
        instance.tracker_requests += 1
    reader = _Reader(instance, request, kind)
    if len(parts) > 1:
        return reader.single(parts[1])
    if parts[0].endswith(".csv") or "text/csv" in request.headers.get("accept", ""):
        return reader.as_csv()
    return reader.as_list()


@dataclass
class _Paging:
    off: bool
    page: int
    size: int
    total: bool


class _Reader:
    """One request for tracker records."""

    def __init__(self, instance: Instance, request: Request, kind: str) -> None:
        self.instance, self.request, self.kind = instance, request, kind
        self.minor = instance.minor
        self.program = referral_program(instance.server)
        self.include_deleted = request.flag("includeDeleted")
        self.skew = instance.skew()
        self.concept_uid = {e.concept + "@" + s.concept: e.uid for s in self.program.stages for e in s.elements}
        self.attributes = {a.concept: a for a in self.program.attributes}
        self.option_sets = {s.concept: {e.concept: e.option_set for e in s.elements} for s in self.program.stages}
        self.stage_uid = {s.concept: s.uid for s in self.program.stages}
        self.state = instance.state()
        self.names = {u.uid: u.name for u in self.state.org_units}

    # -- refusal ---------------------------------------------------------------------------------------------------

    def refuse(self, message: str, status: int = 400, code: str | None = None) -> Refused:
        """An error with the status of the version: 2.40 says 409 where later ones say 400 or 403."""
        return Refused(status if self.instance.plays("plain-statuses") else 409, message, code)

    def _instant(self, text: str, name: str) -> datetime:
        return read_instant(text, self.instance.zone, name) - self.skew

    # -- selection -------------------------------------------------------------------------------------------------

    def _mode(self, units: list[str]) -> str:
        request, old = self.request, self.minor <= 41
        mode = request.one("orgUnitMode")
        if self.minor == 40 or (old and mode is None):
            mode = request.one("ouMode")
        if mode is None:
            if units:
                return "SELECTED"
            if self.minor == 40 and not self.request.listed("trackedEntity"):
                raise self.refuse("At least one organisation unit must be specified")
            return "ACCESSIBLE"
        mode = mode.upper()
        if mode not in (*_SCOPE_MODES, "SELECTED", "CHILDREN", "DESCENDANTS"):
            raise self.refuse(f"Value {mode!r} is not valid for parameter orgUnitMode")
        if mode in _SCOPE_MODES and units and self.instance.plays("strict-parameters"):
            raise self.refuse(f"orgUnitMode {mode} cannot be used with orgUnits")
        if mode not in _SCOPE_MODES and not units:
            raise self.refuse(f"At least one org unit is required for orgUnitMode: {mode}")
        return mode

    def _units(self) -> set[str]:
        """The units whose records are wanted, within the user's scope."""
        request = self.request
        if self.minor == 40 or self.kind == "events":
            named = request.listed("orgUnit", ";" if self.minor == 40 else ",")
        else:
            named = request.listed("orgUnits", ",") or (request.listed("orgUnit", ";") if self.minor == 41 else [])
        metadata, scope = self.instance.metadata(), self.instance.scope()
        mode = self._mode(named)
        for unit in named:
            if unit not in metadata.paths:
                raise self.refuse(f"Organisation unit does not exist: {unit}")
            if unit not in scope:
                raise self.refuse(f"User has no access to organisation unit: {unit}", 403)
        if mode in _SCOPE_MODES:
            return scope
        if mode == "DESCENDANTS":
            return metadata.subtree(named) & scope
        if mode == "CHILDREN":
            return {u for u in scope if u in named or metadata.paths[u].split("/")[-2] in named}
        return set(named) & scope

    def _entities(self) -> list[TrackedEntity]:
        """Tracked entities as this server shows them, quirks of content applied."""
        shown = []
        for n, entity in enumerate(self.state.tracked_entities):
            if self.instance.plays("purged") and entity.deleted:
                continue
            owner = entity.owner_uid
            if self.instance.plays("ownership-moved") and n % 7 == 3:
                owner = self.state.tracked_entities[(n * 5) % len(self.state.tracked_entities)].org_unit_uid
            attributes = entity.attributes
            if self.instance.plays("odd-content") and n % 800 == 401:
                attributes = {**attributes, "migrant_status": "ODD"}
            if owner == entity.owner_uid and attributes is entity.attributes:
                shown.append(entity)
                continue
            shown.append(
                TrackedEntity(
                    entity.uid,
                    entity.org_unit_uid,
                    owner,
                    entity.created_at,
                    entity.updated_at,
                    attributes,
                    entity.attribute_times,
                    entity.deleted,
                    entity.enrollments,
                )
            )
        return shown

    def _select(self) -> list[Record]:
        request, units = self.request, self._units()
        named_program = request.one("program")
        if named_program is not None and named_program != self.program.uid:
            raise self.refuse(f"Program is specified but does not exist: {named_program}")
        if (
            self.kind != "trackedEntities"
            and named_program is None
            and self.minor >= 43
            and self.instance.plays("strict-parameters")
        ):
            raise self.refuse("Program is mandatory")
        entities = self._entities()
        # A protected program shows a person only where the owner unit is in scope; events stand in their own unit.
        if self.kind == "trackedEntities":
            self._need_type()
            wanted = set(request.listed("trackedEntities", ",")) or set(request.listed("trackedEntity", ";"))
            found: list[Record] = [
                te
                for te in entities
                if (te.owner_uid in units or te.org_unit_uid in units) and (not wanted or te.uid in wanted)
            ]
            found = [te for te in found if self._attribute_filters(te)]
        elif self.kind == "enrollments":
            wanted = set(request.listed("enrollments", ",")) or set(request.listed("enrollment", ";"))
            person = request.one("trackedEntity")
            found = [
                en
                for te in entities
                if te.owner_uid in units or te.org_unit_uid in units
                for en in te.enrollments
                if (not wanted or en.uid in wanted) and (not person or te.uid == person)
            ]
            found = self._within_days(found, "enrolledAfter", "enrolledBefore", "enrolled_on")
            if status := request.one("status") or (request.one("programStatus") if self.minor < 42 else None):
                found = [en for en in found if isinstance(en, Enrollment) and en.status == status]
        else:
            found = self._events(entities, units)
        if not self.include_deleted:
            found = [record for record in found if not record.deleted]
        return self._within_times(found)

    def _need_type(self) -> None:
        request = self.request
        given = request.one("program") or request.one("trackedEntityType") or request.listed("trackedEntities")
        if not given and not request.one("trackedEntity"):
            raise self.refuse("Either Program, Tracked entity type or Tracked entities should be specified")
        kind = request.one("trackedEntityType")
        if kind and kind != self.program.tracked_entity_type:
            raise self.refuse(f"Tracked entity type is specified but does not exist: {kind}")

    def _events(self, entities: list[TrackedEntity], units: set[str]) -> list[Record]:
        request = self.request
        stage = request.one("programStage")
        if stage and stage not in self.stage_uid.values():
            raise self.refuse(f"Program stage is specified but does not exist: {stage}")
        wanted = set(request.listed("events", ",")) or set(request.listed("event", ";"))
        person = request.one("trackedEntity")
        enrollments = set(request.listed("enrollments", ","))
        status = request.one("status")
        found: list[Record] = [
            event
            for te in entities
            if not person or te.uid == person
            for en in te.enrollments
            if not enrollments or en.uid in enrollments
            for event in en.events
            if event.org_unit_uid in units
            and (not stage or self.stage_uid[event.stage] == stage)
            and (not wanted or event.uid in wanted)
            and (not status or event.status == status)
        ]
        found = self._within_days(found, "occurredAfter", "occurredBefore", "occurred_on")
        return self._within_days(found, "scheduledAfter", "scheduledBefore", "scheduled_on")

    def _within_days(self, found: list[Record], after: str, before: str, column: str) -> list[Record]:
        if (text := self.request.one(after)) is not None:
            first = read_day(text, after)
            found = [r for r in found if (day := getattr(r, column)) is not None and day >= first]
        if (text := self.request.one(before)) is not None:
            last = read_day(text, before)
            found = [r for r in found if (day := getattr(r, column)) is not None and day <= last]
        return found

    def _within_times(self, found: list[Record]) -> list[Record]:
        request = self.request
        after, within = request.one("updatedAfter"), request.one("updatedWithin")
        if after and within:
            raise self.refuse(
                "Last updated from and/or to and last updated duration cannot be specified simultaneously"
            )
        if after:
            limit = self._instant(after, "updatedAfter")
            found = [r for r in found if r.updated_at >= limit]
        if within:
            limit = self.instance.instant() - read_iso_duration(within)
            found = [r for r in found if r.updated_at >= limit]
        if before := request.one("updatedBefore"):
            limit = self._instant(before, "updatedBefore")
            found = [r for r in found if r.updated_at <= limit]
        return found

    def _attribute_filters(self, entity: Record) -> bool:
        assert isinstance(entity, TrackedEntity)
        concepts = {a.uid: a.concept for a in self.program.attributes}
        for text in self.request.all("filter"):
            name, operator, wanted = ([*text.split(":", 2), "", ""])[:3]
            if name not in concepts:
                raise self.refuse(f"Tracked entity attribute does not exist: {name}")
            value = entity.attributes.get(concepts[name], "")
            if operator in ("eq", "") and value.lower() != wanted.lower():
                return False
            if operator in ("like", "ilike") and wanted.lower() not in value.lower():
                return False
        return True

    def _ordered(self, found: list[Record]) -> list[Record]:
        # Internal ids grow with creation: newest first unless asked otherwise, and always as the tie-breaker.
        found = sorted(found, key=lambda r: (r.created_at, r.uid), reverse=True)
        for order in reversed(self.request.listed("order", ",")):
            name, _, way = order.partition(":")
            if name not in _ORDERS[self.kind] and name not in {a.uid for a in self.program.attributes}:
                raise self.refuse(f"order parameter is invalid: cannot order by {name!r}")
            found = sorted(found, key=lambda r, n=name: self._sort_value(r, n), reverse=way.lower() == "desc")  # type: ignore[misc]
        return found

    def _sort_value(self, record: Record, name: str) -> str:
        column = {
            "createdAt": "created_at", "updatedAt": "updated_at", "enrolledAt": "enrolled_on", "occurredAt": "occurred_on",
            "scheduledAt": "scheduled_on", "completedAt": "completed_at", "orgUnit": "org_unit_uid",
        }.get(name, "uid" if name == _ID[self.kind] else name)  # fmt: skip
        value = getattr(record, column, None)
        return value.isoformat() if isinstance(value, date) else str(value or "")

    # -- answers ---------------------------------------------------------------------------------------------------

    def _paging(self) -> _Paging:
        request, minor = self.request, self.minor
        given = [n for n in ("page", "pageSize", "totalPages") if request.one(n) is not None]
        off = (request.one("paging") == "false" and minor >= 41) or (request.flag("skipPaging") and minor <= 41)
        if off and given and minor >= 42 and self.instance.plays("strict-parameters"):
            raise self.refuse(
                f"Paging can either be enabled or disabled: paging=false together with {', '.join(given)}"
            )
        page, size = self._positive("page", 1), self._positive("pageSize", 50)
        if size > self.instance.limits.page_size and minor >= 42 and self.instance.plays("strict-parameters"):
            raise self.refuse(f"pageSize must be at most {self.instance.limits.page_size}")
        return _Paging(off, page, size, request.flag("totalPages"))

    def _positive(self, name: str, default: int) -> int:
        text = self.request.one(name)
        if text is None:
            return default
        if not text.isdigit() or int(text) < 1:
            raise self.refuse(f"{name} must be greater than or equal to 1 if specified")
        return int(text)

    def as_list(self) -> Answer:
        """One page, or everything where paging can be switched off."""
        paging = self._paging()
        found = self._ordered(self._select())
        slots: list[Record | None] = list(found)
        if self.instance.plays("short-pages") and self.kind != "events" and not paging.off:
            slots = _with_hidden(found, paging.size)
        shown = slots if paging.off else slots[(paging.page - 1) * paging.size : paging.page * paging.size]
        records = [record for record in shown if record is not None]
        if self.instance.plays("export-budget") and len(records) > self.instance.limits.export_budget_rows:
            raise Refused(504, "Tracker export exceeded its time budget of 60s")
        fields = parse_fields(",".join(self.request.all("fields")) or _DEFAULT_FIELDS[self.kind])
        rows = [self.as_object(record, fields) for record in records]
        more = paging.page * paging.size < len(slots)
        return json_answer(self._envelope(rows, paging, len(slots), more))

    def _envelope(self, rows: list[Any], paging: _Paging, total: int, more: bool) -> dict[str, Any]:
        key = "instances" if self.minor == 40 else self.kind
        if paging.off:
            return {key: rows}
        counts: dict[str, Any] = {"page": paging.page, "pageSize": paging.size}
        if paging.total:
            counts |= {"total": total, "pageCount": -(-total // paging.size)}
        if self.minor == 40:
            return {**counts, key: rows}
        if self.minor == 41:
            return {"pager": counts, **counts, key: rows}
        host = "http://dhis2.internal:8080" if self.instance.plays("next-page-elsewhere") else "http://127.0.0.1"
        address = f"{host}/api/tracker/{self.kind}?pageSize={paging.size}&page="
        pager = dict(counts)
        if paging.page > 1:
            pager["prevPage"] = f"{address}{paging.page - 1}"
        if more:
            pager["nextPage"] = f"{address}{paging.page + 1}"
        return {"pager": pager, key: rows}

    def single(self, wanted: str) -> Answer:
        """One record by UID, with the default fields."""
        scope = self.instance.scope()
        for entity in self._entities():
            if entity.owner_uid not in scope and entity.org_unit_uid not in scope:
                continue
            records: list[Record] = [entity]
            if self.kind != "trackedEntities":
                records = list(entity.enrollments)
            if self.kind == "events":
                records = [event for en in entity.enrollments for event in en.events]
            for record in records:
                if record.uid == wanted and not record.deleted:
                    fields = parse_fields(",".join(self.request.all("fields")) or _DEFAULT_FIELDS[self.kind])
                    return json_answer(self.as_object(record, fields))
        raise Refused(404, f"{_ID[self.kind].capitalize()} with id {wanted} could not be found.", "E1005")

    # -- objects ---------------------------------------------------------------------------------------------------

    def _time(self, at: datetime) -> str:
        return local(at + self.skew, self.instance.zone)

    def as_object(self, record: Record, fields: Fields) -> dict[str, Any]:
        """The record as JSON, with the properties that `fields` shows."""
        if isinstance(record, TrackedEntity):
            made = self._tracked_entity(record, fields)
        elif isinstance(record, Enrollment):
            made = self._enrollment(record, fields, None)
        else:
            made = self._event(record)
        shown: dict[str, Any] = project(made, fields)
        return shown

    def _users(self, created: datetime, name: str = "clerk") -> dict[str, Any]:
        user = {"uid": "Clerk000001", "username": name, "firstName": "Data", "surname": "Clerk"}
        made: dict[str, Any] = {"createdBy": user, "updatedBy": user}
        return made if self.minor >= 44 else {**made, "storedBy": name}

    def _tracked_entity(self, te: TrackedEntity, fields: Fields) -> dict[str, Any]:
        made: dict[str, Any] = {
            "trackedEntity": te.uid, "trackedEntityType": self.program.tracked_entity_type, "createdAt": self._time(te.created_at),
            "updatedAt": self._time(te.updated_at), "orgUnit": te.org_unit_uid, "inactive": False, "deleted": te.deleted,
            "potentialDuplicate": False, "relationships": [], **self._users(te.created_at),
        }  # fmt: skip
        if fields.shows("attributes"):
            made["attributes"] = self._attributes(te)
        if fields.shows("programOwners"):
            made["programOwners"] = [{"orgUnit": te.owner_uid, "trackedEntity": te.uid, "program": self.program.uid}]
        if fields.shows("enrollments"):
            inner = fields.named.get("enrollments") or parse_fields("*")
            made["enrollments"] = [
                self._enrollment(en, inner, te) for en in te.enrollments if self.include_deleted or not en.deleted
            ]  # fmt: skip
        return made

    def _attributes(self, te: TrackedEntity) -> list[dict[str, Any]]:
        rows = []
        for concept, value in te.attributes.items():
            attribute, at = self.attributes[concept], self._time(te.attribute_times[concept])
            if attribute.option_set:
                # What the world means becomes this server's own code; a code nobody listed is sent as it is.
                value = self.program.options[attribute.option_set].get(value, value)
            row = {
                "attribute": attribute.uid, "code": attribute.code, "displayName": attribute.name, "createdAt": at, "updatedAt": at,
                "valueType": attribute.value_type, "value": value,
            }  # fmt: skip
            if self.minor < 44:
                row["storedBy"] = "clerk"
            rows.append(row)
        return rows

    def _enrollment(self, en: Enrollment, fields: Fields, te: TrackedEntity | None) -> dict[str, Any]:
        made: dict[str, Any] = {
            "enrollment": en.uid, "createdAt": self._time(en.created_at), "updatedAt": self._time(en.updated_at),
            "trackedEntity": en.tracked_entity_uid, "program": self.program.uid, "status": en.status, "orgUnit": en.org_unit_uid,
            "orgUnitName": self.names.get(en.org_unit_uid, ""), "enrolledAt": local_day(en.enrolled_on),
            "occurredAt": local_day(en.enrolled_on), "followUp": False, "deleted": en.deleted, "notes": [], "relationships": [],
            **self._users(en.created_at),
        }  # fmt: skip
        if en.completed_at:
            made |= {"completedAt": self._time(en.completed_at), "completedBy": "clerk"}
        if fields.shows("attributes"):
            owner = te or next(t for t in self._entities() if t.uid == en.tracked_entity_uid)
            made["attributes"] = self._attributes(owner)
        if fields.shows("events"):
            made["events"] = [self._event(e) for e in en.events if self.include_deleted or not e.deleted]
        return made

    def _event(self, event: Event) -> dict[str, Any]:
        made: dict[str, Any] = {
            "event": event.uid, "status": event.status, "program": self.program.uid, "programStage": self.stage_uid[event.stage],
            "enrollment": event.enrollment_uid, "trackedEntity": event.tracked_entity_uid, "orgUnit": event.org_unit_uid,
            "orgUnitName": self.names.get(event.org_unit_uid, ""), "deleted": event.deleted, "createdAt": self._time(event.created_at),
            "updatedAt": self._time(event.updated_at), "attributeOptionCombo": DEFAULT_OPTION_COMBO, "notes": [],
            "relationships": [], **self._users(event.created_at),
        }  # fmt: skip
        if event.occurred_on:
            made["occurredAt"] = local_day(event.occurred_on)
        if event.scheduled_on:
            made["scheduledAt"] = local_day(event.scheduled_on)
        if event.completed_at:
            made |= {"completedAt": self._time(event.completed_at), "completedBy": "clerk"}
        made |= {"followup": False} if self.minor == 40 else {"followUp": False}
        if self.minor in (41, 42):
            made["followup"] = False
        made["dataValues"] = [
            {
                "dataElement": self.concept_uid[f"{concept}@{event.stage}"], "value": value, "providedElsewhere": False,
                "createdAt": self._time(event.value_times[concept]), "updatedAt": self._time(event.value_times[concept]),
                **({"storedBy": "clerk"} if self.minor < 44 else {"createdByUserInfo": {"username": "clerk"}}),
            }
            for concept, value in self._values(event)
        ]  # fmt: skip
        return made

    def _values(self, event: Event) -> Iterable[tuple[str, str]]:
        gone = None
        if self.instance.plays("values-removed") and sum(map(ord, event.uid)) % 10 == 0:
            gone = next(iter(sorted(event.values)), None)
        sets = self.option_sets[event.stage]
        for concept, value in event.values.items():
            if concept == gone:
                continue
            option_set = sets[concept]
            if option_set:
                codes = self.program.options[option_set]
                value = ",".join(codes.get(part, part) for part in value.split(","))
            yield concept, value

    # -- CSV -------------------------------------------------------------------------------------------------------

    def as_csv(self) -> Answer:
        """Long form: one row per attribute or data value, times in UTC; `fields` is ignored; enrollments have none."""
        if self.kind == "enrollments":
            raise Refused(406, "enrollments are not offered as text/csv")
        paging = self._paging()
        found = self._ordered(self._select())
        if not paging.off:
            found = found[(paging.page - 1) * paging.size : paging.page * paging.size]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        zone = self.instance.zone
        if self.kind == "trackedEntities":
            writer.writerow(
                [
                    "trackedEntity",
                    "trackedEntityType",
                    "createdAt",
                    "updatedAt",
                    "orgUnit",
                    "inactive",
                    "deleted",
                    "attribute",
                    "value",
                ]
            )
            for te in found:
                assert isinstance(te, TrackedEntity)
                times = [zulu(te.created_at + self.skew), zulu(te.updated_at + self.skew)]
                for row in self._attributes(te):
                    writer.writerow(
                        [te.uid, self.program.tracked_entity_type, *times, te.org_unit_uid, "false", str(te.deleted).lower(),
                         row["attribute"], row["value"]]
                    )  # fmt: skip
        else:
            writer.writerow(
                ["event", "status", "program", "programStage", "enrollment", "orgUnit", "occurredAt", "scheduledAt", "createdAt",
                 "updatedAt", "deleted", "dataElement", "value"]
            )  # fmt: skip
            for event in found:
                assert isinstance(event, Event)
                days = [zulu_day(d, zone) if d else "" for d in (event.occurred_on, event.scheduled_on)]
                times = [zulu(event.created_at + self.skew), zulu(event.updated_at + self.skew)]
                head = [event.uid, event.status, self.program.uid, self.stage_uid[event.stage], event.enrollment_uid, event.org_unit_uid,
                        *days, *times, str(event.deleted).lower()]  # fmt: skip
                for concept, value in self._values(event):
                    writer.writerow([*head, self.concept_uid[f"{concept}@{event.stage}"], value])
        return Answer(200, buffer.getvalue().encode(), "text/csv;charset=UTF-8")


def _with_hidden(found: list[Record], size: int) -> list[Record | None]:
    """The records with places taken by rows that this user may not see: one whole page after the first, then one in nine.

    Nothing is lost: the places only make pages short, and one page empty.
    """
    if len(found) <= size:
        return list(found)
    slots: list[Record | None] = list(found[:size])
    slots += [None] * size
    for n, record in enumerate(found[size:]):
        if n % 9 == 4:
            slots.append(None)
        slots.append(record)
    return slots


def old_endpoint(instance: Instance, request: Request, name: str) -> Answer:
    """The removed lists of before 2.42: alive on 2.40 and 2.41 in their old shape, 404 later."""
    if not instance.plays("old-endpoints"):
        raise Refused(404, f"The requested resource /api/{name} does not exist", "E1005")
    state = instance.state()
    entities = [te for te in state.tracked_entities if not te.deleted]
    zone, skew = instance.zone, instance.skew()
    if name == "trackedEntityInstances":
        rows: list[dict[str, Any]] = [
            {
                "trackedEntityInstance": te.uid,
                "orgUnit": te.org_unit_uid,
                "lastUpdated": local(te.updated_at + skew, zone),
            }
            for te in entities
        ]
    elif name == "enrollments":
        rows = [
            {"enrollment": en.uid, "trackedEntityInstance": te.uid, "orgUnit": en.org_unit_uid, "status": en.status}
            for te in entities
            for en in te.enrollments
            if not en.deleted
        ]
    else:
        rows = [
            {
                "event": e.uid,
                "orgUnit": e.org_unit_uid,
                "status": e.status,
                "lastUpdated": local(e.updated_at + skew, zone),
            }
            for te in entities
            for en in te.enrollments
            for e in en.events
            if not e.deleted
        ]
    size = int(request.one("pageSize", "50") or 50)
    page = int(request.one("page", "1") or 1)
    shown = rows if request.flag("skipPaging") else rows[(page - 1) * size : page * size]
    return json_answer({"pager": {"page": page, "pageSize": size}, name: shown})
