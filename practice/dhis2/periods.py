"""DHIS2 period strings as a practice server reads them: by length first, then by infix.

Input is looser than output, as on the real server. The client has its own reading; the two share no code.
"""

import re
from datetime import date, timedelta

_FINANCIAL = {"April": 4, "July": 7, "Sep": 9, "Oct": 10, "Nov": 11, "Feb": 2, "Aug": 8}
_WEEK_DAYS = {"": 0, "Wed": 2, "Thu": 3, "Fri": 4, "Sat": 5, "Sun": 6}
NEW_TYPES = frozenset({"WeeklyFriday", "FinancialFeb", "FinancialAug"})


def _months(year: int, month: int, length: int) -> tuple[date, date]:
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    after = month + length - 1
    return date(year, month, 1), date(year + after // 12, after % 12 + 1, 1) - timedelta(days=1)


def _week(year: int, number: int, start_day: int, weeks: int = 1) -> tuple[date, date]:
    first = date.fromisocalendar(year, 1, 1)
    # A week that starts on another day belongs to the year that holds its fourth day.
    shift = start_day if start_day < 4 else start_day - 7
    start = first + timedelta(days=shift, weeks=(number - 1) * weeks)
    return start, start + timedelta(days=7 * weeks - 1)


def read_period(text: str, new_types: bool = True) -> tuple[str, date, date] | None:
    """The type, first and last day of a period string; None when it is no period of this server."""
    found = _read(text)
    if found is None or (found[0] in NEW_TYPES and not new_types):
        return None
    return found


def _read(text: str) -> tuple[str, date, date] | None:
    try:
        if re.fullmatch(r"\d{4}", text):
            return ("Yearly", *_months(int(text), 1, 12))
        if re.fullmatch(r"\d{6}|\d{4}-\d{2}", text):
            return ("Monthly", *_months(int(text[:4]), int(text[-2:]), 1)) if 1 <= int(text[-2:]) <= 12 else None
        if re.fullmatch(r"\d{8}", text):
            day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
            return "Daily", day, day
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return "Daily", date.fromisoformat(text), date.fromisoformat(text)
        year = int(text[:4])
        rest = text[4:]
        if found := re.fullmatch(r"(Wed|Thu|Fri|Sat|Sun|)W(\d{1,2})", rest):
            start_day = _WEEK_DAYS[found.group(1)]
            kind = "Weekly" + {2: "Wednesday", 3: "Thursday", 4: "Friday", 5: "Saturday", 6: "Sunday"}.get(
                start_day, ""
            )
            return (kind, *_week(year, int(found.group(2)), start_day)) if 1 <= int(found.group(2)) <= 53 else None
        if found := re.fullmatch(r"BiW(\d{1,2})", rest):
            return ("BiWeekly", *_week(year, int(found.group(1)), 0, 2)) if 1 <= int(found.group(1)) <= 27 else None
        if found := re.fullmatch(r"(\d{2})B", rest):
            # The number before the B counts periods of two months, not months.
            return (
                ("BiMonthly", *_months(year, 2 * int(found.group(1)) - 1, 2)) if 1 <= int(found.group(1)) <= 6 else None
            )
        if found := re.fullmatch(r"(Nov|)Q([1-4])", rest):
            number = int(found.group(2))
            if found.group(1):
                return ("QuarterlyNov", *_months(year - 1, 11 + 3 * (number - 1), 3))
            return ("Quarterly", *_months(year, 3 * number - 2, 3))
        if found := re.fullmatch(r"(April|Nov|)S([12])", rest):
            first = {"": 1, "April": 4, "Nov": -1}[found.group(1)]
            kind = {"": "SixMonthly", "April": "SixMonthlyApril", "Nov": "SixMonthlyNov"}[found.group(1)]
            return (kind, *_months(year, first + 6 * (int(found.group(2)) - 1), 6))
        if rest in _FINANCIAL:
            return (f"Financial{rest}", *_months(year if rest != "Nov" else year - 1, _FINANCIAL[rest], 12))
    except ValueError:
        return None
    return None
