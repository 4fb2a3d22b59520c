"""Landed tracker files -> frames of staging.tracked_entity, staging.referral_record and staging.referral_listing.

Belongs here: which landed line of a tracked entity counts, what an enrollment says as one referral record, and what is wrong with
it. Does not belong here: HTTP, landing and hashing (`referral`), the other staging tables (`payload`), pairing of referrals
(`methods.linkage`).

A million records pass through in portions: what is held of all of them is the identifier and the instant of each landed line while
repeated ones are looked for, and the three texts of each listed enrollment.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl

from assets.dhis2.instants import instants, parse_day
from assets.dhis2.mapping import CODED_ATTRIBUTES, UID, InstanceMapping, ReferralMapping
from assets.dhis2.staging_frames import empty_frame, frame_of, zone_of
from warehouse.landing import Receipt

REFERRAL_RECORD: Final[dict[str, Any]] = {
    "instance_code": pl.String, "enrollment_uid": pl.String, "tracked_entity_uid": pl.String, "person_token": pl.String,
    "token_basis_code": pl.String, "key_id": pl.String, "sex_code": pl.String, "birth_year": pl.Int64,
    "nationality_code": pl.String, "migrant_status_code": pl.String, "migrant_basis_code": pl.String,
    "disease_code": pl.String, "direction_code": pl.String, "referred_on": pl.Date, "from_org_unit_uid": pl.String,
    "to_org_unit_uid": pl.String, "owner_org_unit_uid": pl.String, "received_on": pl.Date, "confirmed_on": pl.Date,
    "treatment_started_on": pl.Date, "outcome_code": pl.String, "outcome_on": pl.Date, "updated_at": pl.Datetime("us"),
    "is_practice": pl.Boolean,
}  # fmt: skip
TRACKED_ENTITY: Final[dict[str, Any]] = {
    "instance_code": pl.String, "tracked_entity_uid": pl.String, "is_deleted": pl.Boolean, "updated_at": pl.Datetime("us"),
    "enrollment_count": pl.Int64, "is_practice": pl.Boolean,
}  # fmt: skip
REFERRAL_LISTING: Final[dict[str, Any]] = {
    "instance_code": pl.String, "enrollment_uid": pl.String, "tracked_entity_uid": pl.String, "is_practice": pl.Boolean,
}  # fmt: skip

LISTING_MARK: Final = "_LISTING"
"""Row of staging.referral_listing that says a complete listing was made, so that an empty one is told from none."""

SCHEMAS: Final = {
    "tracked_entity": TRACKED_ENTITY,
    "referral_record": REFERRAL_RECORD,
    "referral_listing": REFERRAL_LISTING,
}
"""Staging table -> its columns and their types."""

_PART_ROWS: Final = 1 << 14
"""Rows made at a time: enough to be handed over as a file (`warehouse.load`)."""

_NOT_HAPPENED: Final = frozenset({"SCHEDULE", "OVERDUE", "SKIPPED"})
_STEP_ORDER: Final = ("sent", "received", "registered", "follow_up", "outcome")

_RowsOf = Callable[[str, Mapping[str, Any], InstanceMapping], Iterable[dict[str, Any]]]


@dataclass(frozen=True)
class LandedEntities:
    """The landed tracker files of one receipt: each tracked entity once, as of its newest `updated_at`, with a pointer to where it
    stands. Each iteration reads anew; which lines count is found out once.

    Pages overlap when records are created while they are read; the texts compare because one server writes one form.
    """

    paths: Sequence[Path]

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for place, path in enumerate(self.paths):
            with path.open("rb") as stream:
                for number, line in enumerate(stream, start=1):
                    if (place, number) not in self._outdated:
                        yield f"{path.name}#{number}", json.loads(line)

    @cached_property
    def _outdated(self) -> set[tuple[int, int]]:
        """Lines, by the place of their file and their number in it, whose entity has a newer one, or a later one as new."""
        told = {"tracked_entity": pl.String, "updated_at": pl.String}
        seen = [
            pl.read_ndjson(path, schema=told)
            .with_row_index("number", offset=1)
            .with_columns(pl.col("updated_at").fill_null(""), place=pl.lit(place, pl.UInt32))
            for place, path in enumerate(self.paths)
            if path.stat().st_size
        ]
        if not seen:
            return set()
        lines = pl.concat(seen)
        if lines["tracked_entity"].n_unique() == lines.height:
            return set()
        newest = lines.sort("updated_at", maintain_order=True).unique("tracked_entity", keep="last")
        return set(lines.join(newest, on=["place", "number"], how="anti").select("place", "number").iter_rows())


@dataclass(frozen=True)
class TrackerParts:
    """One staging table of the landed tracker files of one receipt, as frames of bounded size; each iteration reads anew."""

    entities: LandedEntities
    receipt: Receipt
    mapping: InstanceMapping
    schema: Mapping[str, Any]
    rows_of: _RowsOf

    def __iter__(self) -> Iterator[pl.DataFrame]:
        shared = {
            "instance_code": self.mapping.code,
            "is_practice": self.mapping.is_practice,
            "receipt_id": self.receipt.receipt_id,
        }
        rows: list[dict[str, Any]] = []
        for pointer, entity in self.entities:
            rows += [{**shared, **row} for row in self.rows_of(pointer, entity, self.mapping)]
            if len(rows) >= _PART_ROWS:
                yield self._framed(rows)
                rows = []
        yield self._framed(rows)

    def _framed(self, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
        frame = frame_of(rows, {**self.schema, "updated_at": pl.String})
        return frame.with_columns(instants("updated_at", zone_of(self.receipt)))


def entity_parts(entities: LandedEntities, receipt: Receipt, mapping: InstanceMapping) -> TrackerParts:
    """staging.tracked_entity: who was seen, deleted or not."""
    return TrackerParts(entities, receipt, mapping, TRACKED_ENTITY, _entity_rows)


def record_parts(entities: LandedEntities, receipt: Receipt, mapping: InstanceMapping) -> TrackerParts:
    """staging.referral_record: the live enrollments of those who were seen."""
    return TrackerParts(entities, receipt, mapping, REFERRAL_RECORD, _record_rows)


def listing_frame(entities: LandedEntities, receipt: Receipt, mapping: InstanceMapping) -> pl.DataFrame:
    """staging.referral_listing: the enrollments that the server still has, and the mark that a listing was made."""
    text = {"enrollment_uid": pl.String, "tracked_entity_uid": pl.String, "pointer": pl.String}
    found = [pl.DataFrame([(LISTING_MARK, LISTING_MARK, None)], schema=text, orient="row")]
    rows: list[tuple[str, str, str]] = []
    for pointer, entity in entities:
        rows += [(enrollment["enrollment"], entity["tracked_entity"], pointer) for enrollment in _live(entity)]
        if len(rows) >= _PART_ROWS:
            found.append(pl.DataFrame(rows, schema=text, orient="row"))
            rows = []
    found.append(pl.DataFrame(rows, schema=text, orient="row"))
    listed = pl.concat(found).unique("enrollment_uid", keep="last", maintain_order=True)
    columns = empty_frame(REFERRAL_LISTING).columns
    return listed.with_columns(
        instance_code=pl.lit(mapping.code),
        is_practice=pl.lit(mapping.is_practice),
        receipt_id=pl.lit(receipt.receipt_id),
        rejections=pl.lit([], dtype=pl.List(pl.String)),
    ).select(columns)


def _live(entity: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The enrollments that were not deleted, of an entity that was not."""
    return [] if entity["deleted"] else [item for item in entity["enrollments"] if not item["deleted"]]


def _entity_rows(pointer: str, entity: Mapping[str, Any], mapping: InstanceMapping) -> Iterator[dict[str, Any]]:
    yield {
        "tracked_entity_uid": entity["tracked_entity"],
        "is_deleted": bool(entity["deleted"]),
        "updated_at": entity.get("updated_at"),
        "enrollment_count": len(_live(entity)),
        "pointer": pointer,
        "rejections": [],
    }


def _record_rows(pointer: str, entity: Mapping[str, Any], mapping: InstanceMapping) -> Iterator[dict[str, Any]]:
    referral = mapping.referral
    assert referral is not None
    for enrollment in _live(entity):
        yield {**record_of(entity, enrollment, referral), "pointer": f"{pointer}/{enrollment['enrollment']}"}


def record_of(entity: Mapping[str, Any], enrollment: Mapping[str, Any], referral: ReferralMapping) -> dict[str, Any]:
    """One landed enrollment as one referral record.

    *Rules*: dates are those of the earliest happened event of a step (the outcome: the latest); a concept that several
    steps carry is taken from the first that has it; an event that is only scheduled has values but no date. The receiving
    unit is the one named, else the unit of a "received" event elsewhere, else the unit that now owns the person.
    """
    events = [event for event in enrollment["events"] if not event["deleted"]]
    events.sort(key=lambda event: (_STEP_ORDER.index(event["step"]), event["occurred_on"] or "9999", event["event"]))
    happened = [event for event in events if event["status"] not in _NOT_HAPPENED and event["occurred_on"]]
    values: dict[str, str] = {}
    for event in events:
        for concept, text in event["values"].items():
            if concept != "outcome":
                values.setdefault(concept, text)
    outcomes = [event for event in happened if event["step"] == "outcome" and event["values"].get("outcome")]
    last_outcome = max(outcomes, key=lambda event: (event["occurred_on"], event["event"]), default=None)
    if last_outcome:
        values["outcome"] = last_outcome["values"]["outcome"]
    rejections: list[str] = []

    def coded(concept: str, got: str | None, missing: str | None) -> str | None:
        if got is None:
            return missing
        known = referral.options_of(concept)
        if got not in known:
            rejections.append(f"{concept}: option code {got} is not in the settings")
            return None
        return known[got]

    def first_day(step: str) -> date | None:
        return next((parse_day(event["occurred_on"]) for event in happened if event["step"] == step), None)

    person = {concept: coded(concept, entity.get(concept), None) for concept in sorted(CODED_ATTRIBUTES)}
    direction = coded("direction", values.get("direction"), _implied_direction(events))
    if direction is None and not rejections:
        rejections.append("direction is missing: the enrollment has neither a sent nor a received event")
    sender, receiver = _units(enrollment, entity, events, values, direction, rejections)
    started = values.get("treatment_started_on")
    if started and parse_day(started) is None:
        rejections.append(f"treatment_started_on: {started}")
    return {
        "enrollment_uid": enrollment["enrollment"],
        "tracked_entity_uid": entity["tracked_entity"],
        "person_token": entity.get("token"),
        "token_basis_code": entity.get("token_basis") or "_U",
        "key_id": entity.get("key_id"),
        "sex_code": person["sex"] or "_U",
        "birth_year": entity.get("birth_year"),
        "nationality_code": person["nationality"] or "_U",
        "migrant_status_code": person["migrant_status"] or "99",
        "migrant_basis_code": referral.migrant_basis,
        "disease_code": coded("disease", values.get("disease"), "_U"),
        "direction_code": direction,
        "referred_on": first_day("sent"),
        "from_org_unit_uid": sender,
        "to_org_unit_uid": receiver,
        "owner_org_unit_uid": entity.get("owner"),
        "received_on": first_day("received"),
        "confirmed_on": first_day("registered"),
        "treatment_started_on": parse_day(started),
        "outcome_code": coded("outcome", values.get("outcome"), None),
        "outcome_on": parse_day(last_outcome["occurred_on"]) if last_outcome else None,
        "updated_at": entity.get("updated_at"),
        "rejections": rejections,
    }


def _implied_direction(events: Sequence[Mapping[str, Any]]) -> str | None:
    steps = {event["step"] for event in events}
    return "outgoing" if "sent" in steps else "incoming" if "received" in steps else None


def _units(
    enrollment: Mapping[str, Any],
    entity: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
    values: Mapping[str, str],
    direction: str | None,
    rejections: list[str],
) -> tuple[str | None, str | None]:
    """Sending and receiving org unit of a record, by both of DHIS2's mechanisms: a "received" event elsewhere, ownership."""
    home = enrollment.get("org_unit")
    for concept in ("from_org_unit", "to_org_unit"):
        if concept in values and not UID.fullmatch(values[concept]):
            rejections.append(f"{concept}: {values[concept]}")
    sender, receiver = values.get("from_org_unit"), values.get("to_org_unit")
    elsewhere = next(
        (event["org_unit"] for event in events if event["step"] == "received" and event["org_unit"] != home), None
    )
    if direction == "outgoing":
        owner = entity.get("owner")
        return sender or home, receiver or elsewhere or (owner if owner != home else None)
    return sender, receiver or elsewhere or home
