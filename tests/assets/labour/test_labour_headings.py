"""Headings of bulletins as fields: new, missing, renamed and retyped columns are named and follow the policy; habits are no news."""

import io
import runpy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from assets.labour.headings import Headings, bulletin_headings
from warehouse import drift
from warehouse.catalogue.table_catalogue import tables
from warehouse.store import apply_catalogue

ZOO = runpy.run_path(str(Path(__file__).with_name("test_labour_zoo.py")))
WEEK_1 = datetime(2025, 10, 6, 22, tzinfo=UTC)
PART = "bulletin/ministry-month-cumulative"
BODY = [
    [1, "Nhật Bản", 5345, 2100, 49250, 20000],
    [2, "Đài Loan", 5045, 1500, 42951, 13000],
    [3, "Hàn Quốc", 298, 30, 9221, 700],
    ["", "Tổng số", 10688, 3630, 101422, 33700],
]
"""Made-up figures in the department's form."""
TOP = ["TT", "Thị trường", "Trong tháng", None, "Lũy kế từ đầu năm", None]
LOWER = [None, None, "Tổng số", "Trong đó: Nữ", "Tổng số", "Trong đó: Nữ"]


def bulletin(month: int, top: list[Any] = TOP, lower: list[Any] = LOWER, body: list[Any] = BODY) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append([f"BÁO CÁO SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI THÁNG {month} NĂM 2025"])
    sheet.append([f"Hà Nội, ngày 05 tháng {month + 1:02} năm 2025"])
    for row in (top, lower, *body):
        sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def test_a_heading_is_named_as_printed_and_its_month_is_no_name() -> None:
    headings = bulletin_headings(bulletin(9, ["TT", "Thị trường", "Tháng 9", None, "LŨY KẾ  9 tháng", None]), "b.xlsx")
    assert [(field.name, field.type, field.is_required) for field in headings[PART].fields] == [
        ("tt", "empty", False), ("thị trường", "empty", True), ("tháng # / tổng số", "number", False),
        ("tháng # / trong đó: nữ", "number", False), ("lũy kế # tháng / tổng số", "number", False),
        ("lũy kế # tháng / trong đó: nữ", "number", False),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def accepted() -> Iterator[Any]:
    """A store that has accepted the plainest animal of the zoo."""
    with duckdb.connect() as connection:
        apply_catalogue(connection, tables())
        first = ZOO["GOOD"][0]
        for part, headings in bulletin_headings(first.data, first.name).items():
            drift.accept(connection, [judged(connection, part, headings)], WEEK_1)
        yield connection


def judged(connection: Any, part: str, headings: Headings) -> drift.PartDrift:
    return drift.judge(connection, "labour", "labour", part, "r", headings.fields, headings.meaning)


@pytest.mark.parametrize("specimen", ZOO["GOOD"], ids=lambda specimen: specimen.code)
def test_no_habit_of_the_ministry_stops_a_bulletin(specimen: Any, accepted: Any) -> None:
    """Each animal of the zoo that is read in full, held against the plainest of them."""
    for part, headings in bulletin_headings(specimen.data, specimen.name).items():
        decision = judged(accepted, part, headings).decision
        assert not decision.is_stopped, decision.explanation(specimen.code)


def changed(labour_world: Callable[[Path], Any], folder: Path, again: bytes) -> tuple[Any, drift.PartDrift, str]:
    """A sound bulletin of August was loaded; what the store and the report say after another of September."""
    world = labour_world(folder)
    (world.inbox / "aug.xlsx").write_bytes(bulletin(8))
    assert world.refresh(WEEK_1)[1].fault is None
    (world.inbox / "sep.xlsx").write_bytes(again)
    report = world.refresh(WEEK_1 + timedelta(weeks=1))[1]
    (found,) = report.drifts
    return world, found, report.fault or ""


def september(world: Any) -> int:
    return int(world.read("select count(*) from core.labour_figure_current where period_code = '202509'").item())


def on_file(world: Any) -> list[tuple[str, str]]:
    return [tuple(row) for row in world.read("select drift_code, answer_code from ops.field_drift order by all").rows()]  # type: ignore[misc]


def test_the_same_form_next_month_is_no_drift(labour_world: Callable[[Path], Any], tmp_path: Path) -> None:
    world, found, fault = changed(labour_world, tmp_path, bulletin(9))
    assert (found.part_code, found.decision.differences, fault) == (PART, (), "")
    assert september(world) == 16


def test_a_new_column_is_accepted_and_told(labour_world: Callable[[Path], Any], tmp_path: Path) -> None:
    body = [[*row, 40] for row in BODY]
    world, found, fault = changed(labour_world, tmp_path, bulletin(9, [*TOP, "Huyện nghèo"], [*LOWER, None], body))
    assert [difference.sentence() for difference in found.decision.differences] == ["New field 'huyện nghèo' (number)."]
    assert (fault, september(world), on_file(world)) == ("", 16, [("new", "accept")])


def test_a_missing_column_that_can_be_done_without_is_told(labour_world: Callable[[Path], Any], tmp_path: Path) -> None:
    body = [row[:5] for row in BODY]
    world, found, fault = changed(labour_world, tmp_path, bulletin(9, TOP[:5], LOWER[:5], body))
    assert [difference.sentence() for difference in found.decision.differences] == [
        "Field 'lũy kế từ đầu năm / trong đó: nữ' is missing."
    ]
    assert (fault, september(world), on_file(world)) == ("", 12, [("missing_optional", "accept")])


def test_another_wording_that_the_layout_knows_is_mapped(labour_world: Callable[[Path], Any], tmp_path: Path) -> None:
    top = ["TT", "Nước tiếp nhận", *TOP[2:]]
    world, found, fault = changed(labour_world, tmp_path, bulletin(9, top))
    assert [difference.sentence() for difference in found.decision.differences] == [
        "Field 'thị trường' is now called 'nước tiếp nhận'."
    ]
    assert (fault, september(world), on_file(world)) == ("", 16, [("renamed", "map")])


def test_a_wording_that_no_layout_knows_stops_that_file_and_shows_the_difference(
    labour_world: Callable[[Path], Any], tmp_path: Path
) -> None:
    """Without this, the women of the year would be lost behind a warning about an unknown column."""
    lower = [*LOWER[:5], "Trong đó: Nữ giới"]
    world, found, fault = changed(labour_world, tmp_path, bulletin(9, TOP, lower))
    assert fault.startswith(f"labour {PART} (sep.xlsx): ")
    (difference,) = found.decision.differences
    assert (difference.kind, difference.certain) == ("renamed", False)
    assert (
        "'lũy kế từ đầu năm / trong đó: nữ' is missing; it may now be called 'lũy kế từ đầu năm / trong đó: nữ giới'"
        in fault
    )
    assert (september(world), on_file(world)) == (0, [("renamed", "stop")])
    assert world.read("select count(*) from core.labour_figure_current where period_code = '202508'").item() == 16


def test_a_form_without_its_markets_is_named_as_such(labour_world: Callable[[Path], Any], tmp_path: Path) -> None:
    """The sheet fits no layout any more: what it lacks is said, instead of only that it fits none."""
    top = ["TT", "Đối tác", *TOP[2:]]
    world, found, fault = changed(labour_world, tmp_path, bulletin(9, top))
    assert "Field 'thị trường' is missing" in fault
    assert found.decision.is_stopped
    assert september(world) == 0


def test_figures_replaced_by_words_stop_that_file(labour_world: Callable[[Path], Any], tmp_path: Path) -> None:
    body = [[*row[:2], "nhiều", *row[3:]] for row in BODY]
    world, _, fault = changed(labour_world, tmp_path, bulletin(9, body=body))
    assert "Field 'trong tháng / tổng số' is now text and was number." in fault
    assert (september(world), on_file(world)) == (0, [("retyped", "stop")])
