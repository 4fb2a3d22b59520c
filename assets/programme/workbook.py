"""Filled-in templates (.xlsx) -> rows of text, as a register file in CSV has them.

Belongs here: finding the header among the title lines, opening a workbook that somebody else wrote. Does not belong here:
what a row means (`assets.programme.read`), writing templates (`warehouse.publishing.register_template`).
"""

import io
import zipfile
from collections.abc import Sequence

import fastexcel

from assets.limits import TooLarge, hold_archive

HEADER_WITHIN_ROWS = 15
CODE_SEPARATOR = " · "
"""Between the code and its name in the drop-down lists of a template: `NURSE · Nurses`."""

SheetRow = tuple[str, dict[str, str]]


class WorkbookFault(Exception):
    """The bytes are no workbook that can be read; the message says what to do. Another attempt cannot help."""


def sheet_rows(data: bytes, required: Sequence[str]) -> tuple[list[str], list[SheetRow]]:
    """The columns of the first sheet that has all of `required` in one row, and its rows below, each with its place.

    The columns are empty when no sheet has such a row. Empty rows are passed over. A cell chosen from a drop-down list is its code alone.
    """
    _refuse_oversized(data)
    try:
        book = fastexcel.read_excel(data)
        sheets = [(name, _texts(book, name)) for name in book.sheet_names]
    except Exception as fault:  # fastexcel has no fault of its own for broken workbooks; whatever it raises means that
        raise WorkbookFault(
            f"cannot be opened as a workbook ({type(fault).__name__}); save it again as .xlsx or CSV"
        ) from fault
    for name, rows in sheets:
        for number, row in enumerate(rows[:HEADER_WITHIN_ROWS]):
            header = [text.strip() for text in row]
            if set(required) <= set(header):
                below = [
                    (f"{name}!{number + 2 + offset}", _by_column(header, cells))
                    for offset, cells in enumerate(rows[number + 1 :])
                ]
                return [column for column in header if column], [row for row in below if any(row[1].values())]
    return [], []


def _texts(book: fastexcel.ExcelReader, name: str) -> list[list[str]]:
    frame = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string").to_polars()
    return [[text or "" for text in row] for row in frame.iter_rows()]


def _by_column(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    return {
        column: text.split(CODE_SEPARATOR)[0].strip() for column, text in zip(header, cells, strict=False) if column
    }


def _refuse_oversized(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            hold_archive(archive, "register_unpacked_bytes")
    except zipfile.BadZipFile as fault:
        raise WorkbookFault("is no .xlsx workbook; save it again as .xlsx or CSV") from fault
    except TooLarge as fault:
        raise WorkbookFault(str(fault)) from fault
