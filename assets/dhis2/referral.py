"""One tracked entity as received -> one record as landed: tokens and codes, nobody's name.

Belongs here: the hashing and dropping that must happen in memory before a byte is written, and the field list that asks for
no more than is needed. Does not belong here: HTTP, files, the staging tables (`referral_records`).

A landed record holds UIDs, dates, option codes, a token with its key's id, and a year of birth. DHIS2 cannot send single
attributes (`fields` picks properties, not attributes), so identifiers do reach this function's arguments; none leaves it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from assets.dhis2.instants import parse_day
from assets.dhis2.mapping import (
    CODED_ATTRIBUTES,
    CODED_ELEMENTS,
    DATE_ELEMENTS,
    UID,
    UNIT_ELEMENTS,
    ReferralMapping,
)
from methods.pseudonym import Pseudonymiser, canonical_date

FIELDS: Final = (
    "trackedEntity,orgUnit,createdAt,updatedAt,deleted,attributes[attribute,value],programOwners[program,orgUnit],"
    "enrollments[enrollment,program,orgUnit,status,enrolledAt,createdAt,updatedAt,deleted,attributes[attribute,value],"
    "events[event,program,programStage,orgUnit,status,occurredAt,scheduledAt,createdAt,updatedAt,deleted,"
    "dataValues[dataElement,value]]]"
)
"""What a pull of records asks for: no users, notes, geometry, relationships or comments."""

UID_FIELDS: Final = "trackedEntity,deleted,enrollments[enrollment,program,deleted]"
"""What a reconciliation asks for."""

# A code as an administrator would make one. A run of six digits is a number of somebody typed into the wrong field.
_CODE_LIKE: Final = re.compile(r"(?!.*\d{6})[A-Za-z][A-Za-z0-9_.\-]{0,39}|\d{1,5}")


def _safe_code(value: str, known: Mapping[str, str]) -> str:
    """An option code, or a mark of what stood there when it could be something else: a name, a number, a note."""
    if value in known or _CODE_LIKE.fullmatch(value):
        return value
    return f"({len(value)} characters that are no code)"


def _safe_unit(value: str) -> str:
    return value if UID.fullmatch(value) else f"({len(value)} characters that are no UID)"


def _safe_day(value: str) -> str:
    day = parse_day(value)
    return day.isoformat() if day else f"({len(value)} characters that are no date)"


class RecordFormError(ValueError):
    """A tracked entity is not of the form that the API documents. The message says where, never what stood there."""


_NAME: Final = re.compile(r"[A-Za-z0-9_\-]{1,60}")
_LONGEST_TEXT: Final = 200
"""Of texts that are kept as they come: instants, states, units."""
_CHILDREN: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "attributes": ("attribute", {}),
    "programOwners": ("program", {}),
    "enrollments": ("enrollment", {"attributes": ("attribute", {}), "events": ("event", {"dataValues": ("dataElement", {})})}),
}  # fmt: skip
"""Lists of a tracked entity: the member that names each item, and the lists below it."""
_FREE: Final = ("value",)
"""Members that may be any plain value; they are hashed, coded or dropped, never kept as they come."""


def require_form(entity: Any) -> None:
    """Nothing, when the entity is of the documented form. Raises RecordFormError for another: a server that is broken, or not
    DHIS2, must not be read as if some of its fields were empty."""
    _require(entity, "trackedEntity", _CHILDREN, "a tracked entity")


def _require(item: Any, name: str, children: Mapping[str, Any], place: str) -> None:
    if not isinstance(item, dict):
        raise RecordFormError(f"{place} is no object")
    if not (isinstance(item.get(name), str) and _NAME.fullmatch(item[name])):
        raise RecordFormError(f"{place} has no {name}")
    for key, value in item.items():
        if key in children:
            if not isinstance(value, _LIST_OR_NOTHING):
                raise RecordFormError(f"{key} of {place} is no list")
            name_below, below = children[key]
            for child in value or []:
                _require(child, name_below, below, f"one of {key}")
        elif isinstance(value, str):
            if key not in _FREE and (len(value) > _LONGEST_TEXT or not _is_text(value)):
                raise RecordFormError(f"{key} of {place} is {len(value):,} characters that are no such text")
            if key in _FREE and not _is_text(value):
                raise RecordFormError(f"{key} of {place} holds half a character (a lone surrogate)")
        elif not isinstance(value, _PLAIN) and key in _KEPT:
            raise RecordFormError(f"{key} of {place} is no plain value")
        elif key in _TEXTS and value is not None:
            raise RecordFormError(f"{key} of {place} is no text")


_TEXTS: Final = frozenset(
    {
        "createdAt",
        "updatedAt",
        "orgUnit",
        "status",
        "enrolledAt",
        "occurredAt",
        "scheduledAt",
        "program",
        "programStage",
    }
)
# Made once: built anew for each field they took, with the encoding of what is ASCII, a quarter of the check (116 against 84
# microseconds a record).
_LIST_OR_NOTHING: Final = (list, type(None))
_PLAIN: Final = (bool, int, float, type(None))
_KEPT: Final = _TEXTS | {"value", "deleted", "attribute", "dataElement"}


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def landed_record(entity: Mapping[str, Any], mapping: ReferralMapping, pseudonymiser: Pseudonymiser) -> dict[str, Any]:
    """What is landed of one tracked entity.

    *Keys*: tracked_entity, updated_at, created_at, deleted, token, token_basis, key_id, birth_year, owner (org unit that owns
    the person in this program), sex, nationality, country_of_birth, migrant_status, enrollments[enrollment, org_unit, status,
    enrolled_on, updated_at, deleted, events[event, step, org_unit, status, occurred_on, scheduled_on, updated_at, deleted,
    values{concept: text}]]. Times stay texts in the server's own form.
    """
    enrollments = [
        item for item in entity.get("enrollments") or [] if item.get("program", mapping.program) == mapping.program
    ]
    person = _person(entity, enrollments, mapping)
    token, basis = pseudonymiser.person_token(
        mapping.token_domain,
        national_id=person.get("national_id", ""),
        family_name=person.get("family_name", ""),
        given_name=person.get("given_name", ""),
        birth_date=person.get("birth_date", ""),
    )
    born = canonical_date(person.get("birth_date", ""))
    record: dict[str, Any] = {
        "tracked_entity": entity["trackedEntity"],
        "created_at": entity.get("createdAt"),
        "updated_at": entity.get("updatedAt"),
        "deleted": entity.get("deleted") is True,
        "token": token,
        "token_basis": basis,
        "key_id": pseudonymiser.key_id if token else None,
        "birth_year": int(born[:4]) if born else None,
        "owner": _owner(entity, mapping),
    }
    for concept in sorted(CODED_ATTRIBUTES):
        value = person.get(concept)
        record[concept] = _safe_code(value, mapping.options_of(concept)) if value else None
    record["enrollments"] = [_landed_enrollment(item, mapping) for item in enrollments]
    return record


def _person(
    entity: Mapping[str, Any], enrollments: list[Mapping[str, Any]], mapping: ReferralMapping
) -> dict[str, str]:
    """Concept -> text over the entity's own attributes and those that the server hands out with the enrollment."""
    found: dict[str, str] = {}
    for holder in [*enrollments, entity]:
        for attribute in holder.get("attributes") or []:
            concept = mapping.attributes.get(str(attribute.get("attribute")))
            if concept and attribute.get("value"):
                found[concept] = str(attribute["value"])
    return found


def _owner(entity: Mapping[str, Any], mapping: ReferralMapping) -> str | None:
    for owner in entity.get("programOwners") or []:
        if owner.get("program") == mapping.program and owner.get("orgUnit"):
            return _safe_unit(str(owner["orgUnit"]))
    return None


def _landed_enrollment(enrollment: Mapping[str, Any], mapping: ReferralMapping) -> dict[str, Any]:
    return {
        "enrollment": enrollment["enrollment"],
        "org_unit": enrollment.get("orgUnit"),
        "status": enrollment.get("status"),
        "enrolled_on": _day_text(enrollment.get("enrolledAt")),
        "updated_at": enrollment.get("updatedAt"),
        "deleted": enrollment.get("deleted") is True,
        "events": [
            _landed_event(event, mapping)
            for event in enrollment.get("events") or []
            if str(event.get("programStage")) in mapping.stages
        ],
    }


def _landed_event(event: Mapping[str, Any], mapping: ReferralMapping) -> dict[str, Any]:
    values: dict[str, str] = {}
    for item in event.get("dataValues") or []:
        concept = mapping.elements.get(str(item.get("dataElement")))
        text = item.get("value")
        if not concept or text in (None, ""):
            continue
        if concept in CODED_ELEMENTS:
            values[concept] = _safe_code(str(text), mapping.options_of(concept))
        elif concept in UNIT_ELEMENTS:
            values[concept] = _safe_unit(str(text))
        elif concept in DATE_ELEMENTS:
            values[concept] = _safe_day(str(text))
    return {
        "event": event["event"],
        "step": mapping.stages[str(event["programStage"])],
        "org_unit": event.get("orgUnit"),
        "status": event.get("status"),
        "occurred_on": _day_text(event.get("occurredAt")),
        "scheduled_on": _day_text(event.get("scheduledAt")),
        "updated_at": event.get("updatedAt"),
        "deleted": event.get("deleted") is True,
        "values": values,
    }


def _day_text(value: Any) -> str | None:
    day = parse_day(str(value)) if value else None
    return day.isoformat() if day else None
