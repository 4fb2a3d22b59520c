"""No bytes, however broken, make the readers fall over: what cannot be read is told as a fault."""

import io

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.labour.citations import cited_documents
from assets.labour.fetch import safe_form
from assets.labour.inspection import inspect
from assets.labour.read import read_file, read_landed
from methods.pseudonym import Pseudonymiser
from practice.labour.bulletins import document_bytes
from practice.labour.renderings import Grid, as_csv, as_html, as_xlsx

GRID: Grid = [
    ["BÁO CÁO SỐ LAO ĐỘNG ĐI LÀM VIỆC Ở NƯỚC NGOÀI THÁNG 9 NĂM 2025"],
    ["TT", "Thị trường", "Trong tháng", None, "Lũy kế từ đầu năm", None],
    [None, None, "Tổng số", "Trong đó: nữ", "Tổng số", "Trong đó: nữ"],
    [1, "Nhật Bản", "5.345", 2100, 49250, 20000],
    [None, "Tổng cộng", "5.345", 2100, 49250, 20000],
]
KEY = Pseudonymiser("a key of the tests, long enough", "test")


def old_excel() -> bytes:
    """The grid as BIFF8."""
    import xlwt

    book = xlwt.Workbook()
    sheet = book.add_sheet("a")
    for row_number, row in enumerate(GRID):
        for column, cell in enumerate(row):
            if cell is not None:
                sheet.write(row_number, column, cell)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


SOUND = {
    "a.xlsx": as_xlsx(GRID, []),
    "b.xls": old_excel(),
    "c.csv": as_csv(GRID, "utf-8"),
    "d.csv": as_csv(GRID, "tcvn3"),
    "e.xls": as_html(GRID, [], "utf-8"),
    "f.toml": document_bytes(next(found for found in cited_documents() if found.form_code == "press")),
}


def everything(data: bytes, name: str) -> None:
    """Each door that takes bytes of strangers is tried."""
    result = read_file(data, name)
    assert result.figures or result.faults or result.contracts or result.document is not None
    inspect(data, name)
    landed_name, safe, _ = safe_form(name, data, KEY)
    read_landed(safe, landed_name, name)


quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", sorted(SOUND))
def test_the_sound_files_are_sound(name: str) -> None:
    assert read_file(SOUND[name], name).sound


@quick
@given(name=st.sampled_from(sorted(SOUND)), data=st.data())
def test_damaged_files_are_told_and_never_raise(name: str, data: st.DataObject) -> None:
    sound = bytearray(SOUND[name])
    for _ in range(data.draw(st.integers(1, 6))):
        where = data.draw(st.integers(0, len(sound) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                sound[where] = data.draw(st.integers(0, 255))
            case "cut":
                del sound[where : where + data.draw(st.integers(1, 400))]
            case _:
                sound[where:where] = data.draw(st.binary(max_size=20))
        if not sound:
            break
    everything(bytes(sound), name)


@quick
@given(data=st.binary(max_size=300), name=st.sampled_from(["a.csv", "b.xlsx", "c.toml", "d.html"]))
def test_any_bytes_are_told_and_never_raise(data: bytes, name: str) -> None:
    everything(data, name)


@quick
@given(
    rows=st.lists(
        st.lists(st.one_of(st.none(), st.text(max_size=12), st.floats(), st.integers(-(10**12), 10**12)), max_size=6),
        max_size=6,
    )
)
def test_any_cells_under_a_known_header_are_told_and_never_raise(rows: list[list[str | float | None]]) -> None:
    everything(as_csv([*GRID[:3], *rows], "utf-8"), "a.csv")


def test_an_empty_workbook_says_so() -> None:
    stream = io.BytesIO()
    openpyxl.Workbook().save(stream)
    assert [fault.code for fault in read_file(stream.getvalue(), "a.xlsx").faults] == ["empty"]
