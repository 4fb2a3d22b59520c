"""The three ways in which one DHIS2 server writes an instant, and how it reads one.

Metadata and tracker JSON are server-local without offset, data value sets carry +0000, tracker CSV is UTC with Z. Periods
are in `periods`.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from practice.dhis2.messages import Refused

_DURATION = re.compile(r"^(\d+)([dhms])$")
_ISO_DURATION = re.compile(r"^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$")


@lru_cache(maxsize=200_000)
def local(at: datetime, zone: ZoneInfo) -> str:
    """Server-local without offset: metadata and tracker JSON.

    Kept, because every page of a tracker list writes the same few instants again.
    """
    return at.astimezone(zone).replace(tzinfo=None).isoformat(timespec="milliseconds")


def offset(at: datetime) -> str:
    """UTC with +0000: data value sets and complete registrations."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "+0000"


def zulu(at: datetime) -> str:
    """UTC with Z: tracker CSV."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def local_day(day: date) -> str:
    """A date-only field of tracker JSON: midnight, without offset."""
    return f"{day.isoformat()}T00:00:00.000"


def zulu_day(day: date, zone: ZoneInfo) -> str:
    """A date-only field of tracker CSV: the server's midnight in UTC, so often the evening before."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_instant(text: str, zone: ZoneInfo, name: str) -> datetime:
    """The instant a parameter means; without offset it is server-local.

    *Raises* Refused (400) for text that is no time.
    """
    cleaned = text.strip().replace(" ", "+") if re.search(r" \d{4}$", text) else text.strip()
    cleaned = re.sub(r"([+-]\d{2})(\d{2})$", r"\1:\2", cleaned) if "T" in cleaned else cleaned
    try:
        at = datetime.fromisoformat(cleaned)
    except ValueError as cause:
        raise Refused(400, f"Value {text!r} is not valid for parameter {name}") from cause
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def read_day(text: str, name: str) -> date:
    """The calendar date of a date parameter."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError as cause:
        raise Refused(400, f"Value {text!r} is not valid for parameter {name}") from cause


def read_duration(text: str) -> timedelta | None:
    """The length of `10d`, `12h`, `30m` or `60s`; None for anything else."""
    found = _DURATION.match(text)
    if not found:
        return None
    unit = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}[found.group(2)]
    return timedelta(**{unit: int(found.group(1))})


def read_iso_duration(text: str) -> timedelta:
    """The length of `P1D` or `PT12H`.

    *Raises* Refused (400) otherwise.
    """
    found = _ISO_DURATION.match(text)
    if not found or text in ("P", "PT"):
        raise Refused(400, f"Duration {text!r} is not valid")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
