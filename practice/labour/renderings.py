"""One bulletin in many dresses: layout x encoding x number style, as text, HTML or workbook.

Belongs here: writing what the readers must undo. Does not belong here: the department's own form (`bulletins`), formats
that only tests can write (`.xls`, `.ods`).
"""

import csv
import html
import io
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import xlsxwriter

from assets.labour.encodings import to_cp1258, to_tcvn3, to_vni
from practice.labour.bulletins import CREATED

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1258", "tcvn3", "vni", "nfd")
NUMBER_STYLES = ("vietnamese", "english", "space", "apostrophe", "plain")
LAYOUTS = ("ministry-month-cumulative", "period-total", "months-across")

Grid = list[list[str | float | None]]
Merge = tuple[int, int, int, int]


@dataclass(frozen=True)
class Table:
    """What a bulletin says: year, month, and persons by (destination code, window, sex); labels by code."""

    year: int
    month: int
    cells: Mapping[tuple[str, str, str], int]
    labels: Mapping[str, str]
    months: Mapping[tuple[str, int], int] | None = None

    @property
    def destinations(self) -> list[str]:
        """Codes of the rows, the total last."""
        codes = dict.fromkeys(code for code, *_ in (self.months or self.cells))
        return [code for code in codes if code != "_T"] + ["_T"]


def facts_of(table: Table, layout: str) -> dict[tuple[str, str, str, str, str], float]:
    """What a reader must bring back from a rendering of this table in this layout."""
    if layout == "months-across":
        return {
            ("deployments", "month", f"{table.year}{month:02}", code, "_T"): float(value)
            for (code, month), value in (table.months or {}).items()
        }
    found = {}
    for (code, window, sex), value in table.cells.items():
        if layout == "period-total" and window == "month":
            continue
        period = f"{table.year}{table.month:02}"
        if window == "cumulative" and table.month == 12:
            window, period = "year", str(table.year)
        found["deployments", window, period, code, sex] = float(value)
    return found


def printed(value: int, style: str) -> str | float:
    """A count in one style; "plain" is a number, the others are text."""
    if style == "plain":
        return value
    mark = {"vietnamese": ".", "english": ",", "space": "\u00a0", "apostrophe": "."}[style]
    text = f"{value:,}".replace(",", mark)
    return f"'{text}" if style == "apostrophe" else text


def grid_of(table: Table, layout: str, style: str) -> tuple[Grid, list[Merge]]:
    """The rendering as rows of cells and the merged areas (first row, first column, last row, last column; from 0)."""
    title = {
        "ministry-month-cumulative": f"BÁO CÁO SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI THÁNG {table.month} NĂM {table.year}",
        "period-total": f"SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI {table.month} THÁNG ĐẦU NĂM {table.year}",
        "months-across": f"SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI THEO THÁNG NĂM {table.year}",
    }[layout]
    grid: Grid = [["BỘ NỘI VỤ", None, None, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM"], [title], []]
    merges: list[Merge] = []
    top = len(grid)
    if layout == "ministry-month-cumulative":
        grid.append(["TT", "Thị trường", "Trong tháng", None, "Lũy kế từ đầu năm", None])
        grid.append([None, None, "Tổng số", "Trong đó: nữ", "Tổng số", "Trong đó: nữ"])
        merges = [(top, 0, top + 1, 0), (top, 1, top + 1, 1), (top, 2, top, 3), (top, 4, top, 5)]
        keys: Sequence[tuple[str, str]] = (("month", "_T"), ("month", "F"), ("cumulative", "_T"), ("cumulative", "F"))
    elif layout == "period-total":
        grid.append(["TT", "Thị trường", "Tổng số", "Trong đó: nữ"])
        keys = (("cumulative", "_T"), ("cumulative", "F"))
    else:
        numbers = sorted({month for _, month in table.months or {}})
        grid.append(["TT", "Thị trường", *(f"Tháng {month}" for month in numbers)])
        keys = ()
    for number, code in enumerate(table.destinations, 1):
        if layout == "months-across":
            values = [(table.months or {}).get((code, month)) for month in numbers]
        else:
            values = [table.cells.get((code, *key)) for key in keys]
        label = table.labels[code]
        grid.append(
            [None if code == "_T" else number, label, *(None if v is None else printed(v, style) for v in values)]
        )
    grid += [[], ["Nơi nhận: Lưu VT", None, None, "CỤC TRƯỞNG"]]
    return grid, merges


def encoded(text: str, encoding: str) -> bytes:
    """`text` in one of the encodings seen."""
    match encoding:
        case "cp1258":
            return to_cp1258(text)
        case "tcvn3":
            return to_tcvn3(text).encode("latin-1")
        case "vni":
            return to_vni(text).encode("cp1252")
        case "nfd":
            return unicodedata.normalize("NFD", text).encode()
        case _:
            return text.encode(encoding)


def as_csv(grid: Grid, encoding: str, delimiter: str = ";") -> bytes:
    """The grid as delimited text."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\r\n")
    width = max(len(row) for row in grid)
    for row in grid:
        writer.writerow(["" if cell is None else cell for cell in row] + [""] * (width - len(row)))
    return encoded(stream.getvalue(), encoding)


def as_html(grid: Grid, merges: list[Merge], encoding: str) -> bytes:
    """The grid as the HTML that office software saves under `.xls`."""
    spans = {(top, left): (bottom - top + 1, right - left + 1) for top, left, bottom, right in merges}
    covered = {
        (row, column)
        for top, left, bottom, right in merges
        for row in range(top, bottom + 1)
        for column in range(left, right + 1)
    } - set(spans)
    lines = ["<html><body><table>"]
    for row_number, row in enumerate(grid):
        lines.append("<tr>")
        for column, cell in enumerate(row):
            if (row_number, column) in covered:
                continue
            rows, columns = spans.get((row_number, column), (1, 1))
            text = "" if cell is None else html.escape(str(cell))
            lines.append(f'<td rowspan="{rows}" colspan="{columns}">{text}</td>')
        lines.append("</tr>")
    lines.append("</table></body></html>")
    return encoded("\n".join(lines), encoding)


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


_DRESSES: Mapping[str, Callable[[str], str]] = {"tcvn3": to_tcvn3, "vni": to_vni, "nfd": _decomposed}


def as_xlsx(
    grid: Grid,
    merges: list[Merge],
    encoding: str = "utf-8",
    *,
    hidden_rows: Sequence[int] = (),
    hidden_columns: Sequence[int] = (),
    sheet_name: str = "Bieu",
) -> bytes:
    """The grid as a workbook; with `tcvn3` or `vni` its texts are those of the font encodings."""
    return as_workbook([(sheet_name, grid, merges)], encoding, hidden_rows=hidden_rows, hidden_columns=hidden_columns)


def as_workbook(
    sheets: Sequence[tuple[str, Grid, list[Merge]]],
    encoding: str = "utf-8",
    *,
    hidden_rows: Sequence[int] = (),
    hidden_columns: Sequence[int] = (),
    hidden_sheets: Sequence[str] = (),
) -> bytes:
    """Several grids as the sheets of one workbook."""
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream, {"in_memory": True})
    book.set_properties({"created": CREATED})
    dress = _DRESSES.get(encoding, str)
    plain = book.add_format()
    for name, grid, merges in sheets:
        sheet = book.add_worksheet(name)
        for row_number, row in enumerate(grid):
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(row_number, column, dress(cell))
                elif cell is not None:
                    sheet.write_number(row_number, column, cell)
        for top, left, bottom, right in merges:
            cell = grid[top][left]
            sheet.merge_range(top, left, bottom, right, dress(str(cell)), plain)
        for row_number in hidden_rows:
            sheet.set_row(row_number, None, None, {"hidden": True})
        for column in hidden_columns:
            sheet.set_column(column, column, None, None, {"hidden": True})
        if name in hidden_sheets:
            sheet.hide()
    book.close()
    return stream.getvalue()
