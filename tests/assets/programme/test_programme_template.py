"""Templates of the registers: filled in with another library and read back through the inbox, as the working group would."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest

from assets.programme import read
from assets.programme.template import template_of
from pipelines.cli import app, call
from warehouse.landing import Landing
from warehouse.publishing.register_template import write_register_template

AT = datetime(2026, 7, 5, 22, tzinfo=UTC)
REGISTERS = read.registers()


def workbook(code: str, language: str = "en") -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(write_register_template(template_of(REGISTERS[code]), language)))


def choices(book: openpyxl.Workbook, column: str) -> list[str]:
    """The entries of the drop-down list of a column, followed from the validation to the sheet of lists."""
    sheet = book["Data"]
    place = next(cell.column_letter for cell in sheet[4] if cell.value == column)
    (rule,) = [v for v in sheet.data_validations.dataValidation if str(v.sqref).startswith(f"{place}5")]
    assert rule.type == "list"
    name, _, area = rule.formula1.lstrip("=").partition("!")
    return [str(row[0].value) for row in book[name][area.replace("$", "")]]


def saved(book: openpyxl.Workbook) -> bytes:
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def fill(book: openpyxl.Workbook, row: int, **values: object) -> None:
    sheet = book["Data"]
    columns = {cell.value: cell.column for cell in sheet[4]}
    for name, value in values.items():
        sheet.cell(row, columns[name], value)


@pytest.mark.parametrize("code", sorted(REGISTERS))
def test_every_template_filled_in_from_its_own_lists_comes_back_sound(code: str) -> None:
    book = workbook(code)
    register = REGISTERS[code]
    first = {"area": choices(book, "area")[-1 if register.restricted else 10], "period": choices(book, "period")[0]}
    for column in register.asks:
        if column != "category" or register.categories:
            first[column] = choices(book, column)[0]
    fill(book, 5, **first, number=1)
    frame = read.read_file(saved(book), f"{code}.xlsx", "r", False)
    assert frame["rejections"].to_list() == [[]]
    row = frame.row(0, named=True)
    assert (row["register_code"], row["quantity"], row["pointer"]) == (code, 1, f"{code}.xlsx:Data!5")
    assert " " not in str(row["area_code"]), "the code, not the code with its name"


def test_what_was_typed_is_what_is_read_and_faults_name_their_row() -> None:
    book = workbook("trainings", "vi")
    assert book["Data"]["A1"].value == REGISTERS["trainings"].title["vi"]
    fill(book, 5, area="VNM · Việt Nam", period="2026Q1", sex="F · Nữ", category="NURSE · Điều dưỡng", number=12)
    fill(book, 6, area="KHM", period=2025, number="0")
    fill(book, 9, area="VNM", period="2026W5", category="PILOT", number=-1)
    frame = read.read_file(saved(book), "trainings.xlsx", "r", True)
    assert frame.height == 3, "prepared rows that nobody filled in are no rows"
    first, second, third = frame.to_dicts()
    assert (first["area_code"], first["sex_code"], first["category_code"], first["quantity"]) == (
        "VNM",
        "F",
        "NURSE",
        12,
    )
    assert (str(second["period_end_on"]), second["sex_code"], second["quantity"]) == ("2025-12-31", "_T", 0)
    assert third["pointer"] == "trainings.xlsx:Data!9"
    assert len(third["rejections"]) == 3


def test_numbers_and_codes_are_checked_while_typing() -> None:
    book = workbook("poe_capacities")
    rules = {str(rule.sqref): rule for rule in book["Data"].data_validations.dataValidation}
    (number,) = [rule for rule in rules.values() if rule.type == "decimal"]
    assert (number.operator or "between", number.formula1, number.formula2) == ("between", "0", "1")
    assert all(rule.error for rule in rules.values())
    assert len(choices(book, "category")) == 11 + 11 * 5


def test_a_capacity_above_one_is_refused() -> None:
    line = "poe_capacities,VNM,2025,,,,,HAN/CARE,2,"
    found = read.read_file(f"{','.join(read.COLUMNS)}\n{line}\n".encode(), "x.csv", "r", False)
    assert "above 1" in found["rejections"].to_list()[0][0]


def test_a_note_that_is_no_footnote_is_refused() -> None:
    line = "trainings,VNM,2026Q1,,,,,NURSE,2,published_rang"
    found = read.read_file(f"{','.join(read.COLUMNS)}\n{line}\n".encode(), "x.csv", "r", False)
    assert "nearest: ['published_range']" in found["rejections"].to_list()[0][0]


def test_the_same_template_has_the_same_bytes() -> None:
    made = template_of(REGISTERS["victims_received"])
    assert write_register_template(made, "vi") == write_register_template(made, "vi")


def test_a_workbook_through_the_inbox_replaces_the_csv_of_its_name(tmp_path: Path) -> None:
    landing, inbox = Landing(tmp_path / "landing"), tmp_path / "inbox"
    inbox.mkdir()
    book = workbook("victims_received")
    fill(book, 5, area="VNM", period="2025", sex="F", category="LABOUR", number=31)
    (inbox / "support.csv").write_text(f"{','.join(read.COLUMNS)}\nvictims_received,VNM,2025,F,,,,LABOUR,30,\n")
    (inbox / "support.xlsx").write_bytes(saved(book))
    pulled = read.pull_inbox(
        inbox, lambda part: landing.pull("victims", part, AT, is_practice=False), set(), read.VICTIMS
    )
    assert [receipt.record_count for receipt in pulled.receipts] == [1, 1]
    (batch,) = read.batches(landing, read.VICTIMS)(pulled.receipts)
    assert {table: frame["quantity"].to_list() for table, frame in batch.frames.items()} == {
        "staging.victim_count": [31]
    }


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"not a zip", "no .xlsx workbook"), (b"PK\x03\x04broken", "no .xlsx workbook")],
)
def test_a_broken_workbook_is_one_rejected_row(data: bytes, words: str) -> None:
    frame = read.read_file(data, "broken.xlsx", "r", False)
    assert frame.height == 1
    assert words in frame["rejections"].to_list()[0][0]


def test_a_zip_that_is_no_workbook_and_one_that_unpacks_too_large_are_rejected() -> None:
    for content, words in ((b"x", "cannot be opened"), (b"\0" * (65 * 2**20), "`register_unpacked_bytes`")):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.txt", content)
        (reasons,) = read.read_file(stream.getvalue(), "x.xlsx", "r", False)["rejections"].to_list()
        assert words in reasons[0]


def test_the_command_lists_writes_and_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def mhwg(*words: str) -> int:
        return call(lambda: app(list(words), standalone_mode=False))

    assert mhwg("template") == 0
    assert "trainings" in capsys.readouterr().out
    path = tmp_path / "trainings.xlsx"
    assert mhwg("template", "trainings", "-o", str(path), "-l", "vi") == 0
    assert openpyxl.load_workbook(path)["Data"]["A1"].value == REGISTERS["trainings"].title["vi"]
    assert mhwg("template", "trainings", "-o", str(path)) == 64
    assert mhwg("template", "training") == 6
    assert "trainings" in capsys.readouterr().err
    assert mhwg("template", "trainings", "--format", "csv", "-o", str(tmp_path / "t.csv")) == 0
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").startswith("# Trainings")
