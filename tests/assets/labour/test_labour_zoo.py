"""The zoo: every habit of the ministry's files alone, then combined, then broken; beside each what must come out.

A specimen is a small table of Japan, Taiwan and Korea for September 2025. `facts` is what must be loaded; `errors` and `others`
are the faults that must be told, as (code, cell).
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import xlsxwriter
import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import CoveredTableCell, TableCell, TableRow
from odf.table import Table as OdfTable
from odf.text import P

from assets.labour.encodings import to_tcvn3
from assets.labour.read import read_file
from practice.labour.renderings import Grid, Merge, as_csv, as_html, as_workbook, as_xlsx

Facts = dict[tuple[str, str, str, str, str], float]
TITLE = "BÁO CÁO SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI THÁNG 9 NĂM 2025"
MERGES: list[Merge] = [(3, 0, 4, 0), (3, 1, 4, 1), (3, 2, 3, 3), (3, 4, 3, 5)]


def rows(*body: list[Any], title: str | None = TITLE) -> Grid:
    """The ministry form around these rows; data begin in row 6."""
    return [
        ["BỘ NỘI VỤ", None, None, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM"],
        [title],
        ["Hà Nội, ngày 05 tháng 10 năm 2025"],
        ["TT", "Thị trường", "Trong tháng", None, "Lũy kế từ đầu năm", None],
        [None, None, "Tổng số", "Trong đó: nữ", "Tổng số", "Trong đó: nữ"],
        *body,
        [],
        ["Nơi nhận: Lưu VT", None, None, "CỤC TRƯỞNG"],
    ]


JAPAN = [1, "Nhật Bản", 5345, 2100, 49250, 20000]
TAIWAN = [2, "Đài Loan", 5045, 1500, 42951, 13000]
KOREA = [3, "Hàn Quốc", 298, 0, 9221, 700]
TOTAL = [None, "Tổng cộng", 10688, 3600, 101422, 33700]
BODY = (JAPAN, TAIWAN, KOREA, TOTAL)
KEYS = (("month", "_T"), ("month", "F"), ("cumulative", "_T"), ("cumulative", "F"))


def facts(*body: list[Any], period: str = "202509") -> Facts:
    """The facts of rows written as numbers."""
    codes = {"Nhật Bản": "JPN", "Đài Loan": "TWN", "Hàn Quốc": "KOR", "Tổng cộng": "_T", "Các thị trường khác": "_O"}
    return {
        ("deployments", window, period, codes[row[1]], sex): float(value)
        for row in body
        for (window, sex), value in zip(KEYS, row[2:], strict=False)
        if value is not None
    }


BASE = facts(*BODY)


def vietnamese(body: tuple[list[Any], ...], mark: str = ".") -> tuple[list[Any], ...]:
    """The rows with their figures as text, thousands grouped by `mark`."""
    return tuple([*row[:2], *(f"{value:,}".replace(",", mark) for value in row[2:])] for row in body)


def xls(grid: Grid, merges: list[Merge], dress: Callable[[str], str] = str, hidden_row: int | None = None) -> bytes:
    """The grid as BIFF8."""
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("Bieu", cell_overwrite_ok=True)
    for row_number, row in enumerate(grid):
        for column, cell in enumerate(row):
            if cell is not None:
                sheet.write(row_number, column, dress(cell) if isinstance(cell, str) else cell)
    for top, left, bottom, right in merges:
        sheet.merge(top, bottom, left, right)
    if hidden_row is not None:
        sheet.row(hidden_row).hidden = True
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def ods(grid: Grid, merges: list[Merge]) -> bytes:
    """The grid as an OpenDocument spreadsheet."""
    spans = {(top, left): (bottom - top + 1, right - left + 1) for top, left, bottom, right in merges}
    covered = {
        (r, c) for top, left, bottom, right in merges for r in range(top, bottom + 1) for c in range(left, right + 1)
    }
    document = OpenDocumentSpreadsheet()
    table = OdfTable(name="Bieu")
    for row_number, row in enumerate(grid):
        line = TableRow()
        for column, content in enumerate(row):
            place = (row_number, column)
            if place in covered and place not in spans:
                line.addElement(CoveredTableCell())
                continue
            more: dict[str, Any] = {}
            if place in spans:
                more = {"numberrowsspanned": spans[place][0], "numbercolumnsspanned": spans[place][1]}
            if isinstance(content, int | float):
                cell = TableCell(valuetype="float", value=content, **more)
            elif content is None:
                cell = TableCell(**more)
            else:
                cell = TableCell(valuetype="string", **more)
                cell.addElement(P(text=content))
            line.addElement(cell)
        table.addElement(line)
    document.spreadsheet.addElement(table)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def drawn(draw: Callable[[Any, Any, Any], None]) -> bytes:
    """A workbook drawn cell by cell on top of the base form: `draw(sheet, book, formats)`."""
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream, {"in_memory": True})
    sheet = book.add_worksheet("Bieu")
    for row_number, row in enumerate(rows(*BODY)):
        for column, cell in enumerate(row):
            if cell is not None:
                sheet.write(row_number, column, cell)
    for top, left, bottom, right in MERGES:
        sheet.merge_range(top, left, bottom, right, rows()[top][left], None)
    draw(sheet, book, book.add_format({"num_format": "0.0%"}))
    book.close()
    return stream.getvalue()


def with_percent(content: Any, *, as_format: bool = False) -> bytes:
    """The base form with a column of plan achievement; only the total has one."""

    def draw(sheet: Any, book: Any, percent: Any) -> None:
        sheet.merge_range(3, 6, 4, 6, "So với KH (%)")
        sheet.write(8, 6, content, percent if as_format else None)

    return drawn(draw)


def percent_fact(value: float) -> Facts:
    """The base facts with the plan achievement."""
    return BASE | {("plan_achievement_percent", "cumulative", "202509", "_T", "_T"): value}


def without(found: Mapping[tuple[str, str, str, str, str], float], *keys: tuple[str, str, str]) -> Facts:
    """The facts less some (destination, window, sex)."""
    return {fact: value for fact, value in found.items() if (fact[3], fact[1], fact[4]) not in keys}


def quarter() -> bytes:
    grid = rows(*BODY, title="BÁO CÁO SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI QUÝ III NĂM 2025")
    grid[3] = ["TT", "Thị trường", "Trong quý", None, "Lũy kế từ đầu năm", None]
    return as_xlsx(grid, MERGES)


def three_rows() -> bytes:
    grid = rows(*BODY)
    head = ["TT", "Thị trường", "Số lao động", None, None, None]
    grid[3:5] = [head, [None, None, "Trong tháng", None, "Lũy kế từ đầu năm", None], grid[4]]
    merges: list[Merge] = [(3, 0, 5, 0), (3, 1, 5, 1), (3, 2, 3, 5), (4, 2, 4, 3), (4, 4, 4, 5)]
    return as_xlsx(grid, merges)


def with_regions(subtotal: int) -> bytes:
    region = ["I", "Đông Bắc Á", subtotal, 3600, 101422, 33700]
    return as_xlsx(rows(region, JAPAN, TAIWAN, KOREA, TOTAL), MERGES)


def docx() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    return stream.getvalue()


def months_across() -> bytes:
    grid: Grid = [
        ["SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI THEO THÁNG NĂM 2025"],
        ["TT", "Thị trường", "Tháng 1", "Tháng 2"],
        [1, "Nhật Bản", 10, 20],
        [None, "Tổng cộng", 10, 20],
    ]
    return as_csv(grid, "utf-8")


def english() -> bytes:
    grid: Grid = [
        ["Workers deployed abroad, tháng 9/2025"],
        ["No", "Market", "Total", "Of which women"],
        [1, "Japan", "5,345", "2,100"],
        [None, "Total", "5,345", "2,100"],
    ]
    return as_csv(grid, "utf-8", ",")


JAPAN_ONLY: Facts = {
    ("deployments", "month", "202509", place, sex): value
    for place in ("JPN", "_T")
    for sex, value in (("_T", 5345.0), ("F", 2100.0))
}
MEN = [4, "Trung Quốc", "27 lao động nam", None, 243, 9]
EACH = [4, "Trung Quốc, Singapore", "13 lao động nam mỗi nước", None, None, None]
GROUP = [4, "Trung Quốc và Singapore", 54, None, None, None]


def month_of(*cells: tuple[str, str, float]) -> Facts:
    """Month facts beside the base."""
    return BASE | {("deployments", "month", "202509", place, sex): value for place, sex, value in cells}


@dataclass(frozen=True)
class Specimen:
    """One file, the name it comes under, and what must come out of it."""

    code: str
    data: bytes
    facts: Facts = field(default_factory=dict)
    name: str = "bulletin.xlsx"
    encoding: str | None = None
    errors: tuple[tuple[str, str], ...] = ()
    others: tuple[tuple[str, str], ...] = ()


def csv_of(encoding: str, delimiter: str = ";", body: tuple[list[Any], ...] = BODY) -> bytes:
    return as_csv(rows(*vietnamese(body)), encoding, delimiter)


REPLACED_KOREA = [3, "Hàn Quốc", 105.698, 0, 9221, 700]
GOOD = [
    Specimen("xlsx", as_xlsx(rows(*BODY), MERGES), BASE),
    Specimen("xls-biff", xls(rows(*BODY), MERGES), BASE, "bulletin.xls"),
    Specimen("ods", ods(rows(*BODY), MERGES), BASE, "bulletin.ods"),
    Specimen("csv-utf8", csv_of("utf-8"), BASE, "b.csv"),
    Specimen("csv-bom", csv_of("utf-8-sig"), BASE, "b.csv", "utf-8-sig"),
    Specimen("csv-utf16", csv_of("utf-16", "\t"), BASE, "b.txt", "utf-16"),
    Specimen("csv-cp1258", csv_of("cp1258"), BASE, "b.csv", "cp1258"),
    Specimen("csv-tcvn3", csv_of("tcvn3"), BASE, "b.csv", "tcvn3"),
    Specimen("csv-vni", csv_of("vni"), BASE, "b.csv", "vni"),
    Specimen("csv-decomposed", csv_of("nfd"), BASE, "b.csv"),
    Specimen("tsv", csv_of("utf-8", "\t"), BASE, "b.tsv"),
    Specimen("html-as-xls", as_html(rows(*BODY), MERGES, "utf-8"), BASE, "b.xls"),
    Specimen("html-tcvn3", as_html(rows(*BODY), MERGES, "tcvn3"), BASE, "b.xls", "tcvn3"),
    Specimen("xlsx-tcvn3-font", as_xlsx(rows(*BODY), MERGES, "tcvn3"), BASE, encoding="tcvn3"),
    Specimen("xlsx-vni-font", as_xlsx(rows(*BODY), MERGES, "vni"), BASE, encoding="vni"),
    Specimen("xls-tcvn3-font", xls(rows(*BODY), MERGES, to_tcvn3), BASE, "b.xls", "tcvn3"),
    Specimen("text-numbers-dots", as_xlsx(rows(*vietnamese(BODY)), MERGES), BASE),
    Specimen("text-numbers-commas", as_xlsx(rows(*vietnamese(BODY, ",")), MERGES), BASE),
    Specimen("text-numbers-nbsp", as_xlsx(rows(*vietnamese(BODY, "\u00a0")), MERGES), BASE),
    Specimen(
        "text-numbers-apostrophe",
        as_xlsx(rows(*([*row[:2], *(f"'{value}" for value in row[2:])] for row in vietnamese(BODY))), MERGES),
        BASE,
    ),
    Specimen(
        "unit-in-cell", as_xlsx(rows([1, "Nhật Bản", "5.345 lao động", 2100, 49250, 20000], *BODY[1:]), MERGES), BASE
    ),
    Specimen(
        "mixed-separators",
        as_xlsx(
            rows([1, "Nhật Bản", 5345, 2100, "49.250", 20000], [2, "Đài Loan", 5045, 1500, "42,951", 13000], *BODY[2:]),
            MERGES,
        ),
        BASE,
        others=(("mixed_separators", "E4"),),
    ),
    Specimen("dash-is-zero", as_xlsx(rows(JAPAN, TAIWAN, [3, "Hàn Quốc", 298, "-", 9221, 700], TOTAL), MERGES), BASE),
    Specimen(
        "blank-and-ellipsis-are-absent",
        as_xlsx(rows(JAPAN, TAIWAN, [3, "Hàn Quốc", 298, "…", 9221, None], TOTAL), MERGES),
        without(BASE, ("KOR", "month", "F"), ("KOR", "cumulative", "F")),
    ),
    Specimen(
        "men-only",
        as_xlsx(rows(*BODY[:3], MEN, TOTAL), MERGES),
        month_of(("CHN", "_T", 27), ("CHN", "F", 0))
        | {
            ("deployments", "cumulative", "202509", "CHN", "_T"): 243.0,
            ("deployments", "cumulative", "202509", "CHN", "F"): 9.0,
        },
    ),
    Specimen(
        "each-country",
        as_xlsx(rows(*BODY[:3], EACH, TOTAL), MERGES),
        month_of(("CHN", "_T", 13), ("CHN", "F", 0), ("SGP", "_T", 13), ("SGP", "F", 0)),
    ),
    Specimen(
        "one-number-for-two-countries",
        as_xlsx(rows(*BODY[:3], GROUP, TOTAL), MERGES),
        month_of(("CHN+SGP", "_T", 54)),
        others=(("group", "C9"),),
    ),
    Specimen("header-of-three-rows", three_rows(), BASE),
    Specimen("numbering-row", as_xlsx(rows(["A", "B", "(1)", "(2)", "(3)", "(4)"], *BODY), MERGES), BASE),
    Specimen("regions", with_regions(10688), BASE),
    Specimen("total-first", as_xlsx(rows(TOTAL, JAPAN, TAIWAN, KOREA), MERGES), BASE),
    Specimen(
        "other-markets",
        as_xlsx(rows(*BODY[:3], [4, "Các thị trường khác", 7, 1, 70, 10], TOTAL), MERGES),
        BASE | facts([4, "Các thị trường khác", 7, 1, 70, 10]),
    ),
    Specimen(
        "hidden-row",
        as_xlsx(rows([9, "Thái Lan", 1, 1, 1, 1], *BODY), MERGES, hidden_rows=[5]),
        BASE,
        others=(("hidden_row", "B6"),),
    ),
    Specimen(
        "hidden-row-biff",
        xls(rows([9, "Thái Lan", 1, 1, 1, 1], *BODY), MERGES, hidden_row=5),
        BASE,
        "b.xls",
        others=(("hidden_row", "B6"),),
    ),
    Specimen(
        "hidden-column",
        as_xlsx(rows(*BODY), MERGES, hidden_columns=[3]),
        {fact: value for fact, value in BASE.items() if (fact[1], fact[4]) != ("month", "F")},
    ),
    Specimen(
        "hidden-sheet",
        as_workbook([("T9", rows(*BODY), MERGES), ("cu", rows(JAPAN), MERGES)], hidden_sheets=["cu"]),
        BASE,
        others=(("hidden_sheet", ""),),
    ),
    Specimen(
        "a-sheet-per-month",
        as_workbook(
            [
                ("T8", rows(*BODY, title="BÁO CÁO SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI THÁNG 8 NĂM 2025"), MERGES),
                ("T9", rows(*BODY), MERGES),
            ]
        ),
        BASE | facts(*BODY, period="202508"),
    ),
    Specimen(
        "month-in-sheet-name",
        as_xlsx(rows(*BODY, title="SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI NĂM 2025"), MERGES, sheet_name="Tháng 9"),
        BASE,
    ),
    Specimen(
        "cover-sheet",
        as_workbook([("Bia", [["Báo cáo"], ["Bộ Nội vụ"]], []), ("T9", rows(*BODY), MERGES)]),
        BASE,
        others=(("no_layout", ""),),
    ),
    Specimen("cached-formula", drawn(lambda sheet, *_: sheet.write_formula(8, 2, "=SUM(C6:C8)", None, 10688)), BASE),
    Specimen("percent-as-fraction", with_percent(0.932, as_format=True), percent_fact(93.2)),
    Specimen("percent-as-bare-fraction", with_percent(0.932), percent_fact(93.2)),
    Specimen("percent-as-number", with_percent(93.2), percent_fact(93.2)),
    Specimen("percent-as-text", with_percent("93,2 %"), percent_fact(93.2)),
    Specimen(
        "title-with-slash",
        as_xlsx(rows(*BODY, title="SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI tháng 9/2025"), MERGES),
        BASE,
    ),
    Specimen(
        "two-digit-year", as_xlsx(rows(*BODY, title="SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI tháng 9/25"), MERGES), BASE
    ),
    Specimen(
        "first-months",
        as_xlsx(rows(*BODY, title="SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI 9 THÁNG ĐẦU NĂM 2025"), MERGES),
        BASE,
    ),
    Specimen(
        "quarter",
        quarter(),
        {
            (
                series,
                "quarter" if window == "month" else window,
                "2025Q3" if window == "month" else period,
                place,
                sex,
            ): value
            for (series, window, period, place, sex), value in BASE.items()
        },
    ),
    Specimen(
        "months-across",
        months_across(),
        {
            ("deployments", "month", f"20250{month}", place, "_T"): 10.0 * month
            for month in (1, 2)
            for place in ("JPN", "_T")
        },
        "b.csv",
        others=(("no_date", ""),),
    ),
    Specimen("english-table", english(), JAPAN_ONLY, "b.csv", others=(("no_date", ""),)),
    Specimen("new-tone-marks", as_csv(rows(*vietnamese((JAPAN, TAIWAN, KOREA, TOTAL))).copy(), "utf-8"), BASE, "b.csv"),
    Specimen(
        "plan-as-a-range",
        as_xlsx([*rows(*BODY), ["Kế hoạch năm 2025: 110.000 - 130.000 lao động"]], MERGES),
        BASE | {("plan", "year", "2025", "_T", "_T"): 130_000.0, ("plan_lower", "year", "2025", "_T", "_T"): 110_000.0},
    ),
    Specimen(
        "all-together",
        xls(
            rows(
                ["I", "Đông Bắc Á", "10.688", "3.600", "101.422", "33.700"],
                [1, "NHẬT BẢN", "5.345", "2.100", "49.250", "20.000"],
                [2, "Đài Loan (Trung Quốc)", "5.045", "1.500", "42,951", "13.000"],
                [3, "hàn quốc", "298", "-", "9.221", "700"],
                [4, "Thái Lan", "1", "1", "1", "1"],
                [None, "Tổng cộng", "10.688", "3.600", "101.422", "33.700"],
            ),
            MERGES,
            to_tcvn3,
            hidden_row=9,
        ),
        BASE,
        "b.xls",
        "tcvn3",
        others=(("mixed_separators", "E4"), ("hidden_row", "B10")),
    ),
]
BAD = [
    Specimen(
        "unknown-label",
        as_xlsx(rows(*BODY[:3], [4, "Nhật Bổn", 1, 1, 1, 1], TOTAL), MERGES),
        BASE,
        errors=(("unknown_label", "B9"),),
    ),
    Specimen(
        "number-with-a-fraction",
        as_xlsx(rows(JAPAN, TAIWAN, REPLACED_KOREA, TOTAL), MERGES),
        without(BASE, ("KOR", "month", "_T")),
        errors=(("bad_number", "C8"),),
    ),
    Specimen(
        "words-for-a-number",
        as_xlsx(rows(JAPAN, TAIWAN, [3, "Hàn Quốc", "298x", 0, 9221, 700], TOTAL), MERGES),
        without(BASE, ("KOR", "month", "_T")),
        errors=(("bad_number", "C8"),),
    ),
    Specimen(
        "two-separators",
        as_xlsx(rows(JAPAN, TAIWAN, [3, "Hàn Quốc", "3.359,80", 0, 9221, 700], TOTAL), MERGES),
        without(BASE, ("KOR", "month", "_T")),
        errors=(("bad_number", "C8"),),
    ),
    Specimen(
        "negative",
        as_xlsx(rows(JAPAN, TAIWAN, [3, "Hàn Quốc", -397, 0, 9221, 700], TOTAL), MERGES),
        without(BASE, ("KOR", "month", "_T")),
        errors=(("negative", "C8"),),
    ),
    Specimen(
        "repeated-destination",
        as_xlsx(rows(JAPAN, TAIWAN, KOREA, [4, "Hàn Quốc", 299, 0, 9221, 700], TOTAL), MERGES),
        without(BASE, ("KOR", "month", "_T")),
        errors=(("repeated", "C8, C9"),),
    ),
    Specimen(
        "row-without-label",
        as_xlsx(rows(*BODY[:3], [None, None, 5, 5, 5, 5], TOTAL), MERGES),
        BASE,
        errors=(("no_label", "B9"),),
    ),
    Specimen(
        "no-period",
        as_xlsx(rows(*BODY, title="SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI"), MERGES),
        errors=(("no_period", "A1"),),
    ),
    Specimen("no-layout", as_xlsx([["a", "b"], [1, 2]], []), errors=(("no_layout", ""),)),
    Specimen(
        "sheet-name-against-title",
        as_xlsx(rows(*BODY), MERGES, sheet_name="Tháng 8"),
        errors=(("period_conflict", ""),),
    ),
    Specimen(
        "header-against-title",
        as_xlsx(
            [["Lũy kế 8 tháng" if cell == "Lũy kế từ đầu năm" else cell for cell in row] for row in rows(*BODY)], MERGES
        ),
        {fact: value for fact, value in BASE.items() if fact[1] == "month"},
        errors=(("period_conflict", "E4"), ("period_conflict", "F4")),
    ),
    Specimen("wrong-subtotal", with_regions(10_689), BASE, others=(("subtotal", "C6"),)),
    Specimen(
        "error-cell",
        drawn(lambda sheet, *_: sheet.write_formula(7, 2, "=NA()", None, "#N/A")),
        without(BASE, ("KOR", "month", "_T")),
        errors=(("bad_number", "C8"),),
    ),
    Specimen("ambiguous-percent", with_percent("1.234"), BASE, errors=(("bad_number", "G9"),)),
    Specimen(
        "sheets-that-differ",
        as_workbook(
            [("T9", rows(*BODY), MERGES), ("T9 sua", rows([1, "Nhật Bản", 5346, 2100, 49250, 20000], *BODY[1:]), MERGES)]
        ),
        without(BASE, ("JPN", "month", "_T")),
        errors=(("sheets_differ", "T9!C6, T9 sua!C6"),),
    ),
    Specimen(
        "unknown-column",
        as_xlsx(
            [[*row, "Ghi chú"] if number == 3 else row for number, row in enumerate(rows(*BODY))], MERGES
        ),
        BASE,
        others=(("unknown_column", "G4"),),
    ),
    Specimen("pdf", b"%PDF-1.7 scan", name="scan.xlsx", errors=(("unreadable", ""),)),
    Specimen("empty", b"", errors=(("unreadable", ""),)),
    Specimen("cut-off", as_xlsx(rows(*BODY), MERGES)[:900], errors=(("unreadable", ""),)),
    Specimen("word-document", docx(), errors=(("unreadable", ""),)),
    Specimen("binary", bytes(range(256)) * 8, errors=(("unreadable", ""),)),
    Specimen(
        "undecidable-bytes", "M\xe9nage;\xe0\n1;2\n".encode("latin-1"), name="b.csv", errors=(("encoding", ""),)
    ),
    Specimen(
        "many-faults-at-once",
        as_xlsx(
            rows(
                [1, "Nhật Bổn", 5345, 2100, 49250, 20000],
                [2, "Đài Loan", "năm nghìn", 1500, 42951, 13000],
                [3, "Hàn Quốc", 298, -1, 9221, 0.7],
                TOTAL,
            ),
            MERGES,
        ),
        without(
            BASE, *(("JPN", window, sex) for window, sex in KEYS), ("TWN", "month", "_T"), ("KOR", "month", "F"),
            ("KOR", "cumulative", "F"),
        ),
        errors=(("unknown_label", "B6"), ("bad_number", "C7"), ("negative", "D8"), ("bad_number", "F8")),
    ),
]  # fmt: skip
ZOO = [*GOOD, *BAD]


def test_the_zoo_has_forty_animals_with_different_names() -> None:
    assert len(ZOO) >= 40
    assert len({specimen.code for specimen in ZOO}) == len(ZOO)


@pytest.mark.parametrize("specimen", ZOO, ids=lambda specimen: specimen.code)
def test_specimen(specimen: Specimen) -> None:
    result = read_file(specimen.data, specimen.name)

    told = [(fault.code, fault.cell) for fault in result.faults if fault.severity == "error"]
    assert sorted(told) == sorted(specimen.errors), [fault.message for fault in result.faults]
    others = [(fault.code, fault.cell) for fault in result.faults if fault.severity != "error"]
    assert sorted(others) == sorted(specimen.others), [fault.message for fault in result.faults]
    assert result.facts() == specimen.facts
    if specimen.encoding:
        assert result.encoding == specimen.encoding


@pytest.mark.parametrize("specimen", BAD, ids=lambda specimen: specimen.code)
def test_each_message_says_where_what_and_what_to_do(specimen: Specimen) -> None:
    for fault in read_file(specimen.data, specimen.name).faults:
        assert fault.message.startswith(specimen.name)
        assert "found " in fault.message
        assert "expected " in fault.message
        assert len(fault.advice) > 10


def test_nearest_candidates_are_named() -> None:
    specimen = next(specimen for specimen in BAD if specimen.code == "unknown-label")
    (fault,) = [fault for fault in read_file(specimen.data, specimen.name).faults if fault.severity == "error"]
    assert "Nhật Bản" in fault.advice


def test_a_swallowed_thousands_mark_is_offered_as_candidate() -> None:
    specimen = next(specimen for specimen in BAD if specimen.code == "number-with-a-fraction")
    (fault,) = [fault for fault in read_file(specimen.data, specimen.name).faults if fault.severity == "error"]
    assert "105698" in fault.advice


def test_what_is_rejected_is_counted_and_says_why() -> None:
    specimen = next(specimen for specimen in BAD if specimen.code == "many-faults-at-once")
    result = read_file(specimen.data, specimen.name)
    assert len(result.sound) + len(result.rejected) == 16
    assert all(figure.rejections for figure in result.rejected)
