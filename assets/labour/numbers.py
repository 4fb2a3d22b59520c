"""Printed numbers -> values, by a rule for the whole column and never for one cell.

Belongs here: separators, qualifiers ("trên", "khoảng"), "27 lao động nam", dashes and blanks, percentages stored as
0.932 or 93.2. Does not belong here: which column holds what (`layout`), grids (`workbook`).

`1.450` is 1450 in Vietnamese and 1.45 in English. A column of persons settles it: a count has no fraction, so every
separator in it groups thousands. Only a percentage column needs evidence, and without it the doubt is reported with both
readings.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from assets.labour.labels import fold

Status = Literal["value", "blank", "not_available", "fault"]
Precision = Literal["exact", "rounded", "at_least"]
Separators = Literal["comma_decimal", "dot_decimal", "unknown"]

_BLANKS = {"", "'"}
_ZEROS = {"-", "–", "—", "−", "'-"}
_NOT_AVAILABLE = {"…", "...", "....", "..", "x", "n/a", "na"}
_AT_LEAST = ("trên", "hơn", "over", "more than", ">", "≥")
_ROUNDED = ("khoảng", "gần", "about", "nearly", "ước", "~", "xấp xỉ")
_MEN_ONLY = re.compile(r"^(?P<number>.*?\d)\s*(?:lao động\s+)?(?:nam|male|men)\b(?P<rest>.*)$", re.IGNORECASE)
_EACH = re.compile(r"(?:mỗi|each|moi)\s*(?:nước|thị trường)?", re.IGNORECASE)
_UNIT = re.compile(r"\s*(?:lao động|người|lượt người|persons|workers|LĐ)\s*$", re.IGNORECASE)
_GROUPED = re.compile(r"^\d{1,3}(?:[.,\u0020\u00a0\u202f\u2009']\d{3})+$")
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2007": " "})


@dataclass(frozen=True)
class Number:
    """One cell as read: its status and value, and what the words around the number said.

    `men_only`: the number counts men alone ("27 lao động nam"), so women are 0. `each`: it holds for every country of the
    label. `resolution`: the unit of the last printed digit, which bounds every recomputation.
    """

    status: Status
    value: float | None = None
    precision: Precision = "exact"
    resolution: float = 1.0
    men_only: bool = False
    each: bool = False
    fault: str = ""
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnReading:
    """All cells of one column, the style it was read in, and why."""

    numbers: tuple[Number, ...]
    style: str
    evidence: tuple[str, ...] = field(default_factory=tuple)


def _words(text: str) -> tuple[str, Precision, bool, bool]:
    """The bare number and what qualified it: precision, men only, each country."""
    rest = text.translate(_SPACES).strip().lstrip("'").strip()
    each = bool(_EACH.search(rest))
    rest = _EACH.sub(" ", rest).strip()
    precision: Precision = "exact"
    lowered = rest.casefold()
    for words, meaning in ((_AT_LEAST, "at_least"), (_ROUNDED, "rounded")):
        for word in words:
            if lowered.startswith(word):
                precision = meaning  # type: ignore[assignment]
                rest = rest[len(word) :].strip()
                lowered = rest.casefold()
    men = _MEN_ONLY.match(rest)
    if men and not men.group("rest").strip(" ,.;"):
        return men.group("number").strip(), precision, True, each
    return _UNIT.sub("", rest).strip(), precision, False, each


def _status(text: str | None) -> Status | None:
    if text is None:
        return "blank"
    bare = text.translate(_SPACES).strip().casefold()
    if bare in _BLANKS:
        return "blank"
    if bare in _NOT_AVAILABLE:
        return "not_available"
    return None


def _trailing_zero_resolution(value: float, precision: Precision) -> float:
    """Unit of the last digit that is not zero, for numbers printed as "about" or "over": "over 59 600" is known to 100."""
    if precision == "exact" or value == 0 or value != int(value):
        return 1.0
    unit = 1
    while value % (unit * 10) == 0:
        unit *= 10
    return float(unit)


def _count(content: str | float | None) -> tuple[Number, str]:
    """One count and the separator it was grouped with ("" for none)."""
    if isinstance(content, int | float):
        if not math.isfinite(content):
            return Number("fault", fault="not a number"), ""
        if content == int(content):
            return Number("value", float(content)), ""
        grouped = content * 1000
        candidates = (str(round(grouped)),) if abs(grouped - round(grouped)) < 1e-6 else ()
        return (
            Number("fault", fault="a count of persons cannot have a fraction", candidates=candidates),
            "",
        )
    status = _status(content)
    if status is not None:
        return Number(status), ""
    assert content is not None
    if content.translate(_SPACES).strip() in _ZEROS:
        return Number("value", 0.0), ""
    bare, precision, men_only, each = _words(content)
    negative = bare.startswith(("-", "−"))
    digits = bare.lstrip("-−").strip()
    separator = ""
    if digits.isdecimal() and digits.isascii():
        value = float(digits)
    elif _GROUPED.match(digits):
        separator = next(mark for mark in digits if not mark.isdigit())
        value = float(re.sub(r"\D", "", digits))
        if len({mark for mark in digits if not mark.isdigit()}) > 1:
            # 1.234,000 or 1,234.000: two separators; the last would have to be a decimal mark.
            return (
                Number("fault", fault="two kinds of separator in one count", candidates=_two_readings(digits)),
                separator,
            )
    elif match := re.fullmatch(r"(\d{1,3}(?:[.,  ]\d{3})*)[.,]0{1,2}", digits):
        value = float(re.sub(r"\D", "", match.group(1)))
    else:
        return Number("fault", fault="not a count of persons", candidates=_two_readings(digits)), ""
    value = -value if negative else value
    return Number("value", value, precision, _trailing_zero_resolution(value, precision), men_only, each), separator


def _two_readings(digits: str) -> tuple[str, ...]:
    readings = []
    for decimal, group in ((",", "."), (".", ",")):
        bare = digits.replace(group, "").replace(" ", "").replace(decimal, ".")
        try:
            value = float(bare)
        except ValueError:
            continue
        readings.append(f"{value:g}" + (" (comma as decimal mark)" if decimal == "," else " (dot as decimal mark)"))
    return tuple(dict.fromkeys(readings))


def read_counts(cells: Sequence[str | float | None]) -> ColumnReading:
    """A column of persons. Every separator groups thousands; the evidence says which were seen, also when they are mixed."""
    read = [_count(cell) for cell in cells]
    seen = sorted({separator for _, separator in read if separator})
    names = {".": "dot", ",": "comma", " ": "space", "'": "apostrophe"}
    shown = [names.get(separator, "space") for separator in seen]
    evidence = [f"thousands grouped by {name}" for name in shown]
    if any(isinstance(cell, str) and cell.strip()[:1] == "'" for cell in cells):
        evidence.append("numbers typed as text with an apostrophe")
    style = "+".join(shown) if shown else "plain"
    return ColumnReading(tuple(number for number, _ in read), style, tuple(evidence))


def separators_of(cells: Sequence[str | float | None]) -> Separators:
    """Which mark is the decimal one, as far as these cells prove it: two kinds in one number, or a tail that is not three long."""
    votes: set[Separators] = set()
    for cell in cells:
        if not isinstance(cell, str) or not re.fullmatch(r"['\s]*-?\d[\d.,\s\u00a0]*%?\s*", cell):
            continue
        digits = re.sub(r"[^\d.,]", "", cell)
        marks = [mark for mark in digits if not mark.isdigit()]
        if not marks:
            continue
        tail = re.split(r"[.,]", digits)[-1]
        if len(set(marks)) == 2 or (len(marks) == 1 and len(tail) != 3):
            votes.add("comma_decimal" if marks[-1] == "," else "dot_decimal")
        elif len(marks) > 1:
            votes.add("dot_decimal" if marks[0] == "," else "comma_decimal")
    return votes.pop() if len(votes) == 1 else "unknown"


def separators_of_counts(styles: Sequence[str]) -> Separators:
    """The decimal mark that follows from how counts are grouped: where dots group thousands, the comma is the decimal mark."""
    marks = {mark for style in styles for mark in style.split("+") if mark in ("dot", "comma")}
    if marks == {"dot"}:
        return "comma_decimal"
    return "dot_decimal" if marks == {"comma"} else "unknown"


def read_percents(
    cells: Sequence[str | float | None],
    *,
    as_percent_format: Sequence[bool] = (),
    file_separators: Separators = "unknown",
) -> ColumnReading:
    """A column of percentages, as percent (93.2). `as_percent_format` says which numeric cells Excel shows with a % sign.

    Text decides its decimal mark by the column, then by the file. Bare numbers are fractions when the whole column stays
    at or under 2: a year's plan is not reported at under 2 %.
    """
    formats = list(as_percent_format) or [False] * len(cells)
    own = separators_of(cells)
    separators = own if own != "unknown" else file_separators
    evidence: list[str] = []
    if separators != "unknown":
        evidence.append(f"{separators.replace('_', ' ')} mark, seen in this {'column' if own != 'unknown' else 'file'}")
    bare = [
        float(cell)
        for cell, is_percent in zip(cells, formats, strict=True)
        if isinstance(cell, int | float) and not is_percent
    ]
    are_fractions = bool(bare) and max(abs(value) for value in bare) <= 2
    if bare:
        evidence.append("bare numbers are fractions of one" if are_fractions else "bare numbers are percentages")
    numbers = [
        _percent(cell, is_percent or are_fractions, separators) for cell, is_percent in zip(cells, formats, strict=True)
    ]
    return ColumnReading(tuple(numbers), separators, tuple(evidence))


def _percent(cell: str | float | None, is_fraction: bool, separators: Separators) -> Number:
    if isinstance(cell, int | float):
        if not math.isfinite(cell):
            return Number("fault", fault="not a number")
        value = float(cell) * (100 if is_fraction else 1)
        value = round(value, 9)
        decimals = len(f"{value:.6f}".rstrip("0").partition(".")[2])
        return Number("value", value, resolution=10.0**-decimals)
    status = _status(cell)
    if status is not None:
        return Number(status)
    assert cell is not None
    if cell.translate(_SPACES).strip() in _ZEROS:
        return Number("not_available")
    bare, precision, _, _ = _words(cell.replace("%", ""))
    over = re.fullmatch(r"(?:vượt)\s*(.*)", bare)
    if over:
        bare = over.group(1)
    digits = bare.strip()
    marks = {mark for mark in digits if mark in ".,"}
    if not re.fullmatch(r"-?\d[\d.,]*", digits):
        return Number("fault", fault="not a percentage", candidates=_two_readings(digits))
    if len(marks) == 1 and separators == "unknown" and re.fullmatch(r"\d{1,3}[.,]\d{3}", digits):
        return Number(
            "fault", fault="decimal mark or thousands? nothing in the file decides", candidates=_two_readings(digits)
        )
    decimal = {"comma_decimal": ",", "dot_decimal": "."}.get(separators) or (marks.pop() if marks else ",")
    whole = digits.replace("." if decimal == "," else ",", "").replace(decimal, ".")
    try:
        value = float(whole)
    except ValueError:
        return Number("fault", fault="not a percentage", candidates=_two_readings(digits))
    decimals = len(whole.partition(".")[2])
    return Number("value", value + (100 if over else 0), precision, 10.0**-decimals)


def sexes_of(label: str) -> str | None:
    """The sex code that a word means, or None: nữ F, nam M, tổng số _T."""
    folded = fold(label)
    if folded in {fold("nữ"), "female", "women", fold("lao động nữ"), fold("trong đó nữ"), "f"}:
        return "F"
    if folded in {"nam", "male", "men", "m"} or folded == fold("lao động nam"):
        return "M"
    if folded in {fold("tổng số"), fold("tổng"), fold("chung"), "total"}:
        return "_T"
    return None
