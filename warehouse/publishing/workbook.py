"""The Excel workbook of a release: contents, notes, symbol key, a sheet per regional table and language, sources, data.

Belongs here: the look of the sheets. Does not belong here: choosing or rounding figures (`tables`, `display`). Values are
real numbers with a number format, unrounded; interval bounds are rounded outward as printed. Text never becomes a formula
or a link, whatever it begins with.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from warehouse.catalogue.regional_catalogue import RegionalTable
from warehouse.publishing import cards, wording
from warehouse.publishing.content import ReleaseContent, flags_of
from warehouse.publishing.display import rounded
from warehouse.publishing.flat_files import flattened
from warehouse.publishing.frame_sheet import FrameSheet

LANGUAGES = ("en", "vi")
SHEET_ROWS = 1_048_576
"""Rows that a sheet can hold."""

_INK = "#14213d"
_RULE = "#8d99ae"
_SHADE = "#eef1f6"
_WARN = "#7a2e0e"
_WARN_SHADE = "#fdf0e6"


def write_workbook(content: ReleaseContent, path: Path) -> None:
    """The workbook is written at `path`; the same content gives the same bytes, whenever and wherever it is written."""
    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": False,
        "default_date_format": "yyyy-mm-dd",
    }
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties(
            {
                "title": "Migrant-health indicators of the ASEAN region",
                "subject": f"Release {content.release_id}",
                "author": "Migrant Health Working Group, Viet Nam",
                "comments": wording.text("practice_banner", "en") if content.has_practice_data else "",
                "created": content.recorded_at,
            }
        )
        looks = _Looks(book)
        contents = book.add_worksheet("Contents")
        notes = book.add_worksheet("Notes")
        places: list[tuple[str, RegionalTable, str]] = []
        for table in content.catalogue.regional.tables:
            for language in LANGUAGES:
                name = f"{table.code} {language}"
                _table_sheet(book.add_worksheet(name), content, table, language, looks)
                places.append((name, table, language))
        _source_sheet(book.add_worksheet("Sources", FrameSheet), content, looks)
        _indicator_sheet(book.add_worksheet("Indicators", FrameSheet), content, looks)
        _frame_sheet(
            book.add_worksheet("Sampling errors", FrameSheet),
            flattened(content.context.sampling_errors),
            looks,
            widths={"title": 60},
        )
        _frame_sheet(
            book.add_worksheet("Claims", FrameSheet),
            flattened(content.context.claims),
            looks,
            widths={"statement_en": 60, "statement_vi": 60, "citation": 30, "reason_en": 40, "reason_vi": 40},
        )
        _data_sheet(book.add_worksheet("Data", FrameSheet), content, looks)
        _contents_sheet(contents, content, places, looks)
        _notes_sheet(notes, content, looks)
        contents.activate()


class _Looks:
    """The formats of the book, each made once."""

    def __init__(self, book: Workbook) -> None:
        self._book = book
        self._numbers: dict[tuple[int, bool, bool], Format] = {}
        base: Mapping[str, Any] = {"font_name": "Calibri", "font_size": 11, "font_color": _INK, "valign": "vcenter"}

        def make(**more: Any) -> Format:
            return book.add_format({**base, **more})

        self.title = make(bold=True, font_size=16)
        self.lead = make(font_size=11, font_color="#444444")
        self.text = make(text_wrap=True, valign="top")
        self.plain = make()
        self.link = make(font_color="#0b5394", underline=1)
        self.warning = make(
            bold=True, font_color=_WARN, bg_color=_WARN_SHADE, text_wrap=True, border=1, border_color=_WARN
        )
        self.heading = make(bold=True, text_wrap=True, align="center", bg_color=_SHADE, bottom=1, bottom_color=_RULE)
        self.sub_heading = make(text_wrap=True, align="center", bg_color=_SHADE, font_size=10)
        self.small_heading = make(align="right", bg_color=_SHADE, font_size=9, bottom=2, bottom_color=_INK)
        self.stub_heading = make(bold=True, text_wrap=True, bg_color=_SHADE, bottom=2, bottom_color=_INK)
        self.section = make(bold=True, font_size=12, bottom=1, bottom_color=_RULE)
        self.marks = make(font_size=9, font_color="#555555")
        self.marks_total = make(font_size=9, font_color="#555555", bold=True, top=1)
        self.symbol = make(align="right")
        self.symbol_total = make(align="right", bold=True, top=1)
        self.stub = [make(indent=level) for level in range(3)]
        self.stub_total = make(bold=True, top=1)
        self.data_heading = make(bold=True, bg_color=_SHADE, bottom=2)
        self.date = make(num_format="yyyy-mm-dd")
        self._base = base

    def number(self, decimals: int, is_total: bool, is_bracketed: bool) -> Format:
        """Number format with a dash for exactly zero; in brackets when the figure is of low reliability."""
        key = (decimals, is_total, is_bracketed)
        if key not in self._numbers:
            pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
            positive = f'"("{pattern}")"' if is_bracketed else pattern
            more: dict[str, Any] = {"num_format": f'{positive};\N{MINUS SIGN}{pattern};"–";@', "align": "right"}
            if is_total:
                more |= {"bold": True, "top": 1}
            self._numbers[key] = self._book.add_format({**self._base, **more})
        return self._numbers[key]


def _table_sheet(sheet: Worksheet, content: ReleaseContent, table: RegionalTable, language: str, looks: _Looks) -> None:
    part = content.regional.of_table(table.code)

    def say(key: str) -> str:
        return wording.text(key, language)

    sheet.hide_gridlines(2)
    sheet.write_string(0, 0, f"{table.code}. {table.title.in_language(language)}", looks.title)
    sheet.write_string(1, 0, table.scope.in_language(language), looks.lead)
    sheet.write_string(2, 0, f"{say('units')}: {table.units.in_language(language)}", looks.lead)
    sheet.set_row(0, 24)
    columns = list(part.columns.iter_rows(named=True))
    spans: list[tuple[dict[str, Any], int, int]] = []
    at = 1
    for column in columns:
        width = 4 if column["has_interval"] else 2
        spans.append((column, at, width))
        at += width
    last_column = max(at - 1, 1)
    if bool(part.cells["is_practice"].any()):
        sheet.merge_range(3, 0, 3, min(last_column, 8), say("practice_banner"), looks.warning)
        sheet.set_row(3, 32)
    first = 5
    sheet.merge_range(first, 0, first + 2, 0, table.rows.heading.in_language(language), looks.stub_heading)
    sheet.set_row(first, 46)
    sheet.set_column(0, 0, 30)
    _headings(sheet, first, spans, language, looks)
    body = first + 3
    totals = _total_rows(content, table)
    indents = _indents(content, table)
    by_place = {(c["row_order"], c["column_code"]): c for c in part.cells.iter_rows(named=True)}
    rows = part.cells.unique("row_order", keep="first", maintain_order=True)
    for line, row in enumerate(rows.iter_rows(named=True), start=body):
        is_total = row["row_code"] in totals
        stub = looks.stub_total if is_total else looks.stub[indents.get(row["row_code"], 0)]
        sheet.write_string(line, 0, row[f"row_label_{language}"], stub)
        for column, at, width in spans:
            cell = by_place[row["row_order"], column["column_code"]]
            _write_cell(sheet, line, at, width, cell, column["decimals"], is_total, language, looks)
    sheet.freeze_panes(body, 1)
    end = _table_notes(sheet, body + rows.height + 1, content, table, part.footnotes, language, looks)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(first, first + 2)
    sheet.print_area(0, 0, end, last_column)
    sheet.set_footer(f"&L{table.code} · {content.release_id}&R&P / &N")


def _headings(
    sheet: Worksheet, first: int, spans: list[tuple[dict[str, Any], int, int]], language: str, looks: _Looks
) -> None:
    """Three lines of heading: the group over its columns, the period, and what each sheet column holds."""
    groups: dict[str, list[tuple[dict[str, Any], int, int]]] = {}
    for span in spans:
        groups.setdefault(span[0]["group_code"], []).append(span)
    for members in groups.values():
        column = members[0][0]
        start, stop = members[0][1], members[-1][1] + members[-1][2] - 1
        unit = column[f"unit_{language}"]
        label = column[f"group_label_{language}"] + (f"\n({unit})" if unit else "")
        sheet.merge_range(first, start, first, stop, label, looks.heading)
    for column, at, width in spans:
        marks = column["footnote_marks"]
        period = column[f"sub_label_{language}"]
        sheet.merge_range(first + 1, at, first + 1, at + width - 1, f"{period} {marks}".strip(), looks.sub_heading)
        names = ["value", "lower", "upper", "marks"] if column["has_interval"] else ["value", "marks"]
        for offset, name in enumerate(names):
            sheet.write_string(first + 2, at + offset, wording.text(name, language), looks.small_heading)
        sheet.set_column(at, at, 13)
        if width == 4:
            sheet.set_column(at + 1, at + 2, 9)
        sheet.set_column(at + width - 1, at + width - 1, 6)


def _write_cell(
    sheet: Worksheet,
    line: int,
    at: int,
    width: int,
    cell: Mapping[str, Any],
    decimals: int,
    is_total: bool,
    language: str,
    looks: _Looks,
) -> None:
    symbol = looks.symbol_total if is_total else looks.symbol
    number = looks.number(decimals, is_total, "U" in flags_of(cell["obs_flags"]))
    bound = looks.number(decimals, is_total, False)
    if cell["value"] is None:
        sheet.write_string(line, at, cell[f"display_{language}"], symbol)
    else:
        sheet.write_number(line, at, cell["value"], number)
    if width == 4:
        for offset, name, rounding in ((1, "lower", ROUND_FLOOR), (2, "upper", ROUND_CEILING)):
            if cell[name] is None:
                sheet.write_blank(line, at + offset, None, symbol)
            else:
                sheet.write_number(line, at + offset, float(rounded(cell[name], decimals, rounding)), bound)
    marks = looks.marks_total if is_total else looks.marks
    if cell["footnote_marks"]:
        sheet.write_string(line, at + width - 1, cell["footnote_marks"], marks)
    else:
        sheet.write_blank(line, at + width - 1, None, marks)


def _table_notes(
    sheet: Worksheet,
    line: int,
    content: ReleaseContent,
    table: RegionalTable,
    footnotes: pl.DataFrame,
    language: str,
    looks: _Looks,
) -> int:
    """Notes, footnotes, key and sources below the table; returns the last line used."""

    def say(key: str) -> str:
        return wording.text(key, language)

    lines: list[tuple[str, Format]] = [(say("notes"), looks.section)]
    lines += [(note.in_language(language), looks.plain) for note in table.notes]
    lines += [(say("rounding_note"), looks.plain)]
    lines += [(f"{row['mark']}  {row[f'text_{language}']}", looks.plain) for row in footnotes.iter_rows(named=True)]
    lines += [(say("symbols"), looks.section)]
    lines += [
        (f"{s.symbol}  {s.meaning.in_language(language)}", looks.plain) for s in content.catalogue.regional.symbols
    ]
    lines += [(say("sources"), looks.section)]
    lines += [(source, looks.plain) for source in wording.sources_of(content, table.code, language)]
    lines += [(f"{say('release')} {content.release_id} · {content.recorded_on}", looks.lead)]
    for text, look in lines:
        sheet.write_string(line, 0, text, look)
        line += 1
    sheet.write_url(line, 0, "internal:'Contents'!A1", looks.link, say("back_to_contents"))
    return line


def _total_rows(content: ReleaseContent, table: RegionalTable) -> set[str]:
    return {entry.code for entry in _entries(content, table) if entry.is_total}


def _indents(content: ReleaseContent, table: RegionalTable) -> dict[str, int]:
    return {entry.code: entry.indent for entry in _entries(content, table)}


def _entries(content: ReleaseContent, table: RegionalTable) -> tuple[Any, ...]:
    if table.rows.frame is not None:
        return content.catalogue.regional.frame(table.rows.frame).entry
    return table.rows.entry


def _contents_sheet(
    sheet: Worksheet, content: ReleaseContent, places: list[tuple[str, RegionalTable, str]], looks: _Looks
) -> None:
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 14)
    sheet.set_column(1, 1, 90)
    sheet.write_string(0, 0, wording.text("site_title", "en"), looks.title)
    sheet.write_string(1, 0, wording.text("site_title", "vi"), looks.lead)
    sheet.write_string(2, 0, f"Release {content.release_id} · {content.recorded_on}", looks.lead)
    line = 4
    if content.has_practice_data:
        for language in LANGUAGES:
            sheet.merge_range(line, 0, line, 1, wording.text("practice_banner", language), looks.warning)
            sheet.set_row(line, 32)
            line += 1
        line += 1
    for name, en in (("Notes", "Notes and symbol key · Ghi chú và ký hiệu"),):
        sheet.write_url(line, 0, f"internal:'{name}'!A1", looks.link, name)
        sheet.write_string(line, 1, en, looks.plain)
        line += 1
    for name, table, language in places:
        sheet.write_url(line, 0, f"internal:'{name}'!A1", looks.link, name)
        sheet.write_string(line, 1, table.title.in_language(language), looks.plain)
        line += 1
    for name, text in (
        ("Sources", "Sources · Nguồn số liệu"),
        ("Indicators", "Indicators and definitions · Chỉ số và định nghĩa"),
        ("Sampling errors", "Sampling errors of every survey wave · Sai số chọn mẫu của từng đợt điều tra"),
        ("Claims", "Published statements beside the figures · Các phát biểu đã công bố so với số liệu"),
        ("Data", "All figures, one per row, as in data/observation.csv · Toàn bộ số liệu"),
    ):
        sheet.write_url(line, 0, f"internal:'{name}'!A1", looks.link, name)
        sheet.write_string(line, 1, text, looks.plain)
        line += 1
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)


def _notes_sheet(sheet: Worksheet, content: ReleaseContent, looks: _Looks) -> None:
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 12)
    sheet.set_column(1, 2, 70)
    sheet.write_string(0, 0, "Notes · Ghi chú", looks.title)
    line = 2
    for key in wording.NOTE_KEYS:
        sheet.write_string(line, 1, wording.text(key, "en"), looks.text)
        sheet.write_string(line, 2, wording.text(key, "vi"), looks.text)
        sheet.set_row(line, 48)
        line += 1
    line += 1
    sheet.write_string(line, 0, "Symbols · Ký hiệu", looks.section)
    for symbol in content.catalogue.regional.symbols:
        line += 1
        sheet.write_string(line, 0, symbol.symbol, looks.plain)
        sheet.write_string(line, 1, symbol.meaning.en, looks.text)
        sheet.write_string(line, 2, symbol.meaning.vi, looks.text)
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)


def _source_sheet(sheet: FrameSheet, content: ReleaseContent, looks: _Looks) -> None:
    _frame_sheet(
        sheet, cards.source_frame(content.catalogue), looks, widths={"citation": 70, "name_en": 40, "name_vi": 40}
    )


def _indicator_sheet(sheet: FrameSheet, content: ReleaseContent, looks: _Looks) -> None:
    frame = flattened(cards.indicator_frame(content.catalogue))
    _frame_sheet(sheet, frame, looks, widths={"name_en": 45, "name_vi": 45, "definition_en": 80, "definition_vi": 80})


def _data_sheet(sheet: FrameSheet, content: ReleaseContent, looks: _Looks) -> None:
    frame = flattened(content.observations)
    if frame.height >= SHEET_ROWS:
        frame = pl.DataFrame({"note": ["More figures than a sheet can hold: see data/observation.csv."]})
    _frame_sheet(sheet, frame, looks, widths={})


def _frame_sheet(sheet: FrameSheet, frame: pl.DataFrame, looks: _Looks, widths: Mapping[str, int]) -> None:
    """The frame as a sheet: headings, filter, frozen heading; NULL is an empty cell, never a zero."""
    for position, name in enumerate(frame.columns):
        sheet.set_column(position, position, widths.get(name, 16))
    sheet.hold(frame, looks.data_heading, looks.date)
    sheet.freeze_panes(1, 1)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    if frame.height:
        sheet.autofilter(0, 0, frame.height, frame.width - 1)
