"""A recognised sheet of a bulletin -> figures, rejected figures and faults.

Belongs here: rows under a header (totals, regions, other markets, groups of countries), columns read as wholes, the lines
around the table that hold plan, stock and source. Does not belong here: opening files, layouts, the choice between
documents, arithmetic across documents (`methods.reconciliation`).
"""

import re
from dataclasses import dataclass, field, replace
from datetime import date

from assets.labour.faults import Fault, Severity
from assets.labour.figures import Document, Figure, finality
from assets.labour.labels import destinations, fold, regions
from assets.labour.layout import HeaderMatch, LayoutColumn
from assets.labour.numbers import Number, read_counts, read_percents, separators_of, separators_of_counts
from assets.labour.periods import (
    TitlePeriod,
    assumed_publication,
    bare_month,
    signed_on,
    title_period,
    window_bounds,
)
from assets.labour.workbook import Cell, Sheet, column_letters

_END_WORDS = tuple(
    fold(text)
    for text in ("nơi nhận", "người lập", "kt cục trưởng", "cục trưởng", "tl cục trưởng", "ghi chú", "nguồn", "hà nội ngày",
                 "thủ trưởng", "kế hoạch năm", "giai đoạn", "số lao động đang làm việc", "source", "prepared by")
)  # fmt: skip
_AGENCIES = ((fold("bộ nội vụ"), "moha"), (fold("lao động - thương binh"), "molisa"))
_SOURCE = re.compile(r"^\s*(?:nguồn|source)\s*:\s*(.+)$", re.IGNORECASE)
_COMPUTED = re.compile(r"\s*\((?:tính toán|computed)\)\s*$", re.IGNORECASE)
_SPLIT = re.compile(r"\s*(?:,|;|/|&|\bvà\b|\band\b)\s*")
_PRACTICE = fold("dữ liệu thực hành")
_WOMEN_OF = {"_T": "F"}


@dataclass(frozen=True)
class BulletinSheet:
    """What one sheet of a bulletin holds."""

    document: Document | None
    figures: tuple[Figure, ...]
    faults: tuple[Fault, ...]
    recognised: dict[tuple[str, str], str]


@dataclass
class _Row:
    number: int
    kind: str  # total, other, region, destination, group, unknown
    codes: tuple[str, ...]
    label: str
    is_computed: bool = False


@dataclass
class _Reading:
    file: str
    sheet: Sheet
    match: HeaderMatch
    faults: list[Fault] = field(default_factory=list)
    recognised: dict[tuple[str, str], str] = field(default_factory=dict)

    def fault(self, code: str, severity: Severity, cell: str, found: str, expected: str, advice: str) -> str:
        entry = Fault(code, severity, self.file, self.sheet.name, cell, found, expected, advice)
        self.faults.append(entry)
        return entry.message

    def pointer(self, row: int, column: int) -> str:
        return f"{self.sheet.name or self.file}!{column_letters(column)}{row}"


def read_bulletin_sheet(sheet: Sheet, match: HeaderMatch, file: str) -> BulletinSheet:
    """Every figure of one sheet, sound or rejected, its document and all faults. Hidden rows and columns are not loaded
    and are reported: what the publisher hid was not published."""
    reading = _Reading(file, sheet, match)
    period = _period(reading)
    document = _document(reading, period)
    if period is None or document is None:
        return BulletinSheet(None, (), tuple(reading.faults), reading.recognised)
    rows = _rows(reading, document.published_on)
    figures: list[Figure] = []
    readings = {
        column: _column(reading, column, entry, rows)
        for column, entry in match.columns.items()
        if entry.role == "figure"
    }
    for column, entry in match.columns.items():
        if entry.role == "figure":
            figures.extend(_figures(reading, column, entry, rows, readings, period))
    figures.extend(_line_figures(reading, rows, period))
    figures = _without_repeats(reading, figures)
    _check_subtotals(reading, rows, readings)
    for cell in match.unknown:
        reading.fault(
            "unknown_column", "warning", cell.address, f"column {cell.text!r}", "a column of layout " + match.layout.name,
            "It was not loaded. Add it to the layout if it holds figures.",
        )  # fmt: skip
    return BulletinSheet(document, tuple(figures), tuple(reading.faults), reading.recognised)


def _outside_lines(reading: _Reading) -> list[tuple[Cell, str]]:
    """Text cells above the header and below it; lines in the table's own rows start elsewhere."""
    sheet, match = reading.sheet, reading.match
    return [
        (cell, cell.text)
        for (row, _), cell in sorted(sheet.cells.items())
        if isinstance(cell.content, str) and not (match.first_row <= row <= match.last_row)
    ]


def _period(reading: _Reading) -> TitlePeriod | None:
    sheet, match = reading.sheet, reading.match
    found: TitlePeriod | None = None
    where = ""
    lines = [line for line in match.title.split("\n") if line.strip()]
    # The line that names the subject speaks first; a header block may hold other years.
    subject = fold("lao động")
    for line in sorted(lines, key=lambda line: subject not in fold(line) or fold("thương binh") in fold(line)):
        if any(fold(line).startswith(fold(start)) for start, _ in match.layout.lines):
            continue
        found = title_period(line)
        if found:
            where = line
            break
    from_name = title_period(sheet.name)
    month = from_name.month if from_name and from_name.kind == "month" else bare_month(sheet.name)
    if found is None:
        found = from_name
    elif month is not None and found.kind == "month" and month != found.month:
        reading.fault(
            "period_conflict", "error", "", f"month {month} in the sheet name and {found.month} in the title {where!r}",
            "one month", "Say which is right; the sheet was not loaded.",
        )  # fmt: skip
        return None
    elif month is not None and found.kind == "year":
        found = TitlePeriod(found.year, month, "month")
    if found is None:
        reading.fault(
            "no_period", "error", "A1", "no period in the title or the sheet name",
            "a title such as THÁNG 10 NĂM 2025", "Add the period to the title; the sheet was not loaded.",
        )  # fmt: skip
    return found


def _document(reading: _Reading, period: TitlePeriod | None) -> Document | None:
    if period is None:
        return None
    match = reading.match
    head = fold(match.title)
    agency = next((code for words, code in _AGENCIES if words in head), "_U")
    lines = _outside_lines(reading)
    published = next((day for _, text in lines if (day := signed_on(text))), None)
    source = next((found.group(1).strip() for _, text in lines if (found := _SOURCE.match(text))), "")
    end = window_bounds("month", f"{period.year}{period.month:02}")[1]
    basis = "stated"
    if published is None:
        published, basis = assumed_publication(end), "assumed"
        reading.fault(
            "no_date", "note", "", "no date of signature", "ngày ... tháng ... năm ...",
            f"{published.isoformat()} was assumed, the fifth day after the period.",
        )  # fmt: skip
    elif published < end.replace(day=1):
        reading.fault(
            "dated_early", "warning", "", f"signed on {published.isoformat()} for a period ending {end.isoformat()}",
            "a later date", "Check the title and the date.",
        )  # fmt: skip
    if (agency == "molisa" and published >= date(2025, 3, 1)) or (agency == "moha" and published < date(2025, 3, 1)):
        reading.fault(
            "agency_date", "warning", "A1", f"agency {agency} on {published.isoformat()}",
            "the ministry of labour until February 2025, of home affairs since March 2025", "Check the document.",
        )  # fmt: skip
    lowered = [line for line in match.title.split("\n") if line.strip()]
    titles = [line for line in lowered if any(fold(text) in fold(line) for text in match.layout.titles)]
    edition = ""
    for entry in match.layout.editions:
        if entry["first_seen_on"] <= published and published <= entry.get("last_seen_on", date.max):
            edition = f"{match.layout.name}-{entry['code']}"
    return Document(
        title=" ".join((titles or lowered or [reading.file])[0].split()),
        agency_code=agency,
        kind_code=match.layout.kind,
        published_on=published,
        published_on_basis_code=basis,
        source_url=source,
        edition_code=edition or match.layout.name,
        is_practice=any(_PRACTICE in fold(text) for _, text in lines),
    )


def _rows(reading: _Reading, on: date) -> list[_Row]:
    sheet, match = reading.sheet, reading.match
    label_column = next(column for column, entry in match.columns.items() if entry.role == "destination")
    number_column = next((column for column, entry in match.columns.items() if entry.role == "number"), None)
    figure_columns = [column for column, entry in match.columns.items() if entry.role == "figure"]
    rows: list[_Row] = []
    for number in range(match.last_row + 1, sheet.last_row + 1):
        cells = sheet.row(number)
        if not cells:
            continue
        has_figures = any(_is_figure_like(sheet.cell(number, column)) for column in figure_columns)
        first_text = next((cell.text for cell in cells if isinstance(cell.content, str)), "")
        if not has_figures and any(fold(first_text).startswith(word) for word in _END_WORDS):
            break
        label_cell = sheet.cell(number, label_column)
        label = label_cell.text
        if (
            not label
            and number_column is not None
            and not re.fullmatch(r"[\divxlcIVXLC.]*", sheet.cell(number, number_column).text)
        ):
            label_cell = sheet.cell(number, number_column)
            label = label_cell.text
        if not label and not has_figures:
            continue
        address = f"{column_letters(label_column)}{number}"
        if number in sheet.hidden_rows:
            reading.fault(
                "hidden_row", "note", address, f"hidden row {label!r}", "visible rows",
                "It was not loaded. Show the row in the file if it belongs to the table.",
            )  # fmt: skip
            continue
        if not label:
            reading.fault(
                "no_label", "error", address, "figures without a label", "a destination, a region or a total",
                "The row was quarantined. Ask the provider which market it is.",
            )  # fmt: skip
            rows.append(_Row(number, "unknown", (), ""))
            continue
        row = _row_of(label, number, on)
        if row.kind == "unknown":
            if not has_figures:
                continue
            nearest = destinations().nearest(label)
            reading.fault(
                "unknown_label", "error", address, f"label {label!r}", "a known destination, region or total",
                "The row was quarantined. "
                + (f"Nearest known: {', '.join(nearest)}. " if nearest else "")
                + "Add the label to labels/destinations.csv if it is right.",
            )  # fmt: skip
        reading.recognised[sheet.name, label_cell.address] = f"{row.kind} {'+'.join(row.codes)}".strip()
        rows.append(row)
    return rows


def _is_figure_like(cell: Cell) -> bool:
    """True for a number, a text with a digit, a dash or an ellipsis; a signature in a figure column is none of them."""
    if cell.content is None or isinstance(cell.content, str):
        return bool(re.search(r"\d", cell.text)) or cell.text in ("-", "–", "—", "…", "...") or cell.is_error
    return True


def _row_of(label: str, number: int, on: date) -> _Row:
    """What a row label is: total, other markets, region, one destination, a group of them, or unknown."""
    is_computed = bool(_COMPUTED.search(label))
    bare = re.sub(r"^\s*(?:\d+|[IVX]+)\s*[.)]\s+", "", _COMPUTED.sub("", label))
    table = destinations()
    code = table.code(bare, on)
    if code is not None:
        kind = {"_T": "total", "_O": "other"}.get(code, "destination")
        return _Row(number, kind, (code,), bare, is_computed)
    if fold(bare) in regions():
        return _Row(number, "region", (), bare)
    without_words = re.sub(r"(?i)^\s*(?:thị trường|nước)\s+", "", bare)
    if table.code(without_words, on) is not None:
        return _Row(number, "destination", (str(table.code(without_words, on)),), bare)
    codes = [table.code(part, on) for part in _SPLIT.split(bare) if part]
    if len(codes) > 1 and all(found is not None and not found.startswith("_") for found in codes):
        return _Row(number, "group", tuple(sorted(str(found) for found in codes)), bare)
    return _Row(number, "unknown", (), bare)


def _plain(cell: Cell) -> str | float | None:
    """The content as numbers are read from it: text or number; errors, dates and truth values become text that is no number."""
    if cell.is_error:
        return f"error {cell.content}"
    if isinstance(cell.content, bool | date):
        return str(cell.content)
    return cell.content


def _column(reading: _Reading, column: int, entry: LayoutColumn, rows: list[_Row]) -> dict[int, Number]:
    """The cells of one figure column, read as a whole: row number -> number."""
    sheet = reading.sheet
    cells = [sheet.cell(row.number, column) for row in rows]
    contents = [_plain(cell) for cell in cells]
    if entry.unit == "percent":
        file_separators = separators_of(
            [cell.content for cell in sheet.cells.values() if isinstance(cell.content, str)]
        )
        if file_separators == "unknown":
            counts = [
                read_counts([_plain(sheet.cell(row.number, other)) for row in rows]).style
                for other, found in reading.match.columns.items()
                if found.role == "figure" and found.unit != "percent"
            ]
            file_separators = separators_of_counts(counts)
        read = read_percents(
            contents, as_percent_format=[cell.is_percent for cell in cells], file_separators=file_separators
        )
    else:
        read = read_counts(contents)
    letters = column_letters(column)
    head = f"{letters}{reading.match.first_row}"
    if "+" in read.style:
        reading.fault(
            "mixed_separators", "warning", head, f"thousands grouped by {read.style.replace('+', ' and ')} in one column",
            "one separator", "All were read as thousands, as persons have no fractions. Check the file.",
        )  # fmt: skip
    reading.recognised[sheet.name, head] = (
        f"{entry.series} {entry.window} {entry.sex}; {'; '.join(read.evidence) or 'plain numbers'}"
    )
    return {row.number: number for row, number in zip(rows, read.numbers, strict=True)}


def _window(entry: LayoutColumn, period: TitlePeriod) -> tuple[str, str]:
    """Window and period code of a figure column: a cumulative figure of twelve months is the year."""
    if entry.window == "title":
        # The column counts whatever the title names.
        if period.kind == "quarter":
            return "quarter", f"{period.year}Q{period.month // 3}"
        if period.kind == "month":
            return "month", f"{period.year}{period.month:02}"
    if entry.window == "quarter":
        return "quarter", f"{period.year}Q{period.month // 3}"
    if entry.window in ("cumulative", "title") and period.month == 12:
        return "year", str(period.year)
    window = "cumulative" if entry.window == "title" else entry.window
    return window, f"{period.year}{period.month:02}"


def _header_month(reading: _Reading, column: int) -> int | None:
    """The month that a header itself names ("Lũy kế 9 tháng", "Tháng 10"), if any."""
    for row in range(reading.match.first_row, reading.match.last_row + 1):
        folded = fold(reading.sheet.spread(row, column).text)
        found = re.search(rf"(?:(\d{{1,2}}) {fold('tháng')}|{fold('tháng')} (\d{{1,2}}))\b", folded)
        if found:
            return int(found.group(1) or found.group(2))
    return None


def _figures(
    reading: _Reading,
    column: int,
    entry: LayoutColumn,
    rows: list[_Row],
    readings: dict[int, dict[int, Number]],
    period: TitlePeriod,
) -> list[Figure]:
    month = _header_month(reading, column)
    if entry.period == "header" and month is not None:
        period = TitlePeriod(period.year, month, "month")
    window, period_code = _window(entry, period)
    numbers = readings[column]
    women_column = next(
        (
            other
            for other, found in reading.match.columns.items()
            if found.role == "figure"
            and found.series == entry.series
            and found.window == entry.window
            and found.sex == "F"
        ),
        None,
    )
    conflict: tuple[str, ...] = ()
    if month is not None and month != period.month and any(number.status != "blank" for number in numbers.values()):
        conflict = (
            reading.fault(
                "period_conflict", "error", f"{column_letters(column)}{reading.match.first_row}",
                f"month {month} in the header and {period.month} in the title", "one month",
                "The column was quarantined. Ask the provider which is right.",
            ),
        )  # fmt: skip
    figures: list[Figure] = []
    for row in rows:
        number = numbers[row.number]
        cell = reading.sheet.cell(row.number, column)
        if number.status in ("blank", "not_available") or row.kind == "region":
            continue
        base = Figure(
            series_code=entry.series,
            window_code=window,
            period_code=period_code,
            destination_code="+".join(row.codes) or "_U",
            sex_code=entry.sex,
            value=number.value,
            precision_code=number.precision,
            resolution=number.resolution,
            confidence_code="computed" if row.is_computed else "confirmed",
            destination_label=row.label,
            pointer=reading.pointer(row.number, column),
            printed=cell.text,
            rejections=conflict,
        )
        base = replace(base, finality_code=finality(window, base.precision_code, base.confidence_code))
        if row.kind == "unknown":
            base = replace(base, rejections=(*base.rejections, f"unknown destination label {row.label!r}"))
        if number.status == "fault":
            message = reading.fault(
                "bad_number", "error", f"{column_letters(column)}{row.number}", repr(cell.text)
                + (f" shown as {cell.content}" if cell.is_error else ""),
                "a percentage" if entry.unit == "percent" else "a count of persons",
                f"{number.fault}."
                + (f" Possible readings: {', '.join(number.candidates)}." if number.candidates else "")
                + " The figure was quarantined.",
            )  # fmt: skip
            base = replace(base, value=None, rejections=(*base.rejections, message))
        elif number.value is not None and number.value < 0 and entry.unit == "persons":
            message = reading.fault(
                "negative", "error", f"{column_letters(column)}{row.number}", cell.text, "a count of 0 or more",
                "A correction belongs in a revised bulletin. The figure was quarantined.",
            )  # fmt: skip
            base = replace(base, rejections=(*base.rejections, message))
        split = row.codes if row.kind == "group" and number.each else (base.destination_code,)
        for code in split:
            figures.append(replace(base, destination_code=code))
            women_blank = women_column is None or readings[women_column][row.number].status in (
                "blank",
                "not_available",
            )
            if number.men_only and entry.sex == "_T" and women_blank:
                figures.append(replace(base, destination_code=code, sex_code="F", value=0.0))
        if row.kind == "group" and not number.each:
            reading.fault(
                "group", "note", f"{column_letters(column)}{row.number}", f"one number for {row.label!r}",
                "one number per destination", "It was kept as a group and not split.",
            )  # fmt: skip
    return figures


def _line_figures(reading: _Reading, rows: list[_Row], period: TitlePeriod) -> list[Figure]:
    """Figures in the lines around the table: plan of the year, five-year period, stock abroad."""
    table_rows = {row.number for row in rows}
    figures: list[Figure] = []
    for cell, text in _outside_lines(reading):
        if cell.row in table_rows:
            continue
        series = next(
            (series for start, series in reading.match.layout.lines if fold(text).startswith(fold(start))), None
        )
        if series is None:
            continue
        head, _, tail = text.partition(":")
        counts = re.findall(r"(?:trên |khoảng |hơn )?\d{1,3}(?:[.,\u00a0 ]\d{3})+", tail)
        numbers = read_counts(counts).numbers
        years = re.findall(r"\b(?:19|20)\d{2}\b", head)
        pointer = reading.pointer(cell.row, cell.column)
        found: list[Figure] = []
        if series == "plan" and numbers and years:
            bounds = [number.value for number in numbers[:2]]
            found.append(Figure("plan", "year", years[0], "_T", "_T", bounds[-1], finality_code="final"))
            if len(bounds) == 2:
                found.append(Figure("plan_lower", "year", years[0], "_T", "_T", bounds[0], finality_code="final"))
        elif series == "plan_period" and numbers and len(years) == 2:
            code = "_".join(years)
            percent = re.findall(r"\d+(?:[.,]\d+)?\s*%", tail)
            number = numbers[0]
            found.append(
                Figure(
                    "deployments", "plan_period", code, "_T", "_T", number.value, "rounded", _round_unit(number.value)
                )
            )
            if percent:
                share = read_percents(percent[:1]).numbers[0]
                found.append(
                    Figure(
                        "plan_achievement_percent",
                        "plan_period",
                        code,
                        "_T",
                        "_T",
                        share.value,
                        "exact",
                        share.resolution,
                    )
                )
        elif series == "stock" and numbers:
            number = numbers[0]
            code = f"{period.year}{period.month:02}"
            found.append(Figure("stock", "point", code, "_T", "_T", number.value, "rounded", _round_unit(number.value)))
        if not found:
            reading.fault(
                "unread_line", "warning", cell.address, f"line {text[:80]!r}", f"a figure of {series}",
                "Nothing was loaded from it.",
            )  # fmt: skip
        reading.recognised[reading.sheet.name, cell.address] = f"line of {series}"
        figures.extend(replace(figure, pointer=pointer, printed=text) for figure in found)
    return figures


def _round_unit(value: float | None) -> float:
    unit = 1
    while value and value % (unit * 10) == 0:
        unit *= 10
    return float(unit)


def _without_repeats(reading: _Reading, figures: list[Figure]) -> list[Figure]:
    """The same fact twice in one sheet: equal values count once, different ones are both quarantined."""
    by_fact: dict[tuple[str, str, str, str, str], list[Figure]] = {}
    for figure in figures:
        by_fact.setdefault(figure.fact, []).append(figure)
    kept: list[Figure] = []
    for fact, same in by_fact.items():
        sound = [figure for figure in same if not figure.rejections]
        values = {figure.value for figure in sound}
        if len(sound) < 2 or len(values) == 1:
            kept.extend(figure for figure in same if figure.rejections)
            kept.extend(sound[:1])
            continue
        message = reading.fault(
            "repeated", "error", ", ".join(figure.pointer.rpartition("!")[2] for figure in sound),
            f"{len(sound)} different figures for {' '.join(fact)}", "one", "Both were quarantined. Ask the provider.",
        )  # fmt: skip
        kept.extend(replace(figure, rejections=(*figure.rejections, message)) for figure in same)
    return kept


def _check_subtotals(reading: _Reading, rows: list[_Row], readings: dict[int, dict[int, Number]]) -> None:
    """Every regional subtotal equals the rows under it; a difference is reported and the subtotal stays out of the facts."""
    for column, numbers in readings.items():
        if reading.match.columns[column].unit == "percent":
            continue
        for index, row in enumerate(rows):
            if row.kind != "region" or numbers[row.number].value is None:
                continue
            parts: list[Number] = []
            for below in rows[index + 1 :]:
                if below.kind not in ("destination", "group"):
                    break
                parts.append(numbers[below.number])
            if not parts or any(part.status != "value" for part in parts):
                continue
            total = sum(part.value or 0 for part in parts)
            if total != numbers[row.number].value:
                reading.fault(
                    "subtotal", "warning", f"{column_letters(column)}{row.number}",
                    f"subtotal {numbers[row.number].value:.0f} of {row.label}", f"{total:.0f}, the sum of its rows",
                    "The subtotal is not loaded; check its rows.",
                )  # fmt: skip
