"""Layouts: how a table of labour figures recognises itself and what each of its columns holds.

Belongs here: the typed form of `layouts/*.toml`, and finding the header of a layout in a sheet. Does not belong here:
reading the rows under it (`read`), opening files (`workbook`).

A column is known by its header path: the header texts above it from top to bottom, merged areas spread, so that "Trong
tháng / Tổng số" and "Lũy kế từ đầu năm / Tổng số" are two columns. Patterns are compared folded; `*` stands for any words.
"""

import re
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from assets.labour.labels import fold
from assets.labour.workbook import Cell, Sheet

FOLDER = Path(__file__).parent / "layouts"
HEADER_SEARCH_ROWS = 40

_LAYOUT_KEYS = {
    "name", "kind", "description", "owner", "dated", "title", "column", "line", "edition", "unit", "wrappers",
}  # fmt: skip
_COLUMN_KEYS = {"role", "path", "series", "window", "sex", "required", "unit", "period"}
_LINE_KEYS = {"starts", "series"}
_EDITION_KEYS = {"code", "first_seen_on", "last_seen_on", "note"}
ROLES = ("number", "destination", "region", "figure", "ignored")


class LayoutError(Exception):
    """A layout file is wrong; the message names file, key and the nearest known key."""


def _pattern(text: str) -> re.Pattern[str]:
    parts = [re.escape(fold(part)) for part in text.split("*")]
    return re.compile("^" + ".*".join(parts) + "$")


@dataclass(frozen=True)
class LayoutColumn:
    """One column of a layout: its role, its header path (alternatives per level) and, for figures, what they count."""

    role: str
    path: tuple[tuple[str, ...], ...]
    series: str = ""
    window: str = ""
    sex: str = "_T"
    unit: str = "persons"
    required: bool = False
    period: str = "title"
    """`title`: the period is that of the title; `header`: the column's own header names its month, and there may be several."""
    patterns: tuple[tuple[re.Pattern[str], ...], ...] = field(default=(), compare=False, repr=False)

    def matches(self, path: tuple[str, ...]) -> bool:
        """True when the folded header texts `path` are this column's, level by level."""
        return len(path) == len(self.patterns) and all(
            any(pattern.match(text) for pattern in level) for level, text in zip(self.patterns, path, strict=True)
        )


@dataclass(frozen=True)
class Layout:
    """One form of the publisher: how it is recognised, its columns, and the lines outside the table that hold figures."""

    name: str
    kind: str
    description: str
    titles: tuple[str, ...]
    columns: tuple[LayoutColumn, ...]
    lines: tuple[tuple[str, str], ...]
    wrappers: frozenset[str]
    """Folded header texts that span everything and say nothing, such as "Số lao động": left out of paths."""
    editions: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class HeaderMatch:
    """A layout found in a sheet: header rows, and the grid column of each layout column."""

    layout: Layout
    first_row: int
    last_row: int
    columns: dict[int, LayoutColumn]
    unknown: tuple[Cell, ...]
    title: str


def _refuse_unknown(keys: set[str], known: set[str], file: str, place: str) -> None:
    for key in sorted(keys - known):
        near = get_close_matches(key, sorted(known), 1)
        raise LayoutError(f"{file}: unknown key {key!r} in {place}; nearest known key: {near[0] if near else 'none'}.")


def read_layout(path: Path) -> Layout:
    """The layout in a TOML file. Raises LayoutError for unknown keys, roles or a missing destination column."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    _refuse_unknown(set(raw), _LAYOUT_KEYS, path.name, "the file")
    columns = []
    for number, entry in enumerate(raw.get("column", ()), 1):
        _refuse_unknown(set(entry), _COLUMN_KEYS, path.name, f"column {number}")
        if entry["role"] not in ROLES:
            raise LayoutError(
                f"{path.name}: column {number} has role {entry['role']!r}; known roles: {', '.join(ROLES)}."
            )
        levels = tuple(tuple(level) if isinstance(level, list) else (level,) for level in entry["path"])
        columns.append(
            LayoutColumn(
                role=entry["role"],
                path=levels,
                series=entry.get("series", ""),
                window=entry.get("window", ""),
                sex=entry.get("sex", "_T"),
                unit=entry.get("unit", raw.get("unit", "persons")),
                required=entry.get("required", False),
                period=entry.get("period", "title"),
                patterns=tuple(tuple(_pattern(text) for text in level) for level in levels),
            )
        )
    if not any(column.role == "destination" for column in columns):
        raise LayoutError(f"{path.name}: no column has the role destination; add one with its header path.")
    for entry in raw.get("line", ()):
        _refuse_unknown(set(entry), _LINE_KEYS, path.name, "a line")
    for entry in raw.get("edition", ()):
        _refuse_unknown(set(entry), _EDITION_KEYS, path.name, "an edition")
    return Layout(
        name=raw["name"],
        kind=raw["kind"],
        description=raw["description"],
        titles=tuple(raw.get("title", ())),
        columns=tuple(columns),
        lines=tuple((start, entry["series"]) for entry in raw.get("line", ()) for start in entry["starts"]),
        wrappers=frozenset(fold(text) for text in raw.get("wrappers", ())),
        editions=tuple(raw.get("edition", ())),
    )


@cache
def layouts() -> tuple[Layout, ...]:
    """The layouts shipped with the code, in name order."""
    return tuple(read_layout(path) for path in sorted(FOLDER.glob("*.toml")))


def is_number_like(cell: Cell) -> bool:
    """True for a number, or a text that is written like one: digits, separators, a percent sign."""
    return isinstance(cell.content, int | float) or bool(
        re.fullmatch(r"['\s]*[-–]?[\d.,\s%]+", cell.text) and cell.text
    )


def is_numbering_row(sheet: Sheet, row: int) -> bool:
    """True for the row under a header that numbers its columns: A B 1 2 (3) (4=2/1)."""
    texts = [cell.text for cell in sheet.row(row)]
    if len(texts) < 2 or not all(re.fullmatch(r"\(?[A-Za-z0-9](?:[=+:/\-x*%\d\s]*)\)?", text) for text in texts):
        return False
    digits = [int(found.group()) for text in texts if (found := re.search(r"\d+", text))]
    return len(digits) >= 2 and digits == sorted(digits) and digits[0] in (1, 2, 3) and digits[-1] < 30


def header_paths(sheet: Sheet, first_row: int, last_row: int) -> dict[int, tuple[str, ...]]:
    """Folded header texts of every column, top to bottom, merged areas spread, repeats folded into one."""
    printed = printed_paths(sheet, first_row, last_row)
    return {column: tuple(fold(text) for text in texts) for column, texts in printed.items()}


def printed_paths(sheet: Sheet, first_row: int, last_row: int) -> dict[int, tuple[str, ...]]:
    """The header texts of every column as they are printed, top to bottom, merged areas spread, repeats once.

    Files without merge information (text, old formats) leave the cells right of a spanning header empty: an empty upper
    cell takes the text to its left while something stands below it.
    """
    paths: dict[int, tuple[str, ...]] = {}
    left: dict[int, str] = {}
    for column in range(1, sheet.last_column + 1):
        texts: list[str] = []
        has_lower = any(sheet.spread(row, column).text for row in range(first_row + 1, last_row + 1))
        for row in range(first_row, last_row + 1):
            text = sheet.spread(row, column).text
            if fold(text):
                left[row] = text
                for lower in range(row + 1, last_row + 1):
                    left.pop(lower, None)
            elif row < last_row and has_lower and row in left and sheet.spread(row + 1, column).text:
                text = left[row]
            if fold(text) and (not texts or fold(texts[-1]) != fold(text)):
                texts.append(text)
        if texts:
            paths[column] = tuple(texts)
    return paths


def header_rows(sheet: Sheet, first_row: int, column: int) -> int:
    """The last row of the header that begins at `first_row` and whose destination header stands in `column`."""
    last = first_row
    for area in sheet.merged:
        if area.first_row == first_row and area.first_column <= column <= area.last_column:
            last = max(last, area.last_row)
    while last < first_row + 3:
        below = last + 1
        cells = sheet.row(below)
        own = sheet.cell(below, column).text
        if own or not cells or any(is_number_like(cell) for cell in cells):
            break
        last = below
    return last


def title_above(sheet: Sheet, row: int) -> str:
    """The text above a header, rows in order."""
    return "\n".join(
        " ".join(cell.text for cell in sheet.row(above) if isinstance(cell.content, str)) for above in range(1, row)
    )


def find_layout(sheet: Sheet, candidates: tuple[Layout, ...] | None = None) -> HeaderMatch | None:
    """The layout whose required columns all stand in one header of the sheet, the richest match first; None when none does."""
    best: tuple[tuple[int, int], HeaderMatch] | None = None
    for layout in candidates if candidates is not None else layouts():
        destination = next(column for column in layout.columns if column.role == "destination")
        for row in range(1, min(sheet.last_row, HEADER_SEARCH_ROWS) + 1):
            for cell in sheet.row(row):
                if not any(pattern.match(fold(cell.text)) for pattern in destination.patterns[0]):
                    continue
                match = _match_at(sheet, layout, row, cell.column)
                if match is None:
                    continue
                title = fold(match.title)
                score = (
                    sum(column.role == "figure" for column in match.columns.values()),
                    sum(fold(text) in title for text in layout.titles),
                )
                if best is None or score > best[0]:
                    best = (score, match)
    return best[1] if best else None


def _match_at(sheet: Sheet, layout: Layout, row: int, column: int) -> HeaderMatch | None:
    last = header_rows(sheet, row, column)
    found: dict[int, LayoutColumn] = {}
    unknown: list[Cell] = []
    for grid_column, path in header_paths(sheet, row, last).items():
        if grid_column in sheet.hidden_columns:
            continue
        path = tuple(text for text in path if text not in layout.wrappers)
        if not path:
            continue
        entry = next((entry for entry in layout.columns if entry.matches(path)), None)
        if entry is None:
            unknown.append(
                sheet.cell(row, grid_column) if sheet.cell(row, grid_column).text else sheet.spread(last, grid_column)
            )
        elif entry.period == "header" or entry not in found.values():
            found[grid_column] = entry
    if not all(entry in found.values() for entry in layout.columns if entry.required or entry.role == "destination"):
        return None
    if not any(entry.role == "figure" for entry in found.values()):
        return None
    while is_numbering_row(sheet, last + 1):
        last += 1
    return HeaderMatch(layout, row, last, found, tuple(unknown), title_above(sheet, row))
