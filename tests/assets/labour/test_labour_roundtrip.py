"""Any bulletin in any layout, encoding, number style and file format reads back to the same facts."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.labour.read import read_file
from practice.labour.renderings import (
    ENCODINGS,
    LAYOUTS,
    NUMBER_STYLES,
    Table,
    as_csv,
    as_html,
    as_xlsx,
    facts_of,
    grid_of,
)

SPELLINGS = {
    "JPN": ["Nhật Bản", "NHẬT BẢN"], "TWN": ["Đài Loan", "Đài Loan (Trung Quốc)"], "KOR": ["Hàn Quốc"],
    "CHN": ["Trung Quốc"], "HKG": ["Hồng Công", "Hồng Kông"], "ROU": ["Rumania", "Rumani", "Romania"],
    "SAU": ["Ả rập - Xê út", "Ả rập xê út", "Ả-rập Xê-út"], "RUS": ["Liên bang Nga", "Nga"], "GRC": ["Hy Lạp"],
    "CYP": ["Cộng hòa Síp", "Cộng hoà Síp"], "THA": ["Thái Lan", "Thailand"], "POL": ["Ba Lan"],
    "_O": ["Các thị trường khác", "Thị trường khác"],
}  # fmt: skip
TOTALS = ["Tổng cộng", "Tổng số", "Cộng", "TỔNG CỘNG"]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A bulletin that agrees with itself: parts sum to totals, women are within them, months within the year to date."""
    codes = draw(st.lists(st.sampled_from(sorted(SPELLINGS)), min_size=2, max_size=7, unique=True))
    month = draw(st.integers(1, 12))
    cells: dict[tuple[str, str, str], int] = {}
    sums: dict[tuple[str, str], int] = {}
    for code in codes:
        monthly = draw(st.integers(0, 20_000))
        values = {("month", "_T"): monthly, ("month", "F"): draw(st.integers(0, monthly))}
        total = monthly + draw(st.integers(0, 80_000))
        values |= {("cumulative", "_T"): total, ("cumulative", "F"): draw(st.integers(values["month", "F"], total))}
        for key, value in values.items():
            cells[(code, *key)] = value
            sums[key] = sums.get(key, 0) + value
    for key, value in sums.items():
        cells[("_T", *key)] = value
    months = {(code, number): draw(st.integers(0, 9_999)) for code in codes for number in (1, 2, 3)}
    for number in (1, 2, 3):
        months["_T", number] = sum(months[code, number] for code in codes)
    labels = {code: draw(st.sampled_from(SPELLINGS[code])) for code in codes} | {"_T": draw(st.sampled_from(TOTALS))}
    return Table(draw(st.integers(2021, 2029)), month, cells, labels, months)


def check(data: bytes, name: str, table: Table, layout: str) -> None:
    """The bytes hold the facts of the table and nothing else."""
    result = read_file(data, name)
    assert [fault.message for fault in result.faults if fault.severity == "error"] == []
    assert result.layout == layout
    assert result.facts() == facts_of(table, layout)


shared: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@settings(max_examples=200, **shared)
@given(
    table=tables(),
    layout=st.sampled_from(LAYOUTS),
    encoding=st.sampled_from(ENCODINGS),
    style=st.sampled_from(NUMBER_STYLES),
    delimiter=st.sampled_from([";", "\t", ",", "|"]),
)
def test_any_bulletin_as_delimited_text(table: Table, layout: str, encoding: str, style: str, delimiter: str) -> None:
    grid, _ = grid_of(table, layout, style)
    check(as_csv(grid, encoding, delimiter), "bulletin.csv", table, layout)


@settings(max_examples=60, **shared)
@given(
    table=tables(),
    layout=st.sampled_from(LAYOUTS),
    encoding=st.sampled_from(["utf-8", "tcvn3", "vni", "nfd"]),
    style=st.sampled_from(NUMBER_STYLES),
)
def test_any_bulletin_as_a_workbook(table: Table, layout: str, encoding: str, style: str) -> None:
    grid, merges = grid_of(table, layout, style)
    check(as_xlsx(grid, merges, encoding), "bulletin.xlsx", table, layout)


@settings(max_examples=60, **shared)
@given(
    table=tables(),
    layout=st.sampled_from(LAYOUTS),
    encoding=st.sampled_from(ENCODINGS),
    style=st.sampled_from(NUMBER_STYLES),
)
def test_any_bulletin_as_html_saved_under_xls(table: Table, layout: str, encoding: str, style: str) -> None:
    grid, merges = grid_of(table, layout, style)
    check(as_html(grid, merges, encoding), "bulletin.xls", table, layout)
