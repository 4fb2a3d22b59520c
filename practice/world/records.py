"""What a server holds at one instant: tracked entities with enrollments and events, data values, registrations.

Times are instants in UTC; days are plain dates. How a server writes them belongs to `practice.dhis2`.
"""

from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(slots=True)
class Event:
    """One program event; `values` by concept, each with the instant at which it was entered."""

    uid: str
    stage: str
    enrollment_uid: str
    tracked_entity_uid: str
    org_unit_uid: str
    status: str
    occurred_on: date | None
    scheduled_on: date | None
    created_at: datetime
    updated_at: datetime
    values: dict[str, str] = field(default_factory=dict)
    value_times: dict[str, datetime] = field(default_factory=dict)
    completed_at: datetime | None = None
    deleted: bool = False


@dataclass(slots=True)
class Enrollment:
    """One enrollment in the referral program."""

    uid: str
    tracked_entity_uid: str
    org_unit_uid: str
    enrolled_on: date
    status: str
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    deleted: bool = False
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class TrackedEntity:
    """One tracked person; `attributes` by concept, each with the instant at which it was entered."""

    uid: str
    org_unit_uid: str
    owner_uid: str
    created_at: datetime
    updated_at: datetime
    attributes: dict[str, str] = field(default_factory=dict)
    attribute_times: dict[str, datetime] = field(default_factory=dict)
    deleted: bool = False
    enrollments: list[Enrollment] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class DataValue:
    """One aggregate data value."""

    data_element: str
    period: str
    org_unit: str
    category_option_combo: str
    attribute_option_combo: str
    value: str
    stored_by: str
    created_at: datetime
    updated_at: datetime
    comment: str | None = None
    followup: bool = False
    deleted: bool = False


@dataclass(slots=True, frozen=True)
class Registration:
    """One complete data set registration."""

    data_set: str
    period: str
    org_unit: str
    attribute_option_combo: str
    registered_at: datetime
    updated_at: datetime
    stored_by: str
    is_completed: bool = True
