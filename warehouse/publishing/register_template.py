"""A register as a workbook to be filled in: drop-down lists, checks while typing, and a guide in both languages.

Belongs here: the look of the workbook and its checks. Does not belong here: which registers there are and what they ask
(`assets.programme`), reading a filled-in one back (`assets.programme.workbook`). The same template gives the same bytes.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import xlsxwriter
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

ROWS = 500
"""Rows that are prepared with checks; a longer register is sent as CSV."""
MADE_AT = datetime(2026, 1, 1)
"""Time written into every template: a workbook must have one, and the machine's would change the bytes."""
SEPARATOR = " · "


@dataclass(frozen=True)
class TemplateColumn:
    """One column: its name in the file, what readers call it, what belongs in it, and the codes to choose from."""

    name: str
    label: Mapping[str, str]
    help: Mapping[str, str]
    kind: Literal["code", "number", "text"]
    codes: tuple[tuple[str, str, str], ...] = ()
    """code, English name, Vietnamese name; empty: free."""
    fixed: str | None = None
    """Value that every prepared row carries."""
    most: float | None = None


@dataclass(frozen=True)
class RegisterTemplate:
    """One register to be filled in."""

    code: str
    title: Mapping[str, str]
    guide: Mapping[str, str]
    columns: tuple[TemplateColumn, ...]


_WORDS = {
    "en": {
        "fill": "Fill in from row 5. Choose codes from the lists. Write 0 for none; leave out what was not reported.",
        "no_names": "Numbers only: no names, no document numbers, no addresses.",
        "column": "Column", "meaning": "What belongs there", "codes": "Codes", "free": "free",
        "wrong_code": "Choose one of the list, or leave the cell empty.",
        "wrong_number": "A number of 0 or more, with digits only.",
        "send": "Save as .xlsx and put the file into the programme inbox. Sent again under its name, it replaces what it said.",
    },
    "vi": {
        "fill": "Điền từ dòng 5. Chọn mã trong danh sách. Không có thì ghi 0; không có báo cáo thì bỏ trống dòng.",
        "no_names": "Chỉ ghi số: không ghi tên, số giấy tờ, địa chỉ.",
        "column": "Cột", "meaning": "Nội dung", "codes": "Mã", "free": "tự do",
        "wrong_code": "Chọn một mã trong danh sách hoặc để trống.",
        "wrong_number": "Số từ 0 trở lên, chỉ dùng chữ số.",
        "send": "Lưu dạng .xlsx và đặt tệp vào hộp thư chương trình. Gửi lại cùng tên sẽ thay nội dung trước.",
    },
}  # fmt: skip


def write_register_template(template: RegisterTemplate, language: str) -> bytes:
    """The workbook of one register, labels in `language` (en or vi), guide in both."""
    stream = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(stream, options) as book:
        book.set_properties(
            {"title": template.title[language], "author": "Migrant Health Working Group, Viet Nam", "created": MADE_AT}
        )
        data, guide, lists = book.add_worksheet("Data"), book.add_worksheet("Guide"), book.add_worksheet("Codes")
        ranges = _lists(lists, template, language)
        _data(book, data, template, language, ranges)
        _guide(book, guide, template)
        data.activate()
    return stream.getvalue()


def _lists(sheet: Worksheet, template: RegisterTemplate, language: str) -> dict[str, str]:
    """Each column's codes stand in the sheet of lists; the ranges to refer to, by column name."""
    ranges: dict[str, str] = {}
    for number, column in enumerate(column for column in template.columns if column.codes):
        sheet.write_string(0, number, column.name)
        for row, (code, en, vi) in enumerate(column.codes, start=1):
            name = en if language == "en" else vi
            sheet.write_string(row, number, f"{code}{SEPARATOR}{name}" if name and name != code else code)
        letter = _letters(number)
        ranges[column.name] = f"=Codes!${letter}$2:${letter}${len(column.codes) + 1}"
        sheet.set_column(number, number, 34)
    return ranges


def _letters(number: int) -> str:
    return chr(65 + number) if number < 26 else chr(64 + number // 26) + chr(65 + number % 26)


def _data(
    book: Workbook, sheet: Worksheet, template: RegisterTemplate, language: str, ranges: Mapping[str, str]
) -> None:
    words = _WORDS[language]
    heading = book.add_format({"bold": True, "font_size": 14})
    label = book.add_format(
        {"bold": True, "bg_color": "#14213d", "font_color": "#ffffff", "border": 1, "text_wrap": True}
    )
    name = book.add_format({"italic": True, "font_color": "#5c677d", "bg_color": "#eef1f6", "border": 1})
    sheet.write_string(0, 0, template.title[language], heading)
    sheet.write_string(1, 0, f"{template.guide[language]} {words['fill']} {words['no_names']}")
    last = ROWS + 3
    for place, column in enumerate(template.columns):
        sheet.write_string(2, place, column.label[language], label)
        sheet.write_string(3, place, column.name, name)
        sheet.set_column(place, place, 12 if column.kind == "number" else 26)
        if column.fixed is not None:
            for row in range(4, last + 1):
                sheet.write_string(row, place, column.fixed, name)
        elif column.name in ranges:
            sheet.data_validation(
                4, place, last, place,
                {"validate": "list", "source": ranges[column.name], "error_title": column.label[language][:32],
                 "error_message": words["wrong_code"], "input_title": column.label[language][:32],
                 "input_message": column.help[language][:255]},
            )  # fmt: skip
        elif column.kind == "number":
            limits = {"criteria": ">=", "value": 0} if column.most is None else {
                "criteria": "between", "minimum": 0, "maximum": column.most}  # fmt: skip
            sheet.data_validation(
                4, place, last, place,
                {"validate": "decimal", **limits, "error_title": column.label[language][:32],
                 "error_message": words["wrong_number"], "input_title": column.label[language][:32],
                 "input_message": column.help[language][:255]},
            )  # fmt: skip
    sheet.freeze_panes(4, 0)


def _guide(book: Workbook, sheet: Worksheet, template: RegisterTemplate) -> None:
    strong, wrap = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 2, 60)
    row = 0
    for language in ("en", "vi"):
        words = _WORDS[language]
        sheet.write_string(row, 0, template.title[language], strong)
        for text in (template.guide[language], words["fill"], words["no_names"], words["send"]):
            row += 1
            sheet.write_string(row, 0, text)
        row += 1
        _write(sheet, row, (words["column"], words["meaning"], words["codes"]), strong)
        for column in template.columns:
            row += 1
            _write(sheet, row, (column.label[language], column.help[language], _code_text(column, language)), wrap)
        row += 2


def _write(sheet: Worksheet, row: int, texts: Sequence[str], look: object) -> None:
    for place, text in enumerate(texts):
        sheet.write_string(row, place, text, look)


def _code_text(column: TemplateColumn, language: str) -> str:
    if column.fixed is not None:
        return column.fixed
    if not column.codes:
        return _WORDS[language]["free"] if column.kind == "text" else ""
    shown = [f"{code} = {en if language == 'en' else vi}" for code, en, vi in column.codes[:40]]
    return "; ".join([*shown, "..."] if len(column.codes) > len(shown) else shown)
