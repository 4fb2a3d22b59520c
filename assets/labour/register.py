"""Contract registers: rows with identifiers in, rows without them out.

Belongs here: recognising a register, hashing and coarsening identifiers in memory (`pseudonymise`), the safe form that is
landed, and reading that form into contracts (`read_safe_register`). Does not belong here: bulletins, arithmetic over
contracts (`methods.contracts`), the key.

What is kept of a person: a keyed token, sex, year of birth, province, whether of age at departure. Names, numbers, birth
dates, communes, employers and job titles are dropped. No fault and no log line quotes a cell of an identifier column.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from assets.labour.faults import Fault
from assets.labour.figures import Document, ReadResult
from assets.labour.labels import FOLDER as LABELS
from assets.labour.labels import AliasTable, destinations, fold, read_aliases
from assets.labour.numbers import read_counts
from assets.labour.periods import read_date, signed_on, title_period, window_bounds
from assets.labour.workbook import Cell, Sheet, Workbook, column_letters
from methods.pseudonym import Pseudonymiser

FOLDER = Path(__file__).parent / "register_layouts"
WITHHELD = "(withheld: not a label)"
"""Stands in the safe form for a cell that may name a person."""
SAFE_NAME = "safe-register.jsonl"
"""Name under which the safe form of a register is landed."""
PROGRAMME = "labour_export"
"""Domain of the tokens: they cannot be joined with those of a health programme."""
ADULT_YEARS = 18

_IDENTIFIER_NUMBER = re.compile(r"^(?:\d{12}|\d{9}|[A-Z]\d{7,8})$")
_DATES = ("signed_on", "departed_on", "expected_end_on", "returned_on", "examined_on")
_LAST_OLD_PROVINCE_DAY = date(2025, 6, 30)


@dataclass(frozen=True)
class RegisterField:
    """One field of a register: its header labels, and whether it identifies a person."""

    name: str
    labels: tuple[str, ...]
    identifier: bool = False
    required: bool = False


@dataclass(frozen=True)
class RegisterLayout:
    """The fields of one form of register, and how many must be found to recognise it."""

    name: str
    titles: tuple[str, ...]
    minimum_fields: int
    fields: tuple[RegisterField, ...]


@dataclass(frozen=True)
class RegisterMatch:
    """A register found in a sheet: its header row and the column of each field."""

    layout: RegisterLayout
    header_row: int
    columns: Mapping[str, int]
    unknown: tuple[Cell, ...]


@cache
def register_layouts() -> tuple[RegisterLayout, ...]:
    """The register forms shipped with the code, in name order."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        fields = tuple(
            RegisterField(
                f["name"], tuple(map(fold, f["labels"])), f.get("identifier", False), f.get("required", False)
            )
            for f in raw["field"]
        )
        found.append(RegisterLayout(raw["name"], tuple(map(fold, raw["title"])), raw["minimum_fields"], fields))
    return tuple(found)


@cache
def _table(name: str) -> AliasTable:
    return read_aliases(LABELS / f"{name}.csv")


def find_register(sheet: Sheet) -> RegisterMatch | None:
    """The register in a sheet, or None. Its required fields must stand in one row with at least the minimum of others."""
    best: RegisterMatch | None = None
    for layout in register_layouts():
        for row in range(1, min(sheet.last_row, 30) + 1):
            columns: dict[str, int] = {}
            unknown = []
            for cell in sheet.row(row):
                folded = fold(cell.text)
                name = next((f.name for f in layout.fields if folded in f.labels and f.name not in columns), None)
                if name:
                    columns[name] = cell.column
                elif folded not in ("tt", "stt"):
                    unknown.append(cell)
            if len(columns) < layout.minimum_fields or not all(f.name in columns for f in layout.fields if f.required):
                continue
            if best is None or len(columns) > len(best.columns):
                best = RegisterMatch(layout, row, columns, tuple(unknown))
    return best


def holds_identifiers(book: Workbook) -> bool:
    """True when a file looks as if it names persons: an identifying header, or three cells shaped like identity numbers."""
    labels = {
        label for layout in register_layouts() for f in layout.fields
        if f.name in ("full_name", "birth_date", "national_id", "passport") for label in f.labels
    }  # fmt: skip
    numbers = 0
    for sheet in book.sheets:
        for cell in sheet.cells.values():
            if fold(cell.text) in labels:
                return True
            if _IDENTIFIER_NUMBER.match(cell.text.replace(" ", "").lstrip("'")) and not isinstance(cell.content, date):
                numbers += 1
    return numbers >= 3


def is_register(book: Workbook) -> bool:
    """True when a visible or hidden sheet of the file is a contract register."""
    return any(find_register(sheet) is not None for sheet in book.sheets)


# --- in memory, before landing -----------------------------------------------------------------------------------


def pseudonymise(book: Workbook, pseudonymiser: Pseudonymiser) -> tuple[bytes, int]:
    """The register in its safe form (JSON lines: one head, then one line per row) and the number of rows.

    Identifiers are gone: hashed (person, contract), coarsened (year of birth, of age or not) or dropped. Cells of columns
    that no layout knows are dropped too, because nobody can say whether they name a person.
    """
    lines: list[dict[str, Any]] = []
    head: dict[str, Any] = {"form": "safe-register", "key_id": pseudonymiser.key_id, "sheets": []}
    for sheet in book.sheets:
        match = find_register(sheet)
        if match is None:
            continue
        title = "\n".join(" ".join(cell.text for cell in sheet.row(row)) for row in range(1, match.header_row))
        head["sheets"].append(
            {
                "sheet": sheet.name,
                "layout": match.layout.name,
                "title": _safe_title(title),
                "published_on": _iso(next((day for line in title.split("\n") if (day := signed_on(line))), None)),
                "is_practice": fold("dữ liệu thực hành") in fold(title),
                "dropped_columns": [cell.address for cell in match.unknown],
                "encoding": book.encoding,
            }
        )
        for row in range(match.header_row + 1, sheet.last_row + 1):
            record = _safe_row(sheet, match, row, pseudonymiser)
            if record is None:
                continue
            if pseudonymiser.is_erased("person", record["person_token"]) or pseudonymiser.is_erased(
                "contract", record["contract_token"]
            ):
                head["erased_rows"] = head.get("erased_rows", 0) + 1
                continue
            lines.append(record)
    text = "\n".join(json.dumps(line, ensure_ascii=False, sort_keys=True) for line in [head, *lines])
    return (text + "\n").encode(), len(lines)


def _safe_title(title: str) -> str:
    """The title lines that say what the file is; other lines above a register may name people."""
    kept = [
        line.strip() for line in title.split("\n")
        if any(text in fold(line) for layout in register_layouts() for text in layout.titles)
    ]  # fmt: skip
    return kept[0] if kept else "contract register"


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _safe_row(sheet: Sheet, match: RegisterMatch, row: int, pseudonymiser: Pseudonymiser) -> dict[str, Any] | None:
    values = {name: sheet.cell(row, column) for name, column in match.columns.items()}
    if sum(bool(cell.text) for cell in values.values()) < 2:
        return None

    def text(name: str) -> str:
        return values[name].text.lstrip("'") if name in values else ""

    born = read_date(values["birth_date"].content) if "birth_date" in values else None
    departed = read_date(values["departed_on"].content) if "departed_on" in values else None
    number = re.sub(r"\D", "", text("national_id"))
    # A citizen number kept as a number by Excel has lost its leading zero: 11 digits were 12.
    token, basis = pseudonymiser.person_token(PROGRAMME, national_id=number.zfill(12) if len(number) == 11 else number)
    if token is None and text("passport"):
        token = pseudonymiser.token(PROGRAMME, "passport", [re.sub(r"\W", "", text("passport")).casefold()])
        basis = "passport"
    if token is None:
        token, basis = pseudonymiser.person_token(
            PROGRAMME, family_name=text("full_name"), birth_date=born.isoformat() if born else ""
        )
    contract = re.sub(r"\s", "", text("contract_number")).casefold()
    # Two contract numbers may be equal across enterprises; the licence number tells them apart.
    contract_token = (
        pseudonymiser.token(PROGRAMME, "contract", [text("enterprise_code") or "-", contract]) if contract else None
    )
    record: dict[str, Any] = {
        "sheet": sheet.name,
        "row": row,
        "contract_token": contract_token,
        "person_token": token,
        "token_basis_code": basis,
        "birth_year": born.year if born else None,
        "is_of_age_at_departure": _is_of_age(born, departed),
        "has_orientation_certificate": bool(text("orientation_certificate"))
        if "orientation_certificate" in values
        else None,
    }
    safe = [f.name for f in match.layout.fields if not f.identifier and f.name in values]
    for name in safe:
        cell = values[name]
        if name in _DATES:
            day = read_date(cell.content)
            # A cell that is no date is told by its shape only: it may hold anything, also a name.
            record[name] = _iso(day) if day else ("unreadable" if cell.text else None)
        else:
            record[name] = _safe_text(name, cell.text)
    record["columns"] = {name: column_letters(match.columns[name]) for name in safe}
    return record


_TABLES = {
    "sex": "sexes", "sector": "sectors", "contract_type": "contract_types", "return_reason": "return_reasons",
    "examination_result": "examination_results", "province": "provinces", "destination": "destinations",
}  # fmt: skip
_FAMILY_NAMES = {
    fold(name)
    for name in ("nguyễn", "trần", "lê", "phạm", "hoàng", "huỳnh", "phan", "vũ", "võ", "đặng", "bùi", "đỗ", "hồ", "ngô",
                 "dương", "lý", "đinh", "đào", "trương", "lâm", "mai", "trịnh", "cao", "đoàn")
}  # fmt: skip


def _safe_text(name: str, text: str) -> str | None:
    """A cell of a coded or numeric column, unless columns have slipped and it names a person.

    Labels that a table knows are kept. Unknown ones are kept for the report, but never one with a long number or one that
    begins with a family name: a row shifted by one column must not carry a name past this point.
    """
    if not text:
        return None
    if name in _TABLES:
        if _table(_TABLES[name]).code(text) is not None or any(
            fold(alias.label) == fold(text) for alias in _table(_TABLES[name]).aliases
        ):
            return text
        words = fold(text).split()
        if re.search(r"\d{5}", text) or (len(words) >= 2 and words[0] in _FAMILY_NAMES) or len(words) > 6:
            return WITHHELD
        return text
    if name.endswith("_currency"):
        return text.upper() if re.fullmatch(r"[A-Za-z]{3}", text) else None
    if name == "enterprise_code":
        return text if re.fullmatch(r"\d{1,4}(?:/[\w\-./ ]{1,25})?", text) else None
    return text if re.fullmatch(r"[\d.,\s\u00a0'-]+", text) and len(text) <= 15 else WITHHELD


def _is_of_age(born: date | None, departed: date | None) -> bool | None:
    if born is None or departed is None:
        return None
    birthday_reached = (departed.month, departed.day) >= (born.month, born.day)
    return departed.year - born.year - (0 if birthday_reached else 1) >= ADULT_YEARS


# --- from the landed safe form -----------------------------------------------------------------------------------


def read_safe_register(data: bytes, name: str) -> ReadResult:
    """The contracts of a landed register, each with its reasons for rejection, and all faults by cell.

    A row with an unknown label or an impossible date is rejected whole: half a contract would count wrongly in every
    indicator that needs the other half.
    """
    lines = [json.loads(line) for line in data.decode("utf-8").splitlines() if line.strip()]
    head, rows = lines[0], lines[1:]
    sheets = {entry["sheet"]: entry for entry in head["sheets"]}
    faults: list[Fault] = []
    first = head["sheets"][0]
    period = title_period(first["title"])
    published = date.fromisoformat(first["published_on"]) if first["published_on"] else None
    basis = "stated"
    if published is None and period is not None:
        published, basis = window_bounds("month", f"{period.year}{period.month:02}")[1], "assumed"
    if published is None:
        faults.append(
            Fault("no_date", "error", name, first["sheet"], "", "neither date nor period above the table",
                  "a title with a month or a line ngày ... tháng ... năm ...", "Add it; the register was not loaded.")
        )  # fmt: skip
        return ReadResult(name, first["layout"], first["encoding"], None, faults=tuple(faults))
    for entry in sheets.values():
        if entry["dropped_columns"]:
            faults.append(
                Fault("unknown_column", "note", name, entry["sheet"], ", ".join(entry["dropped_columns"]),
                      f"{len(entry['dropped_columns'])} columns that no layout knows", "fields of the register form",
                      "They were dropped before landing. Add them to the register layout if they are needed.")
            )  # fmt: skip
    document = Document(
        title=first["title"],
        agency_code="practice" if first["is_practice"] else ("moha" if published >= date(2025, 3, 1) else "molisa"),
        kind_code="register",
        published_on=published,
        published_on_basis_code=basis,
        edition_code=first["layout"],
        is_practice=first["is_practice"],
    )
    seen: dict[str, str] = {}
    contracts = []
    for row in rows:
        contract, row_faults = _contract(row, name, published, head["key_id"])
        token = contract["contract_token"]
        if token and token in seen and not contract["rejections"]:
            fault = Fault("repeated", "error", name, row["sheet"], f"row {row['row']}", f"a contract that stands in {seen[token]} too",
                          "one row per contract", "The later row was quarantined. Send each contract once.")  # fmt: skip
            row_faults.append(fault)
            contract["rejections"].append(fault.message)
        elif token:
            seen[token] = f"row {row['row']}"
        faults.extend(row_faults)
        contracts.append(contract)
    return ReadResult(
        name, first["layout"], first["encoding"], document, contracts=tuple(contracts), faults=tuple(faults)
    )


_CODED = (
    # field, column, alias table, what to do when the cell is blank
    ("sex", "sex_code", "sexes", "_U"),
    ("sector", "sector_code", "sectors", "_U"),
    ("contract_type", "contract_type_code", "contract_types", "_U"),
    ("return_reason", "return_reason_code", "return_reasons", "_Z"),
    ("examination_result", "examination_result_code", "examination_results", "_U"),
)


def _contract(row: dict[str, Any], name: str, published: date, key_id: str) -> tuple[dict[str, Any], list[Fault]]:
    faults: list[Fault] = []

    def fault(code: str, column: str, found: str, expected: str, advice: str) -> None:
        cell = f"{row.get('columns', {}).get(column, '')}{row['row']}"
        faults.append(
            Fault(code, "error", name, row["sheet"], cell, found, expected, advice + " The row was quarantined.")
        )

    contract: dict[str, Any] = {
        key: row[key]
        for key in (
            "contract_token", "person_token", "token_basis_code", "birth_year", "is_of_age_at_departure",
            "has_orientation_certificate",
        )
    } | {"key_id": key_id, "enterprise_code": row.get("enterprise_code")}  # fmt: skip
    if not row["contract_token"]:
        fault(
            "no_contract_number", "contract_number", "no contract number", "one per row", "Ask the enterprise for it."
        )
    for key in _DATES:
        contract[key] = None
        if row.get(key) == "unreadable":
            fault("bad_date", key, "a cell that is no date", "a day such as 31/12/2025", "Correct the cell.")
        elif row.get(key):
            contract[key] = date.fromisoformat(row[key])
    contract["destination_code"] = destinations().code(row.get("destination") or "", published)
    if contract["destination_code"] is None or contract["destination_code"].startswith("_"):
        near = destinations().nearest(row.get("destination") or "")
        fault("unknown_label", "destination", repr(row.get("destination")), "a known destination",
              f"Nearest known: {', '.join(near) or 'none'}.")  # fmt: skip
    for key, column, table, blank in _CODED:
        label = row.get(key)
        contract[column] = blank if not label else _table(table).code(label, published)
        if contract[column] is None:
            near = _table(table).nearest(str(label))
            fault(
                "unknown_label",
                key,
                repr(label),
                f"a label of {table}.csv",
                f"Nearest known: {', '.join(near) or 'none'}.",
            )
    if contract["returned_on"] and contract["return_reason_code"] == "_Z":
        contract["return_reason_code"] = "_U"
    label = row.get("province")
    contract["origin_area_code"] = _province(label, published) if label else "_U"
    if contract["origin_area_code"] is None:
        near = _table("provinces").nearest(str(label))
        fault(
            "unknown_label",
            "province",
            repr(label),
            "a province of that day",
            f"Nearest known: {', '.join(near) or 'none'}.",
        )
    for money in ("wage", "fee"):
        amount = read_counts([row.get(f"{money}_amount")]).numbers[0]
        contract[f"{money}_amount"] = amount.value if amount.status == "value" else None
        currency = (row.get(f"{money}_currency") or "").upper() or None
        contract[f"{money}_currency_code"] = currency
        if amount.status == "fault":
            fault("bad_number", f"{money}_amount", "no amount", "digits, thousands grouped", "Correct the cell.")
        elif amount.value is not None and currency is None:
            fault("no_currency", f"{money}_amount", "an amount without currency", "a currency such as JPY", "Add it.")
    departed, returned, signed = contract["departed_on"], contract["returned_on"], contract["signed_on"]
    if departed and returned and returned < departed:
        fault(
            "return_before_departure",
            "returned_on",
            f"return on {returned}",
            f"a day from {departed} on",
            "Correct one of both.",
        )
    if signed and departed and departed < signed:
        fault(
            "departure_before_contract",
            "departed_on",
            f"departure on {departed}",
            f"a day from {signed} on",
            "Correct one of both.",
        )
    if returned and not departed:
        fault(
            "return_without_departure", "returned_on", "a return without departure", "both days", "Add the departure."
        )
    if contract["is_of_age_at_departure"] is False:
        fault(
            "under_age", "departed_on", "a worker under 18 at departure", "18 years or more", "Check the date of birth."
        )
    contract["pointer"] = f"{row['sheet'] or name}!{row['row']}"
    contract["rejections"] = [entry.message for entry in faults]
    return contract, faults


def _province(label: str, published: date) -> str | None:
    """The province that a label meant on that day; names of the 63 provinces are still written after the merger."""
    code = label.zfill(2) if label.isdigit() else label
    table = _table("provinces")
    return table.code(code, published) or (None if code.isdigit() else table.code(code, _LAST_OLD_PROVINCE_DAY))
