"""Any table file -> sheets of cells, each with its address, its value and what Excel hid or merged.

Belongs here: `.xlsx`, `.ods`, `.xls` (BIFF through fastexcel), HTML saved as `.xls`, `.csv`, `.tsv`; merged areas, hidden
rows, columns and sheets, cached values of formulas, percent formats, dates. Does not belong here: which cell is a header
(`layout`), numbers typed as text (`numbers`).

`.xlsx` and `.ods` are read from their XML, because no reader at hand tells a number from a text that looks like one, and
says which rows are hidden and which cells are merged: 12.430 as text is 12 430 persons, 12.43 as a number is a fault.
"""

import csv
import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

from assets.labour.biff import BiffError, read_biff
from assets.labour.encodings import decode, repair_fonts
from assets.limits import TooLarge, declares_entities, hold_archive, limits

Content = str | float | date | bool | None


class UnreadableFile(Exception):
    """The bytes are no table file that is known here. `found` says what they look like, `advice` what to do."""

    def __init__(self, message: str, *, file: str, found: str, advice: str) -> None:
        super().__init__(message)
        self.file = file
        self.found = found
        self.advice = advice


def column_letters(column: int) -> str:
    """Spreadsheet letters of a column counted from 1: 1 is A, 28 is AB."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell with content. `is_percent`: shown with a % sign; `is_formula`: the value is the one the file cached;
    `is_error`: the cell shows an error such as #REF!."""

    row: int
    column: int
    content: Content
    is_percent: bool = False
    is_formula: bool = False
    is_error: bool = False

    @property
    def address(self) -> str:
        """The cell as the reader of the file knows it: B7."""
        return f"{column_letters(self.column)}{self.row}"

    @property
    def text(self) -> str:
        """The content as trimmed text; numbers without a trailing .0."""
        if self.content is None:
            return ""
        if isinstance(self.content, float) and math.isfinite(self.content) and self.content == int(self.content):
            return str(int(self.content))
        return str(self.content).replace("\u00a0", " ").strip()


@dataclass(frozen=True, slots=True)
class Area:
    """A merged area, all bounds inclusive, counted from 1."""

    first_row: int
    first_column: int
    last_row: int
    last_column: int


@dataclass
class Sheet:
    """One sheet: cells by (row, column) counted from 1, merged areas, hidden rows and columns."""

    name: str
    cells: dict[tuple[int, int], Cell] = field(default_factory=dict)
    merged: list[Area] = field(default_factory=list)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    is_hidden: bool = False
    last_row: int = 0
    last_column: int = 0

    def put(self, cell: Cell) -> None:
        """`cell` stands in the sheet, unless it is empty."""
        if cell.content is not None and cell.content != "":
            self.cells[cell.row, cell.column] = cell
            self._hold(cell)
            self.last_row = max(self.last_row, cell.row)
            self.last_column = max(self.last_column, cell.column)

    def _hold(self, cell: Cell) -> None:
        held = limits()
        length = len(cell.content) if isinstance(cell.content, str) else 0
        if (
            cell.row > held.sheet_rows
            or cell.column > held.sheet_columns
            or length > held.cell_characters
            or len(self.cells) > held.workbook_cells
        ):
            held.hold("sheet_rows", cell.row, f"row {cell.row:,} in sheet {self.name!r}")
            held.hold("sheet_columns", cell.column, f"column {cell.column:,} in sheet {self.name!r}")
            held.hold("cell_characters", length, f"cell {cell.address} with {length:,} characters")
            held.hold("workbook_cells", len(self.cells), f"sheet {self.name!r} with {len(self.cells):,} cells")

    def merge(self, area: Area) -> None:
        """The area is one cell for the eye. Raises TooLarge: every look at a cell goes over all areas of its sheet."""
        self.merged.append(area)
        limits().hold("merged_areas", len(self.merged), f"sheet {self.name!r} with {len(self.merged):,} merged areas")

    def cell(self, row: int, column: int) -> Cell:
        """The cell itself; an empty one when nothing stands there."""
        return self.cells.get((row, column)) or Cell(row, column, None)

    def spread(self, row: int, column: int) -> Cell:
        """The cell that is seen at this place: inside a merged area, the one in its upper left corner."""
        for area in self.merged:
            if area.first_row <= row <= area.last_row and area.first_column <= column <= area.last_column:
                return self.cell(area.first_row, area.first_column)
        return self.cell(row, column)

    def row(self, row: int) -> list[Cell]:
        """The cells with content in a row, left to right."""
        return [self.cells[row, column] for column in range(1, self.last_column + 1) if (row, column) in self.cells]


@dataclass
class Workbook:
    """A file as a grid: its sheets in order, how it was recognised, and the fonts it names."""

    name: str
    format: str
    sheets: list[Sheet]
    encoding: str = "utf-8"
    evidence: tuple[str, ...] = ()


def open_workbook(data: bytes, name: str) -> Workbook:
    """The file as a grid, in Unicode. The bytes decide the format, never the file name: HTML saved as `.xls` is HTML.

    Raises UnreadableFile for bytes of no known format and EncodingDoubt for text of no certain encoding.
    """
    try:
        limits().hold("file_bytes", len(data), f"a file of {len(data):,} bytes")
        book = _open(data, name)
        cells = sum(len(sheet.cells) for sheet in book.sheets)
        limits().hold("workbook_cells", cells, f"a workbook of {cells:,} cells")
    except TooLarge as fault:
        raise UnreadableFile(
            f"{name}: larger than a table file is", file=name, found=fault.found,
            advice=f"Ask for the file again; if it is honest, raise `{fault.key}` in assets/limits.toml.",
        ) from fault  # fmt: skip
    return book


def _open(data: bytes, name: str) -> Workbook:
    if data.startswith(b"PK\x03\x04"):
        book = _open_zip(data, name)
    elif data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        book = _open_biff(data, name)
    elif data.startswith(b"%PDF"):
        raise UnreadableFile(
            f"{name}: a PDF, not a table", file=name, found="PDF", advice="Ask for the workbook behind it, or type the "
            "figures into a TOML form with their citation.",
        )  # fmt: skip
    elif not data.strip():
        raise UnreadableFile(f"{name}: the file is empty", file=name, found="0 bytes", advice="Ask for it again.")
    elif _is_binary(data):
        raise UnreadableFile(f"{name}: binary data", file=name, found="binary data", advice="Ask for .xlsx or .csv.")
    else:
        return _open_text(data, name)
    return _in_unicode(book)


def _is_binary(data: bytes) -> bool:
    """True when control characters that no text has make up more than one byte in fifty. UTF-16 is left alone: the upper
    half of a Vietnamese letter is 0x1E."""
    head = data[:4096]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or head.count(0) * 6 > len(head):
        return False
    return sum(byte < 32 and byte not in (0, 9, 10, 13) for byte in head) * 50 > len(head)


def _in_unicode(book: Workbook) -> Workbook:
    """The workbook with font-encoded texts repaired, all in one way: a file is typed with one kind of font."""
    texts = [
        str(cell.content) for sheet in book.sheets for cell in sheet.cells.values() if isinstance(cell.content, str)
    ]
    decoded = repair_fonts("\n".join(texts), tuple(book.evidence))
    if decoded.encoding not in ("tcvn3", "vni"):
        book.encoding = decoded.encoding
        return book
    parts = iter(decoded.text.split("\n"))
    # A cell may hold line breaks of its own: take as many lines back as it had.
    for sheet in book.sheets:
        for key, cell in list(sheet.cells.items()):
            if isinstance(cell.content, str):
                lines = [next(parts) for _ in range(cell.content.count("\n") + 1)]
                sheet.cells[key] = replace(cell, content="\n".join(lines))
    book.encoding = decoded.encoding
    book.evidence = decoded.evidence
    return book


# --- .xlsx -------------------------------------------------------------------------------------------------------

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_REL = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_BUILTIN_DATES = set(range(14, 23)) | set(range(45, 48))
_BUILTIN_PERCENTS = {9, 10}


_DAMAGE = (
    zipfile.BadZipFile, zlib.error, ElementTree.ParseError, KeyError, IndexError, ValueError, OverflowError, EOFError,
    RuntimeError, NotImplementedError, struct.error,
)  # fmt: skip
"""What a cut or altered archive raises, depending on where it is broken; RuntimeError is a password."""


def _open_zip(data: bytes, name: str) -> Workbook:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        hold_archive(archive)
        names = set(archive.namelist())
        if "xl/workbook.xml" in names:
            return _open_xlsx(archive, name)
        if "content.xml" in names:
            return _open_ods(archive, name)
    except _DAMAGE as fault:
        raise UnreadableFile(
            f"{name}: a damaged workbook", file=name, found=f"zip archive: {fault}", advice="Ask for the file again."
        ) from fault
    kind = "a Word document" if any(entry.startswith("word/") for entry in names) else "a zip archive"
    raise UnreadableFile(
        f"{name}: {kind}, not a workbook", file=name, found=kind, advice="Unpack it, or ask for .xlsx or .csv."
    )


# "Strict" workbooks name the same elements under other addresses.
_STRICT = (
    (b"http://purl.oclc.org/ooxml/spreadsheetml/main", b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"),
    (
        b"http://purl.oclc.org/ooxml/officeDocument/relationships",
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    ),
)


def _xml(archive: zipfile.ZipFile, path: str) -> ElementTree.Element:
    data = archive.read(path)
    if declares_entities(data):
        raise ValueError(f"{path} declares a document type or entities, which a workbook must not")
    for strict, usual in _STRICT:
        data = data.replace(strict, usual)
    return ElementTree.fromstring(data)


def _shared_strings(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    strings = []
    for item in _xml(archive, "xl/sharedStrings.xml").findall(f"{_MAIN}si"):
        # Phonetic hints (rPh) are no text of the cell.
        runs = [item.find(f"{_MAIN}t"), *(run.find(f"{_MAIN}t") for run in item.findall(f"{_MAIN}r"))]
        strings.append("".join(run.text or "" for run in runs if run is not None))
    return strings


def _number_kinds(archive: zipfile.ZipFile) -> tuple[list[str], tuple[str, ...]]:
    """What each cell style shows (number, percent, date), and the font names of the file."""
    if "xl/styles.xml" not in archive.namelist():
        return [], ()
    root = _xml(archive, "xl/styles.xml")
    formats = {int(item.get("numFmtId", "0")): item.get("formatCode", "") for item in root.iter(f"{_MAIN}numFmt")}
    kinds = []
    cell_styles = root.find(f"{_MAIN}cellXfs")
    for style in cell_styles if cell_styles is not None else ():
        number = int(style.get("numFmtId", "0"))
        code = re.sub(r'"[^"]*"|\[[^\]]*\]|\\.', "", formats.get(number, ""))
        if number in _BUILTIN_PERCENTS or "%" in code:
            kinds.append("percent")
        elif number in _BUILTIN_DATES or (code and re.search(r"[dmy]", code.lower()) and not re.search(r"[0#]", code)):
            kinds.append("date")
        else:
            kinds.append("number")
    fonts = tuple(dict.fromkeys(item.get("val", "") for item in root.iter(f"{_MAIN}name") if item.get("val")))
    return kinds, fonts


def excel_date(serial: float, from_1904: bool = False) -> date:
    """The day of an Excel serial number. The 1900 system counts a 29 February 1900 that never was."""
    epoch = date(1904, 1, 1) if from_1904 else date(1899, 12, 30)
    return epoch + timedelta(days=int(serial))


def _open_xlsx(archive: zipfile.ZipFile, name: str) -> Workbook:
    strings = _shared_strings(archive)
    kinds, fonts = _number_kinds(archive)
    root = _xml(archive, "xl/workbook.xml")
    properties = root.find(f"{_MAIN}workbookPr")
    from_1904 = properties is not None and properties.get("date1904") in ("1", "true")
    targets = {item.get("Id", ""): item.get("Target", "") for item in _xml(archive, "xl/_rels/workbook.xml.rels")}
    sheets = []
    for entry in root.iter(f"{_MAIN}sheet"):
        target = targets[entry.get(f"{_REL}id", "")]
        path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        sheet = Sheet(entry.get("name", ""), is_hidden=entry.get("state", "visible") != "visible")
        _fill_xlsx_sheet(sheet, _xml(archive, path), strings, kinds, from_1904)
        sheets.append(sheet)
    return Workbook(name, "xlsx", sheets, evidence=fonts)


def _address(reference: str) -> tuple[int, int]:
    match = re.fullmatch(r"([A-Z]+)(\d+)", reference)
    if match is None:
        raise ValueError(f"cell address {reference!r}")
    column = 0
    for letter in match.group(1):
        column = column * 26 + ord(letter) - 64
    return int(match.group(2)), column


def _fill_xlsx_sheet(
    sheet: Sheet, root: ElementTree.Element, strings: list[str], kinds: list[str], from_1904: bool
) -> None:
    for item in root.iter(f"{_MAIN}col"):
        if item.get("hidden") in ("1", "true"):
            lowest, highest = int(item.get("min", "1")), int(item.get("max", "1"))
            sheet.hidden_columns.update(range(lowest, min(highest, limits().sheet_columns) + 1))
    row_number = 0
    for row in root.iter(f"{_MAIN}row"):
        row_number = int(row.get("r", row_number + 1))
        if row.get("hidden") in ("1", "true"):
            sheet.hidden_rows.add(row_number)
        column = 0
        for item in row.findall(f"{_MAIN}c"):
            column = _address(item.get("r", ""))[1] if item.get("r") else column + 1
            sheet.put(_xlsx_cell(item, row_number, column, strings, kinds, from_1904))
    for item in root.iter(f"{_MAIN}mergeCell"):
        first, _, last = item.get("ref", "").partition(":")
        sheet.merge(Area(*_address(first), *_address(last or first)))


def _xlsx_cell(
    item: ElementTree.Element, row: int, column: int, strings: list[str], kinds: list[str], from_1904: bool
) -> Cell:
    kind = item.get("t", "n")
    is_formula = item.find(f"{_MAIN}f") is not None
    value = item.find(f"{_MAIN}v")
    if kind == "inlineStr":
        return Cell(row, column, "".join(part.text or "" for part in item.iter(f"{_MAIN}t")))
    if value is None or value.text is None:
        return Cell(row, column, None, is_formula=is_formula)
    if kind == "s":
        return Cell(row, column, strings[int(value.text)])
    if kind == "e":
        return Cell(row, column, value.text, is_formula=is_formula, is_error=True)
    if kind == "str":
        return Cell(row, column, value.text, is_formula=is_formula)
    if kind == "b":
        return Cell(row, column, value.text == "1", is_formula=is_formula)
    if kind == "d":
        return Cell(row, column, datetime.fromisoformat(value.text).date(), is_formula=is_formula)
    style = int(item.get("s", "0"))
    shown = kinds[style] if style < len(kinds) else "number"
    number = float(value.text)
    if shown == "date" and number >= 1:
        return Cell(row, column, excel_date(number, from_1904), is_formula=is_formula)
    return Cell(row, column, number, is_percent=shown == "percent", is_formula=is_formula)


# --- .ods --------------------------------------------------------------------------------------------------------

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"


def _open_ods(archive: zipfile.ZipFile, name: str) -> Workbook:
    root = _xml(archive, "content.xml")
    hidden_styles = {
        style.get(f"{_STYLE}name")
        for style in root.iter(f"{_STYLE}style")
        for properties in style.findall(f"{_STYLE}table-properties")
        if properties.get(f"{_TABLE}display") == "false"
    }
    sheets = []
    for table in root.iter(f"{_TABLE}table"):
        sheet = Sheet(table.get(f"{_TABLE}name", ""), is_hidden=table.get(f"{_TABLE}style-name") in hidden_styles)
        column = 0
        for item in table.iter(f"{_TABLE}table-column"):
            repeated = int(item.get(f"{_TABLE}number-columns-repeated", "1"))
            if item.get(f"{_TABLE}visibility", "visible") != "visible":
                sheet.hidden_columns.update(range(column + 1, min(column + repeated, limits().sheet_columns) + 1))
            column += repeated
        row_number = 0
        for row in table.iter(f"{_TABLE}table-row"):
            repeated = int(row.get(f"{_TABLE}number-rows-repeated", "1"))
            cells = list(_ods_row(row, row_number + 1, sheet))
            for offset in range(repeated if cells else 0):
                for cell in cells:
                    sheet.put(replace(cell, row=row_number + 1 + offset))
                if row.get(f"{_TABLE}visibility", "visible") != "visible":
                    sheet.hidden_rows.add(row_number + 1 + offset)
            row_number += repeated
        sheets.append(sheet)
    return Workbook(name, "ods", sheets)


def _ods_row(row: ElementTree.Element, row_number: int, sheet: Sheet) -> Iterator[Cell]:
    column = 0
    for item in row:
        if item.tag not in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            continue
        repeated = int(item.get(f"{_TABLE}number-columns-repeated", "1"))
        rows = int(item.get(f"{_TABLE}number-rows-spanned", "1"))
        columns = int(item.get(f"{_TABLE}number-columns-spanned", "1"))
        if rows > 1 or columns > 1:
            sheet.merge(Area(row_number, column + 1, row_number + rows - 1, column + columns))
        content, is_percent = _ods_content(item)
        if content is not None and item.tag == f"{_TABLE}table-cell":
            is_formula = item.get(f"{_TABLE}formula") is not None
            for offset in range(min(repeated, 200)):
                yield Cell(row_number, column + 1 + offset, content, is_percent=is_percent, is_formula=is_formula)
        column += repeated


def _ods_content(item: ElementTree.Element) -> tuple[Content, bool]:
    kind = item.get(f"{_OFFICE}value-type", "")
    if kind in ("float", "currency", "percentage"):
        return float(item.get(f"{_OFFICE}value", "nan")), kind == "percentage"
    if kind == "date":
        return datetime.fromisoformat(item.get(f"{_OFFICE}date-value", "")).date(), False
    text = "\n".join("".join(paragraph.itertext()) for paragraph in item.findall(f"{_TEXT}p"))
    return text or None, False


# --- .xls (BIFF) -------------------------------------------------------------------------------------------------


def _open_biff(data: bytes, name: str) -> Workbook:
    try:
        found, fonts = read_biff(data)
    except BiffError as fault:
        if fault.reason == "older":
            return _open_older(data, name)
        advice = "Ask for the file without a password." if fault.reason == "protected" else "Ask for .xlsx."
        raise UnreadableFile(
            f"{name}: an old Excel file, {fault}", file=name, found=f"an .xls file, {fault}", advice=advice
        ) from fault
    sheets = []
    for entry in found:
        sheet = Sheet(
            entry.name, merged=[Area(*bounds) for bounds in entry.merged], hidden_rows=entry.hidden_rows,
            hidden_columns=entry.hidden_columns, is_hidden=entry.is_hidden,
        )  # fmt: skip
        for row, column, content, is_percent, is_formula, is_error in entry.cells:
            sheet.put(Cell(row, column, content, is_percent, is_formula, is_error))
        sheets.append(sheet)
    return Workbook(name, "xls", sheets, evidence=fonts)


def _open_older(data: bytes, name: str) -> Workbook:
    """Excel 95 and older through fastexcel: values only. Row by row, or a column of mixed kinds would come as text."""
    import fastexcel  # costs 40 ms to import, and such files come once in years

    try:
        reader = fastexcel.read_excel(data)
        sheets = []
        for title in reader.sheet_names:
            sheet = Sheet(title)
            height = reader.load_sheet(title, header_row=None, dtypes="string").total_height
            for row in range(height):
                frame = reader.load_sheet(title, header_row=None, skip_rows=row, n_rows=1).to_polars()
                for column, content in enumerate(frame.row(0) if frame.height else (), 1):
                    sheet.put(Cell(row + 1, column, float(content) if isinstance(content, int) else content))
            sheets.append(sheet)
    except fastexcel.FastExcelError as fault:
        raise UnreadableFile(
            f"{name}: an old Excel file", file=name, found="an unreadable .xls file", advice="Ask for .xlsx."
        ) from fault
    return Workbook(name, "xls", sheets)


# --- text: .csv, .tsv, HTML --------------------------------------------------------------------------------------


def _open_text(data: bytes, name: str) -> Workbook:
    decoded = decode(data)
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    head = text.lstrip()[:2000].lower()
    if head.startswith(("<html", "<!doctype html", "<table", "<meta", "<?xml")) and "<t" in text.lower():
        return Workbook(name, "html", _html_sheets(text), decoded.encoding, decoded.evidence)
    sheet = Sheet("")
    try:
        delimiter = _delimiter(text)
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1):
            for column, content in enumerate(row, 1):
                sheet.put(Cell(number, column, content.strip()))
    except csv.Error as fault:
        raise UnreadableFile(
            f"{name}: no delimited text",
            file=name,
            found=f"text that is no table ({fault})",
            advice="Ask for .xlsx or .csv.",
        ) from fault
    kind = "tsv" if delimiter == "\t" else "csv"
    return Workbook(name, kind, [sheet], decoded.encoding, decoded.evidence)


def _delimiter(text: str) -> str:
    """The separator that cuts the most lines into the same number of fields, quotes respected."""

    def steadiness(mark: str) -> tuple[int, int]:
        widths = [len(row) for row in csv.reader(io.StringIO(text), delimiter=mark) if len(row) > 1]
        if not widths:
            return (0, 0)
        common = max(set(widths), key=widths.count)
        return (widths.count(common), common)

    return max("\t;,|", key=steadiness)


def _span(text: str | None) -> int:
    """A row or column span; 1 for what is no small number."""
    return int(text) if text and text.isascii() and text.isdigit() and 0 < int(text) <= 1000 else 1


class _TableParser(HTMLParser):
    """Collects the cells of every table of a page, spans included."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sheets: list[Sheet] = []
        self._row = self._column = 0
        self._taken: set[tuple[int, int]] = set()
        self._text: list[str] | None = None
        self._span = (1, 1)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if tag == "table":
            self.sheets.append(Sheet(f"table {len(self.sheets) + 1}"))
            self._row, self._taken = 0, set()
        elif tag == "tr" and self.sheets:
            self._row += 1
            self._column = 0
            if "display:none" in values.get("style", "").replace(" ", "").lower():
                self.sheets[-1].hidden_rows.add(self._row)
        elif tag in ("td", "th") and self.sheets:
            self._close()
            self._column += 1
            while (self._row, self._column) in self._taken:
                self._column += 1
            self._span = (_span(values.get("rowspan")), _span(values.get("colspan")))
            self._text = []
        elif tag == "br" and self._text is not None:
            self._text.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self._close()

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def _close(self) -> None:
        if self._text is None:
            return
        sheet, (rows, columns) = self.sheets[-1], self._span
        text = re.sub(r"\s+", " ", "".join(self._text)).strip()
        sheet.put(Cell(self._row, self._column, text))
        if rows > 1 or columns > 1:
            sheet.merged.append(Area(self._row, self._column, self._row + rows - 1, self._column + columns - 1))
            for row in range(self._row, self._row + rows):
                self._taken.update((row, column) for column in range(self._column, self._column + columns))
            limits().hold("workbook_cells", len(self._taken), f"a page whose spans cover {len(self._taken):,} cells")
        self._column += columns - 1
        self._text = None


def _html_sheets(text: str) -> list[Sheet]:
    parser = _TableParser()
    parser.feed(text)
    parser.close()
    return [sheet for sheet in parser.sheets if sheet.cells]
