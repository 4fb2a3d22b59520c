"""How a number is written for people: rounding, separators, intervals, symbols, period names, in both languages.

Belongs here: pure functions from values to text. Does not belong here: choosing values (`tables`), any markup (`pages`).
Rounding is half away from zero on the shortest decimal form of the number; intervals are rounded outward. Both are stated
in the notes of every output.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"

ZERO = DASH
MISSING = ".."
NOT_APPLICABLE = "x"
SUPPRESSED = "c"
UNRELIABLE = "*"

STATUS_MARKS = {"B": "b", "P": "p", "E": "e", "I": "e", "F": "e", "G": "g"}
"""Status codes that show as a letter after the number (see symbols.toml)."""

PRACTICE_MARK = "†"
REVISED_MARK = "r"


def rounded(value: float, decimals: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    """The value at a number of decimals.

    The value is first brought to 12 significant digits, so that 30.099999999999998, which is 30.1 after arithmetic,
    is not floored to 30.0.
    """
    exact = Decimal(f"{value:.12g}")
    return exact.quantize(Decimal(1).scaleb(-decimals), rounding=rounding)


def number_text(value: Decimal, language: str) -> str:
    """The number with the separators of the language: 1,234.5 in English, 1.234,5 in Vietnamese."""
    text = f"{abs(value):,f}"
    if language == "vi":
        text = text.translate({ord(","): ".", ord("."): ","})
    return (MINUS if value < 0 else "") + text


def value_text(value: float, decimals: int, language: str) -> str:
    """The value for readers; exactly zero is a dash, so that it differs from what only rounds to zero."""
    if value == 0:
        return ZERO
    shown = rounded(value, decimals)
    return number_text(abs(shown) if shown == 0 else shown, language)


def interval_text(lower: float, upper: float, decimals: int, language: str) -> str:
    """The interval in square brackets, lower bound rounded down and upper bound up."""
    low = rounded(lower, decimals, ROUND_FLOOR)
    high = rounded(upper, decimals, ROUND_CEILING)
    return f"[{number_text(low, language)}{DASH}{number_text(high, language)}]"


def period_text(period_code: str, language: str) -> str:
    """The period's name: 2026, Q2 2026, July 2026, week 11 of 2026, in the language."""
    year, rest = period_code[:4], period_code[4:]
    if not rest:
        return year
    if rest.startswith("Q"):
        return f"quý {('I', 'II', 'III', 'IV')[int(rest[1]) - 1]}/{year}" if language == "vi" else f"Q{rest[1]} {year}"
    if rest.startswith("W"):
        return f"tuần {int(rest[1:])}/{year}" if language == "vi" else f"week {int(rest[1:])}, {year}"
    if rest.isdigit() and len(rest) == 2:
        return f"tháng {int(rest)}/{year}" if language == "vi" else f"{MONTHS[int(rest) - 1]} {year}"
    return period_code


MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def period_type(period_code: str) -> str:
    """The type of a DHIS2 period by its form: year, quarter, month, week, or other."""
    rest = period_code[4:]
    if len(period_code) == 4 and period_code.isdigit():
        return "year"
    if rest.startswith("Q"):
        return "quarter"
    if rest.startswith("W"):
        return "week"
    if len(period_code) == 6 and period_code.isdigit():
        return "month"
    return "other"


def period_order(period_code: str) -> tuple[int, int, str]:
    """A sort key that puts periods of one type in time order, week 9 before week 10."""
    digits = "".join(character for character in period_code[4:] if character.isdigit())
    year = int(period_code[:4]) if period_code[:4].isdigit() else 0
    return year, int(digits or 0), period_code


def period_time(period_code: str) -> float | None:
    """Where the period begins on a time axis, in years; None when the code has no year."""
    year, part, _ = period_order(period_code)
    if not year:
        return None
    per_year = {"quarter": 4, "month": 12, "week": 53}.get(period_type(period_code))
    return year + (part - 1) / per_year if per_year else float(year)
