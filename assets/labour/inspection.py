"""What a labour file looks like to the readers, cell by cell, and a first draft of a layout for a form nobody knows.

Belongs here: explaining one file to the person who must decide what it is. Does not belong here: loading anything.
Identifiers of registers are never shown: their cells are named by field only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assets.labour.encodings import EncodingDoubt
from assets.labour.faults import Fault
from assets.labour.figures import Document, Figure
from assets.labour.labels import destinations, fold
from assets.labour.layout import HeaderMatch, Layout, find_layout, header_paths, header_rows, is_numbering_row
from assets.labour.numbers import sexes_of
from assets.labour.periods import title_period
from assets.labour.read import read_file
from assets.labour.register import find_register, holds_identifiers
from assets.labour.workbook import Cell, Sheet, UnreadableFile, Workbook, column_letters, open_workbook


@dataclass(frozen=True)
class CellMeaning:
    """One cell and what the readers take it for. `content` is empty for cells that may name a person."""

    sheet: str
    cell: str
    content: str
    meaning: str


@dataclass(frozen=True)
class Inspection:
    """Everything that was recognised in one file, and a drafted layout for each sheet that fits none."""

    file: str
    format: str
    encoding: str
    evidence: tuple[str, ...]
    layout: str
    document: Document | None
    cells: tuple[CellMeaning, ...]
    figures: tuple[Figure, ...]
    faults: tuple[Fault, ...]
    drafts: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The inspection as plain lines for a terminal."""
        head = [
            f"{self.file}: {self.format or 'not readable'}, encoding {self.encoding or 'unknown'}"
            + (f" ({'; '.join(self.evidence)})" if self.evidence else ""),
            f"layout: {self.layout or 'none'}",
        ]
        if self.document:
            head.append(
                f"document: {self.document.title} | {self.document.agency_code} | published {self.document.published_on} "
                f"({self.document.published_on_basis_code}) | source {self.document.source_url or 'not given'}"
            )
        sound = sum(not figure.rejections for figure in self.figures)
        head.append(f"figures: {sound} would load, {len(self.figures) - sound} would be quarantined")
        body = [f"  {cell.sheet}!{cell.cell:<6} {cell.content[:40]:<40} {cell.meaning}" for cell in self.cells]
        told = [f"{fault.severity}: {fault.message}" for fault in self.faults]
        drafted = [line for sheet, text in self.drafts.items() for line in (f"draft layout for sheet {sheet}:", text)]
        return [*head, *body, *told, *drafted]


def inspect(source: Path | bytes, name: str | None = None, *, layouts: Sequence[Layout] | None = None) -> Inspection:
    """What every cell of a file means to the readers, what would load, and a drafted layout for unknown sheets."""
    if isinstance(source, Path):
        name = name or source.name
        source = source.read_bytes()
    name = name or "unnamed"
    if name.lower().endswith(".toml"):
        result = read_file(source, name)
        return Inspection(name, "toml", "utf-8", (), result.layout, result.document, (), result.figures, result.faults)
    try:
        book = open_workbook(source, name)
    except (UnreadableFile, EncodingDoubt):
        result = read_file(source, name)
        return Inspection(name, "", "", (), "", None, (), (), result.faults)
    if any(find_register(sheet) for sheet in book.sheets) or holds_identifiers(book):
        return _inspect_register(book, name)
    result = read_file(source, name)
    meanings: list[CellMeaning] = []
    drafts: dict[str, str] = {}
    by_pointer: dict[str, list[Figure]] = {}
    for figure in result.figures:
        by_pointer.setdefault(figure.pointer, []).append(figure)
    for sheet in book.sheets:
        match = find_layout(sheet, tuple(layouts) if layouts is not None else None)
        if match is None and sheet.cells:
            draft = draft_layout(sheet, Path(name).stem)
            if draft:
                drafts[sheet.name] = draft
        for (row, column), cell in sorted(sheet.cells.items()):
            meaning = _meaning(sheet, cell, result.recognised, by_pointer, name)
            if match is not None and not meaning:
                meaning = _place(row, column, cell.text, match)
            hidden = row in sheet.hidden_rows or column in sheet.hidden_columns or sheet.is_hidden
            text = f"{meaning or 'not used'}{' (hidden)' if hidden else ''}{' (cached formula)' if cell.is_formula else ''}"
            meanings.append(CellMeaning(sheet.name, cell.address, cell.text, text))
    return Inspection(
        name, book.format, book.encoding, book.evidence if book.encoding in ("tcvn3", "vni", "cp1258") else (),
        result.layout, result.document, tuple(meanings), result.figures, result.faults, drafts,
    )  # fmt: skip


def _meaning(
    sheet: Sheet, cell: Cell, recognised: dict[tuple[str, str], str], figures: dict[str, list[Figure]], file: str
) -> str:
    found = figures.get(f"{sheet.name or file}!{cell.address}")
    if not found:
        return recognised.get((sheet.name, cell.address), "")
    return "; ".join(
        f"{figure.series_code} {figure.window_code} {figure.period_code} {figure.destination_code} {figure.sex_code} "
        + (f"quarantined: {figure.rejections[0]}" if figure.rejections else f"= {figure.value:g}")
        for figure in found
    )


def _place(row: int, column: int, text: str, match: HeaderMatch) -> str:
    if row < match.first_row:
        return "above the table"
    if row <= match.last_row:
        return "header" if column in match.columns else "header of an unknown column"
    entry = match.columns.get(column)
    return "number of the row" if entry and entry.role == "number" and text.isdigit() else ""


def _inspect_register(book: Workbook, name: str) -> Inspection:
    meanings = []
    faults = []
    layout = ""
    for sheet in book.sheets:
        match = find_register(sheet)
        if match is None:
            if sheet.cells:
                faults.append(
                    Fault("unknown_register", "error", name, sheet.name, "", "columns that may identify persons",
                          "a contract register in a known form", "Describe its fields in register_layouts/. Nothing of it is shown.")
                )  # fmt: skip
            continue
        layout = match.layout.name
        identifying = {f.name for f in match.layout.fields if f.identifier}
        rows = sum(bool(sheet.row(row)) for row in range(match.header_row + 1, sheet.last_row + 1))
        for field_name, column in sorted(match.columns.items(), key=lambda item: item[1]):
            kept = "hashed, coarsened or dropped" if field_name in identifying else "kept"
            meanings.append(
                CellMeaning(
                    sheet.name, f"{column_letters(column)}{match.header_row}", "", f"{field_name}: {kept}, {rows} rows"
                )
            )
        meanings.extend(
            CellMeaning(sheet.name, cell.address, "", "unknown column: dropped before landing")
            for cell in match.unknown
        )
    return Inspection(name, book.format, book.encoding, (), layout, None, tuple(meanings), (), tuple(faults))


# --- drafts ------------------------------------------------------------------------------------------------------


def draft_layout(sheet: Sheet, name: str) -> str | None:
    """A layout in TOML for a sheet that fits none, for a person to correct; None when no destinations are found in it.

    The destination column is the one with the most known country names. The header is what stands above the first of them;
    windows and sexes are guessed from its words, and every guess is marked in a comment.
    """
    hits: dict[int, list[int]] = {}
    for (row, column), cell in sheet.cells.items():
        if isinstance(cell.content, str) and destinations().code(cell.text) is not None:
            hits.setdefault(column, []).append(row)
    if not hits:
        return None
    column, rows = max(hits.items(), key=lambda item: len(item[1]))
    first_data = min(rows)
    header = _header_above(sheet, first_data, column)
    if header is None:
        return None
    first, last = header
    lines = [
        "# Drafted by inspection: check every line, above all window and sex, before it is used.",
        f'name = "{_slug(name)}"',
        'kind = "bulletin"',
        'description = "Drafted from a file; say here which form this is."',
        'owner = "team:mhwg-data"',
        f'title = ["{_quoted(_title_words(sheet, first))}"]',
        'unit = "persons"',
    ]
    for grid_column, path in sorted(header_paths(sheet, first, last).items()):
        levels = ", ".join(f'["{_quoted(text)}"]' for text in _raw_path(sheet, first, last, grid_column, path))
        lines += ["", "[[column]]"]
        if grid_column == column:
            lines += ['role = "destination"', "required = true", f"path = [{levels}]"]
        elif _is_numeric(sheet, grid_column, first_data):
            lines += _figure_lines(path, levels)
        else:
            lines += ['role = "ignored"', f"path = [{levels}]"]
    return "\n".join(lines) + "\n"


def _header_above(sheet: Sheet, first_data: int, column: int) -> tuple[int, int] | None:
    last = first_data - 1
    while last > 1 and (is_numbering_row(sheet, last) or not sheet.row(last)):
        last -= 1
    for first in range(max(1, last - 2), last + 1):
        if sheet.cell(first, column).text and header_rows(sheet, first, column) >= last:
            return first, last
    return (last, last) if sheet.spread(last, column).text else None


def _raw_path(sheet: Sheet, first: int, last: int, column: int, path: tuple[str, ...]) -> list[str]:
    """The header texts as printed, for the levels of the folded path."""
    found: dict[str, str] = {}
    for row in range(first, last + 1):
        for left in range(column, 0, -1):
            text = sheet.spread(row, left).text
            if fold(text) in path and text:
                found.setdefault(fold(text), " ".join(text.split()))
    return [found.get(text, text) for text in path]


def _is_numeric(sheet: Sheet, column: int, first_data: int) -> bool:
    cells = [cell for (row, other), cell in sheet.cells.items() if other == column and row >= first_data]
    numbers = sum(any(mark.isdigit() for mark in cell.text) for cell in cells)
    counted = [cell.content for cell in cells if isinstance(cell.content, int | float)]
    # 1, 2, 3, ... is the number of the row.
    is_running = len(counted) > 1 and counted == [float(number) for number in range(1, len(counted) + 1)]
    return bool(cells) and numbers * 2 >= len(cells) and not is_running


def _figure_lines(path: tuple[str, ...], levels: str) -> list[str]:
    words = " ".join(path)
    sex = next((sex for text in reversed(path) if (sex := sexes_of(text))), "_T")
    if "%" in words or any(text in words for text in (fold("so với kế hoạch"), fold("so với kh"))):
        kind = ['series = "plan_achievement_percent"', 'window = "cumulative"', 'unit = "percent"']
    else:
        is_cumulative = any(
            text in words for text in (fold("lũy kế"), fold("luỹ kế"), fold("cộng dồn"), fold("từ đầu năm"))
        )
        window = (
            "cumulative"
            if is_cumulative
            else "month"
            if fold("tháng") in words or fold("trong kỳ") in words
            else "title"
        )
        kind = ['series = "deployments"', f'window = "{window}"  # a guess from the header']
    return ['role = "figure"', *kind, f'sex = "{sex}"', f"path = [{levels}]"]


def _title_words(sheet: Sheet, header_row: int) -> str:
    for row in range(1, header_row):
        for cell in sheet.row(row):
            if title_period(cell.text) or fold("lao động") in fold(cell.text):
                return cell.text.split("\n")[0][:60]
    return "title of the form"


def _slug(text: str) -> str:
    return (
        "-".join("".join(mark if mark.isascii() and mark.isalnum() else " " for mark in text.lower()).split())
        or "draft"
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
