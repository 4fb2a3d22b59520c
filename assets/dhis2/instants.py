"""DHIS2's three ways to write an instant, read as one: UTC.

Belongs here: reading and writing instants and calendar dates of the API. Does not belong here: periods (`methods.periods`).

Metadata and tracker JSON write the server's local time without offset; dataValueSets writes an offset (`+0000`); tracker CSV
writes `Z`. Fields that are dates (occurredAt, scheduledAt, enrolledAt, values of type DATE) are midnight in the server's zone:
converted to UTC they would fall on the day before in every zone east of Greenwich, so their calendar day is kept as it stands.
"""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

_OFFSET = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_WITH_OFFSET = "%Y-%m-%dT%H:%M:%S%.f%z"
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:$|[T ])")


def zone_named(name: str) -> ZoneInfo:
    """The zone a server reports. Raises ValueError for a name that no zone table has."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as fault:
        raise ValueError(f"the server reports time zone {name!r}, which is not an IANA zone") from fault


def parse_instant(text: str, zone: ZoneInfo) -> datetime:
    """The instant, aware, in UTC. Without offset the text is local time of `zone`; an hour that came twice is the earlier one."""
    cleaned = _OFFSET.sub(_colon_offset, text.strip())
    value = datetime.fromisoformat(cleaned)
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    return value.astimezone(UTC)


def _colon_offset(match: re.Match[str]) -> str:
    offset = match[1]
    return "+00:00" if offset == "Z" else f"{offset[:3]}:{offset[-2:]}"


def parse_day(text: str | None) -> date | None:
    """The calendar day at the start of a date or date-time text, untouched by any zone; None when there is none."""
    match = _DATE.match((text or "").strip())
    if not match:
        return None
    try:
        return date.fromisoformat(match[1])
    except ValueError:
        return None


def format_instant(instant: datetime) -> str:
    """The instant as request parameters and watermarks carry it: UTC with milliseconds and `Z`, which every version accepts."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def instants(column: str, zone: ZoneInfo) -> pl.Expr:
    """A text column of instants as naive UTC, by the rules of `parse_instant`; unreadable text becomes null."""
    return pl.col(column).map_batches(lambda text: _instants(text, zone), return_dtype=pl.Datetime("us"))


def _instants(text: pl.Series, zone: ZoneInfo) -> pl.Series:
    """What data value sets write is read at once; the rest, if any, by every rule: that took half of the typing of values."""
    text = text.cast(pl.String)
    quick = text.str.to_datetime(_WITH_OFFSET, strict=False, time_unit="us").dt.replace_time_zone(None)
    # polars takes a space before the offset, DHIS2 never writes one and `parse_instant` refuses it.
    left = text.is_not_null() & (quick.is_null() | text.str.contains(" ", literal=True))
    if not left.any():
        return quick
    rest = pl.DataFrame({"text": text.filter(left)}).select(_by_every_rule("text", zone)).to_series()
    return quick.scatter(left.arg_true(), rest)


def _by_every_rule(column: str, zone: ZoneInfo) -> pl.Expr:
    text = pl.col(column).str.strip_chars()
    offset = text.str.extract(r"(Z|[+-]\d{2}:?\d{2})$", 1)
    bare = text.str.replace(r"(Z|[+-]\d{2}:?\d{2})$", "").str.replace(" ", "T", literal=True)
    local = pl.coalesce(
        bare.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us"),
        bare.str.to_datetime("%Y-%m-%d", strict=False, time_unit="us"),
    )
    minutes = (
        pl.when(offset == "Z")
        .then(0)
        .otherwise(
            offset.str.slice(1, 2).cast(pl.Int64, strict=False) * 60
            + offset.str.slice(-2, 2).cast(pl.Int64, strict=False)
        )
    )
    signed = pl.when(offset.str.starts_with("-")).then(-minutes).otherwise(minutes)
    with_offset = local - pl.duration(minutes=signed)
    in_zone = (
        local.dt.replace_time_zone(zone.key, ambiguous="earliest", non_existent="null")
        .dt.convert_time_zone("UTC")
        .dt.replace_time_zone(None)
    )
    return pl.when(offset.is_null()).then(in_zone).otherwise(with_offset)


def minus_overlap(server_at: datetime, overlap: timedelta) -> datetime:
    """The watermark of a pull that began when the server's clock said `server_at`."""
    return server_at - overlap
