"""What `inspect` tells about known files, unknown forms and registers."""

from datetime import date
from pathlib import Path

from assets.labour.citations import cited_documents
from assets.labour.inspection import inspect
from assets.labour.layout import find_layout, read_layout
from assets.labour.workbook import open_workbook
from practice.labour.bulletins import document_bytes
from practice.labour.registers import canaries, register_files
from practice.labour.renderings import Grid, as_csv, as_xlsx

UNKNOWN: Grid = [
    ["THỐNG KÊ XUẤT CẢNH LAO ĐỘNG THÁNG 9 NĂM 2025"],
    [],
    ["Số TT", "Địa bàn", "Xuất cảnh trong tháng", None, "Xuất cảnh lũy kế", "Ghi chú"],
    [None, None, "Cả hai giới", "Nữ", None, None],
    [1, "Nhật Bản", 5345, 2100, 49250, "x"],
    [2, "Đài Loan", 5045, 1500, 42951, "x"],
    [None, "Tổng cộng", 10390, 3600, 92201, None],
]
MERGES = [(2, 0, 3, 0), (2, 1, 3, 1), (2, 2, 2, 3), (2, 4, 3, 4), (2, 5, 3, 5)]


def test_every_cell_of_a_known_bulletin_is_explained() -> None:
    document = next(found for found in cited_documents() if found.document_code == "year-2023")
    inspection = inspect(document_bytes(document), "b.xlsx")
    meanings = {cell.cell: cell.meaning for cell in inspection.cells}
    assert meanings["E9"] == "deployments year 2023 JPN _T = 80010"
    assert meanings["B9"] == "destination JPN"
    assert meanings["B23"] == "total _T"
    assert meanings["A5"] == "above the table"
    assert "plan year 2023 _T _T = 120000; plan_lower year 2023 _T _T = 110000" in meanings.values()
    assert inspection.drafts == {}
    assert any(line.startswith("figures: 33 would load, 0 ") for line in inspection.lines())


def test_an_unknown_form_gets_a_draft_that_reads_it(tmp_path: Path) -> None:
    data = as_xlsx(UNKNOWN, MERGES)
    inspection = inspect(data, "thong ke.xlsx")
    assert [fault.code for fault in inspection.faults] == ["no_layout"]
    (draft,) = inspection.drafts.values()
    path = tmp_path / "draft.toml"
    path.write_text(draft, encoding="utf-8")
    layout = read_layout(path)
    match = find_layout(open_workbook(data, "x.xlsx").sheets[0], (layout,))
    assert match is not None
    found = {(entry.window, entry.sex) for entry in match.columns.values() if entry.role == "figure"}
    assert found == {("month", "_T"), ("month", "F"), ("cumulative", "_T")}


def test_a_form_without_countries_gets_no_draft() -> None:
    inspection = inspect(as_csv([["a", "b"], [1, 2]], "utf-8"), "x.csv")
    assert inspection.drafts == {}
    assert inspection.layout == ""


def test_a_register_is_explained_without_showing_anybody() -> None:
    ((name, data),) = register_files(date(2025, 1, 31)).items()
    inspection = inspect(data, name)
    shown = "\n".join(inspection.lines())
    assert not [canary for canary in canaries(date(2025, 1, 31)) if canary in shown]
    assert "full_name: hashed, coarsened or dropped" in shown
    assert "destination: kept" in shown


def test_persons_in_an_unknown_form_are_not_shown() -> None:
    inspection = inspect(as_csv([["Họ và tên", "Ghi chú"], ["Trần Văn Mẫu", "x"]], "utf-8"), "x.csv")
    shown = "\n".join(inspection.lines())
    assert "Trần Văn Mẫu" not in shown
    assert [fault.code for fault in inspection.faults] == ["unknown_register"]


def test_encodings_are_told_with_their_evidence() -> None:
    inspection = inspect(as_csv(UNKNOWN, "tcvn3"), "x.csv")
    assert inspection.encoding == "tcvn3"
    assert any("known words" in found for found in inspection.evidence)


def test_unreadable_files_say_so() -> None:
    assert inspect(b"%PDF-1.4", "x.pdf").faults[0].code == "unreadable"
