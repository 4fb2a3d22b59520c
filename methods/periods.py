"""Reporting periods: what a DHIS2 period string means in calendar days, and its SDMX and ISO counterpart.

Belongs here: parsing, formatting, enumerating and relating periods of every DHIS2 type. Does not belong here: which periods
to pull (`assets.dhis2.extract`), labels for people, the present day - a function that needs one is handed one.

*Source*: DHIS2 developer documentation, "Date and period format"; for the types that the table there leaves out, the
server's own parser (2.43): November quarters, half-years and years begin in November of the year *before* the one named.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final


class UnknownPeriodError(ValueError):
    """A string that is no DHIS2 period. Cannot help to retry; the record belongs in quarantine under this text."""

    def __init__(self, got: str) -> None:
        super().__init__(f"{got!r} is not a DHIS2 period; expected a form such as 202607, 2026Q2, 2026W11 or 2026.")
        self.got = got


class SplitPeriodError(ValueError):
    """A period was asked for in a coarser type and lies in two of its periods: its figure belongs wholly to neither. Another attempt
    cannot help; read the figure in its own period, or attribute the period by a stated rule (`period_holding_most`)."""

    def __init__(self, code: str, parts: "tuple[Period, ...]") -> None:
        named = " and ".join(f"{part.code} ({part.start_on} to {part.end_on})" for part in parts)
        super().__init__(
            f"{code} lies in {named}: a figure of the whole cannot be split among them. Read it in its own period, or attribute it"
            " by a stated rule."
        )
        self.code = code
        self.parts = parts


@dataclass(frozen=True, order=True)
class Period:
    """One reporting period: DHIS2 type name, first and last day (both inside), and the string the server writes."""

    start_on: date
    end_on: date
    type_code: str
    code: str

    @property
    def days(self) -> int:
        """Number of days, both ends included."""
        return (self.end_on - self.start_on).days + 1


@dataclass(frozen=True)
class _Months:
    """A type made of whole months: its pattern, length, and the month index (January of the named year = 0) of number 1."""

    pattern: str
    length: int
    first: int
    form: str
    count: int


_MONTH_TYPES: Final[dict[str, _Months]] = {
    "Monthly": _Months(r"(\d{4})(\d{2})", 1, 0, "{year}{number:02d}", 12),
    "BiMonthly": _Months(r"(\d{4})(\d{2})B", 2, 0, "{year}{number:02d}B", 6),
    "Quarterly": _Months(r"(\d{4})Q(\d)", 3, 0, "{year}Q{number}", 4),
    "QuarterlyNov": _Months(r"(\d{4})NovQ(\d)", 3, -2, "{year}NovQ{number}", 4),
    "SixMonthly": _Months(r"(\d{4})S(\d)", 6, 0, "{year}S{number}", 2),
    "SixMonthlyApril": _Months(r"(\d{4})AprilS(\d)", 6, 3, "{year}AprilS{number}", 2),
    "SixMonthlyNov": _Months(r"(\d{4})NovS(\d)", 6, -2, "{year}NovS{number}", 2),
    "Yearly": _Months(r"(\d{4})()", 12, 0, "{year}", 1),
    "FinancialFeb": _Months(r"(\d{4})Feb()", 12, 1, "{year}Feb", 1),
    "FinancialApril": _Months(r"(\d{4})April()", 12, 3, "{year}April", 1),
    "FinancialJuly": _Months(r"(\d{4})July()", 12, 6, "{year}July", 1),
    "FinancialAug": _Months(r"(\d{4})Aug()", 12, 7, "{year}Aug", 1),
    "FinancialSep": _Months(r"(\d{4})Sep()", 12, 8, "{year}Sep", 1),
    "FinancialOct": _Months(r"(\d{4})Oct()", 12, 9, "{year}Oct", 1),
    "FinancialNov": _Months(r"(\d{4})Nov()", 12, -2, "{year}Nov", 1),
}

# Type -> (infix, ISO weekday on which its weeks begin).
_WEEK_TYPES: Final[dict[str, tuple[str, int]]] = {
    "Weekly": ("W", 1),
    "WeeklyWednesday": ("WedW", 3),
    "WeeklyThursday": ("ThuW", 4),
    "WeeklyFriday": ("FriW", 5),
    "WeeklySaturday": ("SatW", 6),
    "WeeklySunday": ("SunW", 7),
}

PERIOD_TYPES: Final[tuple[str, ...]] = ("Daily", *_WEEK_TYPES, "BiWeekly", *_MONTH_TYPES)
"""Every DHIS2 period type that has a string form. `TwoYearly` has none."""

TYPES_SINCE_243: Final[frozenset[str]] = frozenset({"WeeklyFriday", "FinancialFeb", "FinancialAug"})
"""Types that servers below 2.43 refuse."""

_WEEK_CODE = re.compile(r"(\d{4})(W|WedW|ThuW|FriW|SatW|SunW)(\d{1,2})")
_BIWEEK_CODE = re.compile(r"(\d{4})BiW(\d{1,2})")
_DAY_CODE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_TYPE_OF_INFIX = {infix: name for name, (infix, _) in _WEEK_TYPES.items()}
_MONTH_CODES = [(name, re.compile(spec.pattern)) for name, spec in _MONTH_TYPES.items()]
_DASHED_MONTH = re.compile(r"(\d{4})-(\d{2})")


def _month_start(index: int) -> date:
    """First day of the month counted from January of year 0."""
    return date(index // 12, index % 12 + 1, 1)


def _first_week_start(year: int, weekday: int) -> date:
    """First day of week 1 of `year` for weeks that begin on `weekday`: the week that holds 4 January."""
    fourth = date(year, 1, 4)
    return fourth - timedelta(days=(fourth.isoweekday() - weekday) % 7)


def weeks_in_year(year: int, weekday: int = 1) -> int:
    """Number of weeks of a week year, 52 or 53, for weeks that begin on the ISO `weekday`. 2026 has 53 from Monday."""
    return (_first_week_start(year + 1, weekday) - _first_week_start(year, weekday)).days // 7


def _week(type_code: str, year: int, number: int) -> Period | None:
    infix, weekday = _WEEK_TYPES[type_code]
    if not 1 <= number <= weeks_in_year(year, weekday):
        return None
    start = _first_week_start(year, weekday) + timedelta(weeks=number - 1)
    return Period(start, start + timedelta(days=6), type_code, f"{year}{infix}{number}")


def _biweek(year: int, number: int) -> Period | None:
    # In a 53-week year DHIS2 has a 27th biweek that runs into the next year's first: kept, because the server writes it.
    if number < 1 or 2 * number - 1 > weeks_in_year(year):
        return None
    start = _first_week_start(year, 1) + timedelta(weeks=2 * number - 2)
    return Period(start, start + timedelta(days=13), "BiWeekly", f"{year}BiW{number}")


def _months(type_code: str, year: int, number: int) -> Period | None:
    spec = _MONTH_TYPES[type_code]
    if not 1 <= number <= spec.count:
        return None
    index = year * 12 + spec.first + (number - 1) * spec.length
    start = _month_start(index)
    end = _month_start(index + spec.length) - timedelta(days=1)
    return Period(start, end, type_code, spec.form.format(year=year, number=number))


@lru_cache(maxsize=4096)
def parse_period(code: str) -> Period:
    """The period that `code` names; `code` of the result is the form that the server writes.

    Accepts also what the server accepts as input: `2026-07`, `2026-07-06`, zero-padded weeks.
    *Raises* UnknownPeriodError for anything else, week 53 of a 52-week year included.
    """
    found = _parse(code.strip())
    if found is None:
        raise UnknownPeriodError(code)
    return found


def _parse(text: str) -> Period | None:
    if not text.isascii():
        return None
    try:
        if match := _DASHED_MONTH.fullmatch(text):
            return _months("Monthly", int(match[1]), int(match[2]))
        if match := _DAY_CODE.fullmatch(text):
            day = date(int(match[1]), int(match[2]), int(match[3]))
            return Period(day, day, "Daily", f"{day:%Y%m%d}")
        if match := _WEEK_CODE.fullmatch(text):
            return _week(_TYPE_OF_INFIX[match[2]], int(match[1]), int(match[3]))
        if match := _BIWEEK_CODE.fullmatch(text):
            return _biweek(int(match[1]), int(match[2]))
        for type_code, pattern in _MONTH_CODES:
            if match := pattern.fullmatch(text):
                return _months(type_code, int(match[1]), int(match[2] or 1))
    except ValueError:  # a day or year that the calendar does not have
        return None
    return None


def period_containing(type_code: str, day: date) -> Period:
    """The period of `type_code` that `day` lies in. Raises UnknownPeriodError when the type has no string form."""
    if type_code == "Daily":
        return Period(day, day, "Daily", f"{day:%Y%m%d}")
    if type_code in _WEEK_TYPES:
        weekday = _WEEK_TYPES[type_code][1]
        start = day - timedelta(days=(day.isoweekday() - weekday) % 7)
        year = (start + timedelta(days=3)).year  # a week belongs to the year that holds its fourth day
        number = (start - _first_week_start(year, weekday)).days // 7 + 1
        found = _week(type_code, year, number)
    elif type_code == "BiWeekly":
        iso_year, iso_week, _ = day.isocalendar()
        found = _biweek(iso_year, (iso_week + 1) // 2)
    elif type_code in _MONTH_TYPES:
        spec = _MONTH_TYPES[type_code]
        since = day.year * 12 + day.month - 1 - spec.first
        found = _months(type_code, since // 12, since % 12 // spec.length + 1)
    else:
        raise UnknownPeriodError(type_code)
    if found is None:
        raise UnknownPeriodError(f"{type_code} around {day}")
    return found


def period_within(type_code: str, period: Period) -> Period:
    """The one period of a coarser type that holds the whole of `period`, as figures may be added up in it.

    *Raises* SplitPeriodError naming the two that share it: the week 2026W53 lies in December 2026 and January 2027.
    """
    first, last = (period_containing(type_code, day) for day in (period.start_on, period.end_on))
    if first != last:
        raise SplitPeriodError(period.code, (first, last))
    return first


def period_holding_most(type_code: str, period: Period) -> Period:
    """The period of a coarser type that holds most days of `period`, the earlier of two that hold as many.

    For a week that is the period of its fourth day, the rule by which ISO 8601 gives weeks to years. It attributes, it does not
    split: a sum over weeks attributed so is a sum over whole weeks, and whoever prints it must say so.
    """
    return period_containing(type_code, period.start_on + timedelta(days=(period.days - 1) // 2))


def following(period: Period) -> Period:
    """The next period of the same type."""
    if period.type_code == "BiWeekly":
        year, number = int(period.code[:4]), int(period.code[7:])
        return _biweek(year, number + 1) or _biweek(year + 1, 1) or period
    return period_containing(period.type_code, period.end_on + timedelta(days=1))


def preceding(period: Period) -> Period:
    """The period before, of the same type."""
    if period.type_code == "BiWeekly":
        year, number = int(period.code[:4]), int(period.code[7:])
        last = (weeks_in_year(year - 1) + 1) // 2
        return _biweek(year, number - 1) or _biweek(year - 1, last) or period
    return period_containing(period.type_code, period.start_on - timedelta(days=1))


def periods_between(type_code: str, first_on: date, last_on: date) -> list[Period]:
    """Every period of the type that shares a day with first_on..last_on, in order."""
    return list(_walk(period_containing(type_code, first_on), following, lambda period: period.start_on <= last_on))


def _walk(period: Period, step: Callable[[Period], Period], go_on: Callable[[Period], bool]) -> Iterator[Period]:
    while go_on(period):
        yield period
        period = step(period)


# SDMX --------------------------------------------------------------------------------------------------------------


def to_sdmx(period: Period) -> str:
    """The SDMX time period: `2026-07`, `2026-Q2`, `2026-S1`, `2026-W03`, `2026-07-06`, `2026`.

    A type that SDMX has no name for (biweekly, bimonthly, weeks from another day, financial years) becomes an ISO 8601
    start and duration, `2026-04-01/P1Y`, which SDMX calls a time range.
    """
    start, year = period.start_on, period.code[:4]
    match period.type_code:
        case "Daily":
            return start.isoformat()
        case "Weekly":
            return f"{year}-W{int(period.code[5:]):02d}"
        case "Monthly":
            return f"{start:%Y-%m}"
        case "Quarterly" | "SixMonthly":
            return f"{year}-{period.code[4:]}"
        case "Yearly":
            return year
    if period.type_code in _MONTH_TYPES:
        length = _MONTH_TYPES[period.type_code].length
        return f"{start.isoformat()}/{'P1Y' if length == 12 else f'P{length}M'}"
    return f"{start.isoformat()}/P{period.days}D"


_SDMX_NAMED = re.compile(r"(\d{4})-([QSW])(\d{1,2})")
_SDMX_RANGE = re.compile(r"(\d{4}-\d{2}-\d{2})/P(\d+)([YMD])")


def from_sdmx(text: str) -> Period:
    """The period that an SDMX time period names. Raises UnknownPeriodError for a range that is no DHIS2 period."""
    if match := _SDMX_NAMED.fullmatch(text):
        return parse_period(f"{match[1]}{match[2]}{int(match[3])}")
    if match := _SDMX_RANGE.fullmatch(text):
        start = date.fromisoformat(match[1])
        for type_code in PERIOD_TYPES:
            candidate = period_containing(type_code, start)
            if candidate.start_on == start and to_sdmx(candidate) == text:
                return candidate
        raise UnknownPeriodError(text)
    if re.fullmatch(r"\d{4}(-\d{2}){0,2}", text):
        return parse_period(text)
    raise UnknownPeriodError(text)


# Relative periods --------------------------------------------------------------------------------------------------

_RELATIVE_UNITS: Final[dict[str, str]] = {
    "DAYS": "Daily",
    "WEEKS": "Weekly",
    "BIWEEKS": "BiWeekly",
    "MONTHS": "Monthly",
    "BIMONTHS": "BiMonthly",
    "QUARTERS": "Quarterly",
    "SIX_MONTHS": "SixMonthly",
    "YEARS": "Yearly",
}
_RELATIVE_SINGLE: Final[dict[str, str]] = {
    "DAY": "Daily",
    "WEEK": "Weekly",
    "BIWEEK": "BiWeekly",
    "MONTH": "Monthly",
    "BIMONTH": "BiMonthly",
    "QUARTER": "Quarterly",
    "SIX_MONTH": "SixMonthly",
    "YEAR": "Yearly",
}
_RELATIVE_WITHIN: Final[dict[str, str]] = {
    "DAYS": "Daily",
    "WEEKS": "Weekly",
    "BIWEEKS": "BiWeekly",
    "MONTHS": "Monthly",
    "BIMONTHS": "BiMonthly",
    "QUARTERS": "Quarterly",
    "SIX_MONTHS": "SixMonthly",
}


def expand_relative(name: str, today: date, *, financial_year: str = "FinancialOct") -> list[str]:
    """The fixed periods that a DHIS2 relative period means on `today`, oldest first.

    `LAST_n_<units>` are the n complete periods before the present one; `THIS_<unit>` the present, `LAST_<unit>` the one
    before, `<UNITS>_THIS_YEAR` and `_LAST_YEAR` those of a calendar year. Sent to a server as such they would move with
    the server's date between two requests of one pull, which is why they are expanded here.
    *Raises* UnknownPeriodError for a name outside this grammar.
    """
    name = name.strip().upper()
    if name == "TODAY":
        return [f"{today:%Y%m%d}"]
    if name == "YESTERDAY":
        return [f"{today - timedelta(days=1):%Y%m%d}"]
    if name in ("THIS_FINANCIAL_YEAR", "LAST_FINANCIAL_YEAR"):
        present = period_containing(financial_year, today)
        return [present.code if name.startswith("THIS") else preceding(present).code]
    if match := re.fullmatch(r"LAST_(\d+)_FINANCIAL_YEARS", name):
        return _codes_before(financial_year, today, int(match[1]))
    if match := re.fullmatch(r"LAST_(\d+)_([A-Z_]+)", name):
        if match[2] in _RELATIVE_UNITS and int(match[1]) > 0:
            return _codes_before(_RELATIVE_UNITS[match[2]], today, int(match[1]))
    elif (match := re.fullmatch(r"(THIS|LAST)_([A-Z_]+)", name)) and match[2] in _RELATIVE_SINGLE:
        present = period_containing(_RELATIVE_SINGLE[match[2]], today)
        return [present.code if match[1] == "THIS" else preceding(present).code]
    elif (match := re.fullmatch(r"([A-Z_]+)_(THIS|LAST)_YEAR", name)) and match[1] in _RELATIVE_WITHIN:
        return _codes_within(_RELATIVE_WITHIN[match[1]], today.year - (match[2] == "LAST"))
    raise UnknownPeriodError(name)


def _codes_before(type_code: str, today: date, count: int) -> list[str]:
    period, codes = period_containing(type_code, today), []
    for _ in range(count):
        period = preceding(period)
        codes.append(period.code)
    return codes[::-1]


def _codes_within(type_code: str, year: int) -> list[str]:
    found = periods_between(type_code, date(year, 1, 1), date(year, 12, 31))
    return [period.code for period in found if period.code.startswith(str(year))]
