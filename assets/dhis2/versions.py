"""The server versions in the field and how each wants to be asked: one table.

Belongs here: parameter names, list keys, pager shapes and known faults by version. Does not belong here: requests, loops.

*Source*: DHIS2's tracker and upgrade documentation and its source at 2.40.12, 2.41.9, 2.42.5, 2.43.1. A server ignores a
parameter it does not know without a word (2.42 answers `skipPaging=true` with one page of fifty), which is why the names come
from this table only.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

OLDEST: Final = 40
NEWEST: Final = 44

Entity = Literal["trackedEntities", "enrollments", "events"]
ENTITIES: Final[tuple[Entity, ...]] = ("trackedEntities", "enrollments", "events")


@dataclass(frozen=True)
class Dialect:
    """How one version speaks."""

    major: int
    list_keys: tuple[str, ...]
    """Generic keys under which a list may stand; the entity's own name is always tried too."""
    org_unit_mode: str
    """Name of the org-unit mode parameter."""
    org_units: str
    """Name of the parameter that takes several org units, for tracked entities and enrollments."""
    org_unit_separator: str
    pages_by_next: bool
    """True: the last page is the one without `nextPage`. False: `pageCount` counts."""
    may_shorten_pages: bool
    """True: a page may hold fewer rows than announced, because the server drops rows after the query."""
    enrollment_status: str
    needs_program: bool = False
    follow_up: str = "followUp"
    author: str = "storedBy"
    """Which field names who stored an object; `storedBy` ended with 2.43."""
    illegal_query_status: int = 400
    """HTTP status of a tracker query that the server calls wrong."""
    hoists_row_keys: bool = False
    """True: dataValueSets leaves period, orgUnit or attributeOptionCombo out of the rows when only one was asked for."""
    needs_range_beside_last_updated: bool = False
    """True on 2.43.0 and 2.43.1 (DHIS2-21821): lastUpdated alone is answered 409 E2002."""


_BEFORE_42: Final[dict[str, Any]] = {
    "pages_by_next": False,
    "may_shorten_pages": False,
    "enrollment_status": "programStatus",
}
_SINCE_42: Final[dict[str, Any]] = {
    "pages_by_next": True,
    "may_shorten_pages": True,
    "enrollment_status": "enrollmentStatus",
}
_OLD_UNITS: Final[dict[str, Any]] = {"org_unit_mode": "ouMode", "org_units": "orgUnit", "org_unit_separator": ";"}
_NEW_UNITS: Final[dict[str, Any]] = {"org_unit_mode": "orgUnitMode", "org_units": "orgUnits", "org_unit_separator": ","}
_SINCE_43: Final[dict[str, Any]] = {"needs_program": True, "hoists_row_keys": True}

DIALECTS: Final[dict[int, Dialect]] = {
    40: Dialect(40, ("instances",), **_OLD_UNITS, **_BEFORE_42, follow_up="followup", illegal_query_status=409),
    41: Dialect(41, ("instances",), **_NEW_UNITS, **_BEFORE_42),
    42: Dialect(42, (), **_NEW_UNITS, **_SINCE_42),
    43: Dialect(43, (), **_NEW_UNITS, **_SINCE_42, **_SINCE_43, needs_range_beside_last_updated=True),
    44: Dialect(44, (), **_NEW_UNITS, **_SINCE_42, **_SINCE_43, author="createdBy"),
}

IGNORED_NAMES: Final[dict[int, frozenset[str]]] = {
    40: frozenset({"orgUnitMode", "orgUnits", "paging", "enrollmentStatus"}),
    41: frozenset({"enrollmentStatus"}),
    42: frozenset({"ouMode", "skipPaging", "programStatus"}),
    43: frozenset({"ouMode", "skipPaging", "programStatus"}),
    44: frozenset({"ouMode", "skipPaging", "programStatus"}),
}
"""Tracker parameter names that a version does not know or takes for an old one; sending one is a fault of ours."""


@dataclass(frozen=True)
class ServerVersion:
    """A server's version as reported, the dialect chosen for it, and what to tell the reader about the choice."""

    reported: str
    dialect: Dialect
    warnings: tuple[str, ...]


def choose_dialect(reported: str) -> ServerVersion:
    """The dialect for a version text such as `2.42.5.2`. The second number counts; outside 2.40-2.44 it comes with a warning."""
    match = re.match(r"\s*(\d+)\.(\d+)", reported)
    if not match:
        return ServerVersion(
            reported, DIALECTS[NEWEST], (f"version {reported!r} is not readable; treated as 2.{NEWEST}",)
        )
    # From 2.43 on the user interface says "43"; a server that ever reported "43.1" would be meant by its first number.
    major = int(match[2]) if match[1] == "2" else int(match[1])
    if major < OLDEST:
        note = f"version {reported} is older than 2.{OLDEST}, the oldest one known; treated as 2.{OLDEST}"
        return ServerVersion(reported, DIALECTS[OLDEST], (note,))
    if major > NEWEST:
        note = f"version {reported} is newer than 2.{NEWEST}, the newest one known; treated as 2.{NEWEST}"
        return ServerVersion(reported, DIALECTS[NEWEST], (note,))
    return ServerVersion(reported, DIALECTS[major], ())
