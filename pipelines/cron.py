"""Times of a cron expression in a time zone, without Dagster: `status`, the settings and the weekly decision ask for them.

Belongs here: five-field cron as Dagster's schedules understand it (lists, ranges, steps; Sunday is 0 and 7). Does not belong
here: what happens at a tick (`pipelines.schedules`, `pipelines.weekly`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
LONGEST_DAYS = 366 * 5


class CronError(ValueError):
    """The expression is not five fields of numbers, lists, ranges, steps or stars; the message names the field."""


@dataclass(frozen=True)
class Cron:
    """A cron expression in a time zone."""

    expression: str
    zone: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    is_any_day: bool
    is_any_weekday: bool

    def _falls_on(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        # As in every cron: a restricted day of the month and a restricted day of the week are alternatives.
        return in_month and in_week if self.is_any_day or self.is_any_weekday else in_month or in_week

    def _times(self, start: datetime, step: int) -> Iterator[datetime]:
        zone = ZoneInfo(self.zone)
        local = start.astimezone(zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        for number in range(LONGEST_DAYS):
            day = midnight + timedelta(days=step * number)
            if not self._falls_on(day):
                continue
            clock = [(hour, minute) for hour in self.hours for minute in self.minutes]
            for hour, minute in sorted(clock, reverse=step < 0):
                yield day.replace(hour=hour, minute=minute, tzinfo=zone).astimezone(UTC)

    def after(self, instant: datetime) -> datetime:
        """The first tick later than `instant`, in UTC."""
        return next(tick for tick in self._times(instant, 1) if tick > instant)

    def until(self, instant: datetime) -> datetime:
        """The last tick at or before `instant`, in UTC."""
        return next(tick for tick in self._times(instant, -1) if tick <= instant)


def parse_cron(expression: str, zone: str) -> Cron:
    """The expression, understood. Raises CronError naming the field that is not."""
    parts = expression.split()
    if len(parts) != len(FIELDS):
        raise CronError(f"{expression!r}: a cron expression has five fields, such as '0 5 * * 1'; found {len(parts)}")
    minutes, hours, days, months, weekdays = (
        _field(text, name, low, high) for text, (name, low, high) in zip(parts, FIELDS, strict=True)
    )
    return Cron(
        expression,
        zone,
        minutes,
        hours,
        days,
        months,
        frozenset(day % 7 for day in weekdays),
        parts[2].startswith("*"),
        parts[4].startswith("*"),
    )


def _field(text: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        numbers = [first, *([last] if last else []), *([step] if step else [])]
        if span == "*":
            begin, end = low, high if name != "day of week" else 6
            numbers = numbers[1:]
        elif not first.isdigit() or (dash and not last.isdigit()):
            raise CronError(f"{name} {part!r}: expected numbers from {low} to {high}, *, lists, ranges or steps")
        else:
            begin, end = int(first), int(last or (high if step else first))
        if not all(number.isdigit() for number in numbers) or not low <= begin <= end <= high or step == "0":
            raise CronError(f"{name} {part!r}: expected numbers from {low} to {high}, *, lists, ranges or steps")
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)
