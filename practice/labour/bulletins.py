"""Bulletins in the department's own form, written from cited figures.

Belongs here: the printed form (title block, merged two-row header, rows, signature block), as a grid and as `.xlsx` with
the same bytes every time. Does not belong here: the figures (`assets.labour.citations`), other file formats (tests).

The figures are real and cited in each file. The workbook around them is the practice ground's: the sources are press
reports, and no original workbook was at hand.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Any

import xlsxwriter

from assets.labour.citations import CitedDocument, CitedFigure

CREATED = datetime(2020, 1, 1)
"""Creation date written into every workbook: a real clock would change the bytes, and with them the receipt."""

LABELS = {
    "JPN": "Nhật Bản", "TWN": "Đài Loan (Trung Quốc)", "KOR": "Hàn Quốc", "CHN": "Trung Quốc", "HKG": "Hồng Kông",
    "MAC": "Macao (Trung Quốc)", "SGP": "Singapore", "MYS": "Malaysia", "THA": "Thái Lan", "PHL": "Philippines",
    "HUN": "Hungary", "ROU": "Rumani", "POL": "Ba Lan", "RUS": "Liên bang Nga", "GRC": "Hy Lạp",
    "SAU": "Ả rập Xê út", "_O": "Các thị trường khác (tính toán)",
}  # fmt: skip
MINISTRIES = {"molisa": "BỘ LAO ĐỘNG - THƯƠNG BINH VÀ XÃ HỘI", "moha": "BỘ NỘI VỤ"}
FIGURE_KEYS = (("month", "_T"), ("month", "F"), ("cumulative", "_T"), ("cumulative", "F"))


@dataclass(frozen=True)
class BulletinRow:
    """One printed row: its label and its cells by (window, sex) or by series; text or number, absent is blank."""

    label: str
    cells: Mapping[tuple[str, str], str | float]


@dataclass(frozen=True)
class BulletinForm:
    """One bulletin as printed: heading, rows, total, lines below the table."""

    title: str
    ministry: str
    place_line: str
    rows: tuple[BulletinRow, ...]
    total: BulletinRow
    lines: tuple[str, ...] = ()
    month_header: str = "Trong tháng"
    cumulative_header: str = "Lũy kế từ đầu năm"
    extra: Mapping[str, Any] = field(default_factory=dict)


def title_of(year: int, month: int, window: str) -> str:
    """The title line: a month, the first months of a year, or the year."""
    subject = "BÁO CÁO SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI"
    if window == "year":
        return f"{subject} NĂM {year}"
    if window == "cumulative":
        return f"{subject} {month} THÁNG ĐẦU NĂM {year}"
    return f"{subject} THÁNG {month} NĂM {year}"


def _printed(figure: CitedFigure) -> str | float:
    """The cell as the source printed it: "over 59 600" keeps its word, exact figures are numbers."""
    number = f"{figure.value:,.0f}".replace(",", ".")
    if figure.precision_code == "at_least":
        return f"trên {number}"
    if figure.precision_code == "rounded" and figure.series_code == "deployments":
        return f"khoảng {number}"
    return figure.value


def form_of(document: CitedDocument) -> BulletinForm:
    """The bulletin that holds the figures of one cited document, and nothing else: what the source does not say is "…"."""
    cells: dict[str, dict[tuple[str, str], str | float]] = {}
    lines: list[str] = []
    plan: dict[str, float] = {}
    periods: dict[str, CitedFigure] = {}
    for figure in document.figures:
        window = "cumulative" if figure.window_code == "year" else figure.window_code
        if figure.series_code in ("plan", "plan_lower"):
            plan[figure.series_code] = figure.value
        elif figure.window_code == "plan_period":
            periods[figure.series_code] = figure
        elif figure.series_code == "plan_achievement_percent":
            digits = max(0, len(f"{figure.resolution:g}".partition(".")[2]))
            text = f"{figure.value:.{digits}f}".replace(".", ",")
            cells.setdefault("_T", {})["plan", "_T"] = f"{text} %"
        elif figure.printed.endswith("male each"):
            men = f"{figure.value:.0f} lao động nam" if figure.sex_code == "_T" else ""
            cells.setdefault(figure.destination_code, {})[window, figure.sex_code] = men
        else:
            cells.setdefault(figure.destination_code, {})[window, figure.sex_code] = _printed(figure)
    year = int(document.period_code[:4])
    month = int(document.period_code[4:] or 12)
    if plan:
        bounds = [plan[series] for series in ("plan_lower", "plan") if series in plan]
        lines.append(
            f"Kế hoạch năm {year}: " + " - ".join(f"{bound:,.0f}".replace(",", ".") for bound in bounds) + " lao động"
        )
    if "deployments" in periods:
        figure = periods["deployments"]
        first, last = figure.period_code.split("_")
        share = f"{periods['plan_achievement_percent'].value:g}".replace(".", ",")
        lines.append(f"Giai đoạn {first} - {last}: {figure.value:,.0f} lao động ({share} % kế hoạch)".replace(",", "."))
        lines[-1] = lines[-1].replace(share.replace(",", "."), share)
    lines.append(f"Nguồn: {document.source}")
    rows = tuple(BulletinRow(LABELS[code], _filled(found)) for code, found in cells.items() if code != "_T")
    windows = {figure.window_code for figure in document.figures if figure.series_code == "deployments"}
    main = "year" if "year" in windows else "month" if "month" in windows else "cumulative"
    signed = document.published_on
    place = f"Hà Nội, ngày {signed.day:02} tháng {signed.month:02} năm {signed.year}"
    if document.published_on_basis_code != "stated":
        place = f"Hà Nội, ngày … tháng {signed.month:02} năm {signed.year}"
    return BulletinForm(
        title=title_of(year, month, main),
        ministry=MINISTRIES[document.agency_code],
        place_line=place,
        rows=rows,
        total=BulletinRow("Tổng cộng", _filled(cells.get("_T", {}))),
        lines=tuple(lines),
    )


def _filled(cells: Mapping[tuple[str, str], str | float]) -> dict[tuple[str, str], str | float]:
    """The cells of a row with "…" where the source gives no figure: not available is not zero and not blank."""
    return {key: cells.get(key, "…") for key in FIGURE_KEYS} | dict(cells)


def write_xlsx(form: BulletinForm) -> bytes:
    """The bulletin as a workbook: merged headers, thousands shown with dots, totals bold, signature block; equal input, equal bytes."""
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream, {"in_memory": True})
    book.set_properties({"title": form.title, "created": CREATED, "author": "", "comments": ""})
    sheet = book.add_worksheet("Bao cao")
    centre = book.add_format({"align": "center", "bold": True})
    head = book.add_format({"align": "center", "valign": "vcenter", "bold": True, "border": 1, "text_wrap": True})
    plain = book.add_format({"border": 1})
    count = book.add_format({"border": 1, "num_format": "#,##0", "align": "right"})
    bold = book.add_format({"border": 1, "bold": True, "num_format": "#,##0", "align": "right"})
    italic = book.add_format({"italic": True})
    sheet.set_column(0, 0, 5)
    sheet.set_column(1, 1, 32)
    sheet.set_column(2, 7, 14)
    sheet.merge_range("A1:C1", form.ministry, centre)
    sheet.merge_range("E1:H1", "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", centre)
    sheet.merge_range("A2:C2", "CỤC QUẢN LÝ LAO ĐỘNG NGOÀI NƯỚC", centre)
    sheet.merge_range("E2:H2", "Độc lập - Tự do - Hạnh phúc", centre)
    sheet.merge_range("E3:H3", form.place_line, italic)
    sheet.merge_range("A5:H5", form.title, centre)
    sheet.write("H6", "Đơn vị: người", italic)
    sheet.merge_range("A7:A8", "TT", head)
    sheet.merge_range("B7:B8", "Thị trường", head)
    sheet.merge_range("C7:D7", form.month_header, head)
    sheet.merge_range("E7:F7", form.cumulative_header, head)
    for column, text in enumerate(("Tổng số", "Trong đó: nữ", "Tổng số", "Trong đó: nữ"), 2):
        sheet.write(7, column, text, head)
    sheet.merge_range("G7:G8", "So với KH (%)", head)
    sheet.merge_range("H7:H8", "So với cùng kỳ (%)", head)
    row = 8
    keys = (*FIGURE_KEYS, ("plan", "_T"), ("same_period", "_T"))
    for number, entry in enumerate(form.rows, 1):
        sheet.write(row, 0, number, plain)
        sheet.write(row, 1, entry.label, plain)
        for column, key in enumerate(keys, 2):
            sheet.write(row, column, entry.cells.get(key, ""), count)
        row += 1
    sheet.write(row, 0, "", bold)
    sheet.write(row, 1, form.total.label, bold)
    for column, key in enumerate(keys, 2):
        sheet.write(row, column, form.total.cells.get(key, ""), bold)
    row += 2
    for line in form.lines:
        sheet.write(row, 0, line, italic)
        row += 1
    row += 1
    sheet.write(row, 0, "Nơi nhận: Lãnh đạo Bộ; Lưu: VT", italic)
    sheet.merge_range(row, 5, row, 7, "CỤC TRƯỞNG", centre)
    book.close()
    return stream.getvalue()


def file_name(document: CitedDocument) -> str:
    """The name under which the document lies in the inbox."""
    extension = "xlsx" if document.form_code == "workbook" else "toml"
    return f"lao-dong-ngoai-nuoc_{document.document_code}.{extension}"


def write_toml(document: CitedDocument) -> bytes:
    """The figures of a press report in the typed form that an analyst would fill in, with its citation."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = [
        f"title = {quoted(document.title)}",
        f"source = {quoted(document.source)}",
        f"agency = {quoted(document.agency_code)}",
        'kind = "press"',
    ]
    if document.published_on_basis_code == "stated":
        lines.append(f"published_on = {document.published_on.isoformat()}")
    if document.note:
        lines.append(f"note = {quoted(document.note)}")
    for figure in document.figures:
        lines += [
            "",
            "[[figure]]",
            f"series = {quoted(figure.series_code)}",
            f"window = {quoted(figure.window_code)}",
            f"period = {quoted(figure.period_code)}",
            f"destination = {quoted(figure.destination_code)}",
            f"sex = {quoted(figure.sex_code)}",
            f"value = {figure.value:g}" if figure.value != int(figure.value) else f"value = {figure.value:.0f}",
            f"precision = {quoted(figure.precision_code)}",
            f"resolution = {figure.resolution:g}",
            f"confidence = {quoted(figure.confidence_code)}",
        ]
        if figure.printed:
            lines.append(f"printed = {quoted(figure.printed)}")
    return ("\n".join(lines) + "\n").encode()


@cache
def document_bytes(document: CitedDocument) -> bytes:
    """The file of one cited document."""
    return write_xlsx(form_of(document)) if document.form_code == "workbook" else write_toml(document)


def available_on(document: CitedDocument, on: date) -> bool:
    """True when the document had been published by that day."""
    return document.published_on <= on
