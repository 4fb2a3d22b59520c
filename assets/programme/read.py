"""Registers: small tables of counts that projects and ministries send, read and landed. Those on victims of trafficking are a
source of their own, with an inbox, a landing and a store apart.

Belongs here: the list of registers, checking the rows of their files, landing, load modes. Does not belong here: persons
(a register holds numbers), what an indicator makes of a register, SQL. How to fill in a file: docs/programme.md.
"""

import csv
import io
import math
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from assets.inbox import Intake, standing_files
from assets.loading import Batch, Batches, TableLoad
from assets.programme.workbook import WorkbookFault, sheet_rows
from methods.periods import UnknownPeriodError, parse_period
from warehouse.catalogue.table_catalogue import load_codelist
from warehouse.drift import aliases
from warehouse.landing import Landing, Pull, Receipt

ROOM = Path(__file__).parent
PullFactory = Callable[[str], Pull]

COLUMNS = ("register", "area", "period", "sex", "age", "origin", "destination", "category", "number", "note")
IDENTIFYING = ("area", "period", "sex", "age", "origin", "destination", "category")
REQUIRED = ("register", "area", "period", "number")
SEXES = ("", "F", "M", "_U")
SUFFIXES = (".csv", ".xlsx")

LONGEST_CELL = 300
"""Characters of a cell that are read. Comparing 20,000 with the known codes took seconds a row (found by fuzzing)."""
SCHEMA: dict[str, Any] = {
    "file_code": pl.String, "register_code": pl.String, "record_code": pl.String, "area_code": pl.String,
    "period_start_on": pl.Date, "period_end_on": pl.Date, "sex_code": pl.String, "age_code": pl.String,
    "origin_code": pl.String, "destination_code": pl.String, "category_code": pl.String, "quantity": pl.Float64,
    "note_code": pl.String, "is_practice": pl.Boolean, "receipt_id": pl.String, "pointer": pl.String,
    "rejections": pl.List(pl.String),
}  # fmt: skip


@dataclass(frozen=True)
class RegisterSource:
    """A source that sends registers: its code, the tables its rows are staged and kept in, and whether its registers are the
    restricted ones."""

    code: str
    staging: str
    kept: str
    restricted: bool


PROGRAMME = RegisterSource("programme", "staging.programme_count", "core.programme_count", restricted=False)
VICTIMS = RegisterSource("victims", "staging.victim_count", "restricted.victim_count", restricted=True)


@dataclass(frozen=True)
class Register:
    """One register that may be sent: titles, what a number counts, permitted periods and categories, and whether it is restricted.

    `asks`: the breakdown columns that its template shows. `second`: codes that may follow a category after a slash.
    `most`: the largest number a row may hold (1 for yes and no).
    """

    code: str
    title: Mapping[str, str]
    guide: Mapping[str, str]
    period_types: tuple[str, ...]
    asks: tuple[str, ...]
    categories: tuple[str, ...]
    second: tuple[str, ...] = ()
    most: float | None = None
    restricted: bool = False

    @property
    def category_codes(self) -> tuple[str, ...]:
        """Every category that a row may name; empty when they are free."""
        return (*self.categories, *(f"{first}/{then}" for first in self.categories for then in self.second))


@cache
def registers() -> Mapping[str, Register]:
    """The registers by code."""
    raw = tomllib.loads((ROOM / "registers.toml").read_text(encoding="utf-8"))
    found: dict[str, Register] = {}
    for code, entry in raw.items():
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        found[code] = Register(code, **values)
    return found


def template(code: str, language: str = "en") -> str:
    """An empty register file with the title and the permitted codes as comment lines, ready to fill in and send back."""
    register = registers()[code]
    words = {
        "en": ("period", "category", "free or empty"),
        "vi": ("kỳ", "nhóm", "tự do hoặc để trống"),
    }[language]
    lines = [
        f"# {register.title[language]}",
        f"# {register.guide[language]}",
        f"# {words[0]}: {', '.join(register.period_types)}",
        f"# {words[1]}: {', '.join(register.category_codes) or words[2]}",
        ",".join(COLUMNS),
        code + "," * (len(COLUMNS) - 1),
    ]
    return "\n".join(lines) + "\n"


def shipped_files() -> list[Path]:
    """Registers of published statements that come with the code."""
    return sorted((ROOM / "published").glob("*.csv"))


def pull_files(
    paths: Iterable[Path], pull_factory: PullFactory, landed: Collection[str], source: RegisterSource = PROGRAMME
) -> Intake:
    """Every file whose bytes are new is landed as it is, in name order. Files still being written (a leading dot or the
    suffix .part) wait. `landed` holds the hashes of files known already. A file of the other source is a fault and stays where
    it is: what speaks of victims is never landed among the open registers."""
    pulled = Intake()
    files = sorted((path for path in paths if _is_register_file(path)), key=lambda found: found.name)
    for name, data, sha256 in pulled.new_files(source.code, files, set(landed)):
        rows = read_file(data, name, "", False, source)
        fault = _misplaced(rows, data, name, source)
        if fault is not None:
            pulled.faults.append(fault)
            continue
        pull = pull_factory(Path(name).stem)
        pull.restart()
        pull.write(name, data)
        pulled.receipts.append(pull.finish("file", f"inbox:{name}", {"name": name, "sha256": sha256}, rows.height))
    return pulled


def pull_inbox(
    folder: Path, pull_factory: PullFactory, landed: Collection[str], source: RegisterSource = PROGRAMME
) -> Intake:
    """Every new file of the inbox folder is landed; an inbox that does not exist yet is empty."""
    return pull_files(standing_files(inbox_files(folder)), pull_factory, landed, source)


def _misplaced(rows: pl.DataFrame, data: bytes, name: str, source: RegisterSource) -> str | None:
    """What is wrong with a file that holds a register of the other source; None for a file in its place."""
    # A mistyped code is taken for the nearest one, so that a slip does not bring victims among the open registers.
    named = {
        code if code in registers() else next(iter(get_close_matches(code, list(registers()), 1)), code)
        for code in rows["register_code"].drop_nulls()
    }
    of_others = sorted(code for code, register in registers().items() if register.restricted != source.restricted)
    # Of a file without a readable header no row has a register: its text is searched, where it is text.
    is_text = name.lower().endswith(".csv") and not source.restricted
    found = [code for code in of_others if code in named or (is_text and code.encode() in data)]
    if not found:
        return None
    if source.restricted:
        return (
            f"victims inbox: {name} holds {found[0]}, which is no register of victim support. Nothing of the file was taken in; "
            "put its other registers into a file of their own in the programme inbox."
        )
    return (
        f"programme inbox: {name} holds {found[0]}, a restricted register. Nothing of the file was taken in; put the rows of "
        f"{', '.join(found)} into a file of their own in the victims inbox, and take this file away."
    )


def inbox_files(folder: Path) -> list[Path]:
    """The register files of an inbox, in name order; an empty list when there is no folder yet."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.glob("*")) if path.is_file() and _is_register_file(path)]


def _is_register_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith((".", "~$"))


def read_file(
    data: bytes, name: str, receipt_id: str, is_practice: bool, source: RegisterSource = PROGRAMME
) -> pl.DataFrame:
    """The rows of one register file (CSV or workbook), each with its reasons to be rejected, if any.

    Comment lines (#) and rows of a template that hold nothing but the register's code are passed over. A file without the
    expected header is one rejected row that says so: nothing received disappears uncounted.
    """
    base = {"file_code": Path(name).stem, "receipt_id": receipt_id, "is_practice": is_practice}
    try:
        header, lines = _workbook(data, name) if name.lower().endswith(".xlsx") else _csv(data, name)
    except WorkbookFault as fault:
        return pl.DataFrame([{**base, "pointer": name, "rejections": [f"file: {fault}"]}], schema=SCHEMA)
    known_as = {alias: column for alias, column in aliases(source.code).items() if column not in header}
    header = [known_as.get(column, column) for column in header]
    lines = [(pointer, {known_as.get(column, column): text for column, text in raw.items()}) for pointer, raw in lines]
    missing = [column for column in REQUIRED if column not in header]
    # A heading beyond ours is passed over and named (warehouse.drift); one that may be a slip of ours is not.
    absent = [column for column in COLUMNS if column not in header]
    unknown = [
        column for column in header if column not in COLUMNS and (missing or get_close_matches(column, absent, 1))
    ]
    if missing or unknown:
        reason = f"header: missing {missing}, unknown {unknown}; expected {','.join(COLUMNS)}"
        return pl.DataFrame([{**base, "pointer": f"{name}:1", "rejections": [reason]}], schema=SCHEMA)
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str | None, str]] = set()
    for pointer, raw in lines:
        if not any((text or "").strip() for column, text in raw.items() if column != "register"):
            continue
        row = {**base, **_row(raw, pointer)}
        if (row["register_code"], row["record_code"]) in seen:
            row["rejections"].append("the same register, area, period and breakdown stand twice in the file; keep one")
        seen.add((row["register_code"], row["record_code"]))
        rows.append(row)
    return pl.DataFrame(rows, schema=SCHEMA)


def _csv(data: bytes, name: str) -> tuple[list[str], list[tuple[str, Mapping[str, str | None]]]]:
    text = data.decode("utf-8-sig", errors="replace")
    numbered = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if not line.startswith("#")]
    lines = [(number, line) for number, line in numbered if line.strip()]
    reader = csv.DictReader(io.StringIO("\n".join(line for _, line in lines)))
    try:
        header = [column.strip() for column in reader.fieldnames or []]
        return header, [(f"{name}:{number}", raw) for (number, _), raw in zip(lines[1:], reader, strict=False)]
    except csv.Error as fault:  # a cell of more than 131,072 characters, or a lone carriage return
        raise WorkbookFault(f"cannot be read as CSV ({fault}); save it again as CSV UTF-8 or .xlsx") from fault


def _workbook(data: bytes, name: str) -> tuple[list[str], list[tuple[str, Mapping[str, str | None]]]]:
    header, rows = sheet_rows(data, REQUIRED)
    return header, [(f"{name}:{place}", dict(raw)) for place, raw in rows]


@cache
def _notes() -> frozenset[str]:
    return frozenset(code.code for code in load_codelist("footnote"))


def _row(raw: Mapping[str, str | None], pointer: str) -> dict[str, Any]:
    cell = {column: (raw.get(column) or "").strip() for column in COLUMNS}
    faults: list[str] = []
    for column, text in cell.items():
        if len(text) > LONGEST_CELL:
            faults.append(
                f"{column}: {len(text):,} characters; a code, a period or a number has at most {LONGEST_CELL}"
            )
            cell[column] = ""  # not compared with every known code, and not repeated in the reason
    register = registers().get(cell["register"])
    if register is None:
        near = get_close_matches(cell["register"], list(registers()), 1)
        faults.append(f"register: {cell['register']!r} is not known; nearest: {near or sorted(registers())[:5]}")
    start, end = None, None
    try:
        period = parse_period(cell["period"])
        start, end = period.start_on, period.end_on
        if register is not None and period.type_code not in register.period_types:
            faults.append(
                f"period: {cell['period']!r} is {period.type_code}; expected {', '.join(register.period_types)}"
            )
    except UnknownPeriodError:
        faults.append(f"period: {cell['period']!r} is not a period such as 2026, 2026Q1, 202601 or 2026W5")
    if cell["sex"] not in SEXES:
        faults.append(f"sex: {cell['sex']!r}; expected F, M, _U or empty")
    if register is not None and register.categories and cell["category"] not in ("", *register.category_codes):
        after = f", each alone or with one of /{', /'.join(register.second)}" if register.second else ""
        faults.append(f"category: {cell['category']!r}; expected one of {', '.join(register.categories)}{after}")
    if register is not None and register.restricted and len(cell["area"]) != 3:
        faults.append("area: a restricted register speaks of countries only")
    if not cell["area"]:
        faults.append("area: empty; give the code of the country or province")
    if cell["note"] and cell["note"] not in _notes():
        near = get_close_matches(cell["note"], sorted(_notes()), 1)
        faults.append(
            f"note: {cell['note']!r} is no footnote; leave it empty or give a code of the list; nearest: {near}"
        )
    number = _number(cell["number"], faults)
    if register is not None and register.most is not None and number is not None and number > register.most:
        faults.append(f"number: {cell['number']} is above {register.most:g}, the most that {register.code} may hold")
    return {
        "register_code": cell["register"] or None,
        # What the number is about, not the line it stands in: a row inserted above must not look like a change below.
        "record_code": ":".join(cell[name] for name in IDENTIFYING),
        "area_code": cell["area"] or None,
        "period_start_on": start,
        "period_end_on": end,
        **{f"{name}_code": cell[name] or "_T" for name in ("sex", "age", "origin", "destination", "category")},
        "quantity": number,
        "note_code": cell["note"] or None,
        "pointer": pointer,
        "rejections": faults,
    }


def _number(text: str, faults: list[str]) -> float | None:
    try:
        value = float(text)
    except ValueError:
        faults.append(f"number: {text!r}; write digits with a decimal point, and 0 for none")
        return None
    if not 0 <= value < float("inf"):
        faults.append(f"number: {text!r} is below zero or no number")
    return value if math.isfinite(value) else None  # JSON, in which the record is held, has no infinity


def stage_frame(receipts: Sequence[Receipt], landing: Landing, source: RegisterSource = PROGRAMME) -> pl.DataFrame:
    """The rows of the landed files in the shape of the source's staging table. No row of a register of the other source is
    among them, whatever was landed: a restricted one must not even be held back among the open ones."""
    others = [code for code, register in registers().items() if register.restricted != source.restricted]
    rows = [pl.DataFrame(schema=SCHEMA)]
    for receipt in receipts:
        for path in landing.files(receipt):
            frame = read_file(path.read_bytes(), path.name, receipt.receipt_id, receipt.is_practice, source)
            rows.append(frame.filter(~pl.col("register_code").is_in(others).fill_null(False)))
    return pl.concat(rows)


def loads(receipts: Sequence[Receipt], source: RegisterSource = PROGRAMME) -> tuple[TableLoad, ...]:
    """Each file speaks for itself: sent again under its name, it replaces what it said before."""
    codes = sorted({Path(str(receipt.parameters["name"])).stem for receipt in receipts})
    return tuple(TableLoad(source.kept, "snapshot", {"file_code": code}) for code in codes)


def batches(landing: Landing, source: RegisterSource = PROGRAMME) -> Batches:
    """How `assets.loading.load_source` takes the pending receipts: the latest of each file name, in one batch."""

    def of_receipts(receipts: Sequence[Receipt]) -> Iterable[Batch]:
        # A register sent as CSV and later as a workbook is the same register.
        latest = {Path(str(receipt.parameters["name"])).stem: receipt for receipt in receipts}
        used = list(latest.values())
        steps = loads(used, source)
        frames = {source.staging: stage_frame(used, landing, source)}
        yield Batch(tuple(receipts), {}, frames, steps, {source.staging: [step.scope for step in steps]})

    return of_receipts
