"""The headings of a bulletin as fields: what each sheet calls its columns and what stands under them, for the check on drift.

Belongs here: names and types of columns, also of a sheet that no longer fits any layout. Does not belong here: what follows from a
difference (`warehouse.drift`), reading the figures (`bulletin`).

A heading is named as it is printed, from top to bottom, its digits as `#`: "tháng # / tổng số" is one heading in every month.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from assets.labour.encodings import EncodingDoubt
from assets.labour.labels import fold
from assets.labour.layout import (
    HEADER_SEARCH_ROWS,
    HeaderMatch,
    Layout,
    LayoutColumn,
    find_layout,
    header_paths,
    header_rows,
    is_number_like,
    is_numbering_row,
    layouts,
    printed_paths,
)
from assets.labour.workbook import Cell, Sheet, UnreadableFile, open_workbook
from warehouse.drift import UNTYPED, Field

LEVELS = " / "
MISSING_MARKS = ("-", "–", "—", "…", "...", "x", ".")


@dataclass(frozen=True)
class Headings:
    """The columns of one layout in one file."""

    layout: Layout
    fields: tuple[Field, ...]

    def meaning(self, heading: str) -> str | None:
        """What a heading of this layout means, the same for all its wordings; None for one that the layout does not know."""
        path = tuple(fold(level.replace("#", "1")) for level in heading.split(LEVELS))
        column = next((entry for entry in self.layout.columns if entry.matches(path)), None)
        return _meaning(column) if column is not None else None


def bulletin_headings(data: bytes, name: str) -> Mapping[str, Headings]:
    """Part of the source -> headings of one bulletin; nothing for files that cannot be opened or hold no table.

    A sheet that fits no layout counts for the one whose headings it shares most: what it lacks is then named.
    """
    if name.lower().endswith(".toml"):
        return {}
    try:
        book = open_workbook(data, name)
    except (UnreadableFile, EncodingDoubt):
        return {}
    found: dict[str, Headings] = {}
    for sheet in book.sheets:
        if sheet.is_hidden or not sheet.cells:
            continue
        match = find_layout(sheet) or _nearest(sheet)
        if match is not None:
            fields = {field.name: field for field in _fields(sheet, match)}
            before = found.get(match.layout.name)
            known = {field.name: field for field in before.fields} if before else {}
            found[match.layout.name] = Headings(match.layout, tuple({**known, **fields}.values()))
    return {f"bulletin/{layout}": headings for layout, headings in found.items()}


def _nearest(sheet: Sheet) -> HeaderMatch | None:
    """The layout that shares most headings with a sheet of which it lacks a needed one; none where less than two are shared."""
    best: HeaderMatch | None = None
    for layout in layouts():
        for row in range(1, min(sheet.last_row, HEADER_SEARCH_ROWS) + 1):
            cells = sheet.row(row)
            if len(cells) < 2:
                continue
            last = header_rows(sheet, row, cells[0].column)
            known = {
                column: entry
                for column, path in header_paths(sheet, row, last).items()
                if (entry := _known(layout, path)) is not None
            }
            # Its number column alone would make any numbered list a bulletin.
            if len(known) > max(1, len(best.columns) if best else 0):
                while is_numbering_row(sheet, last + 1):
                    last += 1
                best = HeaderMatch(layout, row, last, known, (), "")
    return best


def _known(layout: Layout, path: tuple[str, ...]) -> LayoutColumn | None:
    bare = tuple(text for text in path if text not in layout.wrappers)
    return next((entry for entry in layout.columns if entry.matches(bare)), None)


def _fields(sheet: Sheet, match: HeaderMatch) -> list[Field]:
    fields = []
    header = max(row for row in range(match.first_row, match.last_row + 1) if not is_numbering_row(sheet, row))
    for column, path in printed_paths(sheet, match.first_row, header).items():
        bare = tuple(text for text in path if fold(text) not in match.layout.wrappers)
        if not bare or column in sheet.hidden_columns:
            continue
        entry = match.columns.get(column)
        is_figure = entry is None or entry.role == "figure"
        fields.append(
            Field(
                LEVELS.join(_named(level) for level in bare),
                _type(sheet, match, column) if is_figure else UNTYPED,
                entry is not None and (entry.required or entry.role == "destination"),
            )
        )
    return fields


def _named(text: str) -> str:
    """One level of a heading as it is printed; capitals, spacing and the number of the month make no other heading."""
    return re.sub(r"\d+", "#", " ".join(unicodedata.normalize("NFC", text).lower().split()))


def _type(sheet: Sheet, match: HeaderMatch, column: int) -> str:
    """What most filled cells of the table's rows are in this column; a row of the table has something in two columns of it."""
    rows = [
        row
        for row in range(match.last_row + 1, sheet.last_row + 1)
        if row not in sheet.hidden_rows and sum(cell.column in match.columns for cell in sheet.row(row)) >= 2
    ]
    filled = [cell for row in rows if (cell := sheet.cell(row, column)).text]
    if not filled:
        return UNTYPED
    return "number" if sum(_is_figure(cell) for cell in filled) * 2 >= len(filled) else "text"


def _is_figure(cell: Cell) -> bool:
    return is_number_like(cell) or cell.text.strip().casefold() in MISSING_MARKS


def _meaning(column: LayoutColumn) -> str:
    return ":".join((column.role, column.series, column.window, column.sex, column.period))
