"""Periods and dates as Vietnamese titles print them -> DHIS2 period codes and days.

Belongs here: "tháng 9/2025", "9 tháng đầu năm", "Quý I", "năm 2023", "ngày 05 tháng 11 năm 2025", d/m/Y, Excel serials,
two-digit years. Does not belong here: DHIS2's own period types (`methods.periods`).
"""

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from assets.labour.labels import fold

_MONTH, _YEAR, _QUARTER, _DAY, _START = fold("tháng"), fold("năm"), fold("quý"), fold("ngày"), fold("đầu")
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4}
_DATED = re.compile(rf"{_DAY} (?P<day>\d{{1,2}}) (?:{_MONTH} )?(?P<month>\d{{1,2}}) (?:{_YEAR} )?(?P<year>\d{{4}})")
_DATE_BLANK = re.compile(rf"{_DAY} \D*{_MONTH} \d{{1,2}} {_YEAR} \d{{4}}")
_CUMULATIVE = re.compile(rf"\b(\d{{1,2}}) {_MONTH} (?:{_START} |cua )?(?:{_YEAR} )?(\d{{4}})\b")
_QUARTERLY = re.compile(rf"{_QUARTER} (iv|i{{1,3}}|[1-4]) (?:{_YEAR} )?(\d{{4}})\b")
_MONTHLY = re.compile(rf"(?:{_MONTH}|\bt) ?(\d{{1,2}}) (?:{_YEAR} )?(\d{{4}}|\d{{2}})\b")
_ANNUAL = re.compile(rf"{_YEAR} (\d{{4}})\b")
_BARE_MONTH = re.compile(rf"(?:^|\b)(?:{_MONTH}|thang|t) ?(\d{{1,2}})$")


@dataclass(frozen=True)
class TitlePeriod:
    """The period a title speaks of: year, last month, and whether it says month, quarter, first months or year."""

    year: int
    month: int
    kind: str


def full_year(text: str) -> int:
    """A year of four or two digits; two digits are of this century, as no bulletin is older."""
    return int(text) if len(text) == 4 else 2000 + int(text)


def title_period(text: str) -> TitlePeriod | None:
    """The period in a title line, or None. Dates of signature are not periods."""
    folded = _DATE_BLANK.sub(" ", _DATED.sub(" ", fold(text)))
    if match := _CUMULATIVE.search(folded):
        month = int(match.group(1))
        # "tháng 10 năm 2025" never matches here: the number must stand before the word.
        if 1 <= month <= 12:
            return TitlePeriod(int(match.group(2)), month, "cumulative")
    if match := _QUARTERLY.search(folded):
        quarter = _ROMAN.get(match.group(1)) or int(match.group(1))
        return TitlePeriod(int(match.group(2)), quarter * 3, "quarter")
    if match := _MONTHLY.search(folded):
        month = int(match.group(1))
        if 1 <= month <= 12:
            return TitlePeriod(full_year(match.group(2)), month, "month")
    if match := _ANNUAL.search(folded):
        return TitlePeriod(int(match.group(1)), 12, "year")
    return None


def bare_month(text: str) -> int | None:
    """The month in a sheet name such as "T9" or "Tháng 9", which leaves the year to the title."""
    match = _BARE_MONTH.search(fold(text))
    return int(match.group(1)) if match and 1 <= int(match.group(1)) <= 12 else None


def signed_on(text: str) -> date | None:
    """The day in "Hà Nội, ngày 05 tháng 11 năm 2025", or None; "tính đến ngày ..." is no signature."""
    folded = fold(text)
    if fold("tính đến") in folded:
        return None
    match = _DATED.search(folded)
    if match is None:
        return None
    try:
        return date(int(match.group("year")), int(match.group("month")), int(match.group("day")))
    except ValueError:
        return None


def month_start(year: int, month: int) -> date:
    """First day of a month."""
    return date(year, month, 1)


def month_end(year: int, month: int) -> date:
    """Last day of a month."""
    return date(year, month, calendar.monthrange(year, month)[1])


def window_bounds(window: str, period_code: str) -> tuple[date, date]:
    """First and last day of what a figure counts. Raises ValueError for a period that the window cannot have."""
    if window == "plan_period":
        first, last = period_code.split("_")
        return date(int(first), 1, 1), date(int(last), 12, 31)
    if window == "year":
        return date(int(period_code), 1, 1), date(int(period_code), 12, 31)
    if window == "quarter":
        year, quarter = int(period_code[:4]), int(period_code[5:])
        return month_start(year, quarter * 3 - 2), month_end(year, quarter * 3)
    if len(period_code) != 6:
        raise ValueError(f"window {window} needs a month such as 202510, not {period_code}")
    year, month = int(period_code[:4]), int(period_code[4:])
    start = {"month": month_start(year, month), "cumulative": date(year, 1, 1), "point": month_end(year, month)}[window]
    return start, month_end(year, month)


def assumed_publication(window_end: date) -> date:
    """The day taken when a document names none: the fifth day after its period, as the release of 5 November 2025 for
    October 2025 did."""
    return window_end + timedelta(days=5)


def read_date(content: object) -> date | None:
    """A day from a cell: a date, an ISO text, or day/month/year with `/`, `-` or `.` and two- or four-digit years."""
    if isinstance(content, datetime):
        return content.date()
    if isinstance(content, date):
        return content
    if isinstance(content, int | float) and 20000 <= content <= 80000:
        return date(1899, 12, 30) + timedelta(days=int(content))
    if not isinstance(content, str):
        return None
    text = content.strip().lstrip("'")
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}(?:[T ].*)?", text):
        parts = [int(part) for part in text[:10].split("-")]
    elif match := re.fullmatch(r"(\d{1,2})[/.\-](\d{1,2})[/.\-](\d{4}|\d{2})", text):
        year = int(match.group(3))
        if len(match.group(3)) == 2:
            # Births of the last century and contracts of this one share two-digit years; 40 parts them.
            year += 1900 if year > 40 else 2000
        parts = [year, int(match.group(2)), int(match.group(1))]
    else:
        return None
    try:
        return date(*parts)
    except ValueError:
        return None
