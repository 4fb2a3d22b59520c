"""Fuzzing the readers of surveys and programme registers for a bounded time: a file is read, or told with the reader's own fault.

The labour readers are fuzzed in tests/assets/labour/test_labour_robust.py, the DHIS2 payload in tests/assets/dhis2/test_fuzz_payload.py.
Seeds are fixed, so a run in CI is the run at home.
"""

import io
import zipfile
from pathlib import Path

import openpyxl
import polars as pl
import pyreadstat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.programme.read import COLUMNS, read_file, template
from assets.survey.faults import SurveyFault, UnreadableSurveyFile
from assets.survey.readers import read

fuzzed = settings(
    max_examples=80, derandomize=True, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
TABLE = {"id": [1.0, 2.0, 3.0], "age": [25.0, 40.0, None], "name": ["Một", "Hai", ""]}
DDI = b"""<codeBook xmlns="ddi:codebook:2_5"><dataDscr><var name="age"><labl>Age</labl><catgry missing="Y"><catValu>99</catValu>
<labl>not stated</labl></catgry></var></dataDscr></codeBook>"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One small file of every survey format."""
    folder = tmp_path_factory.mktemp("sound")
    frame = pl.DataFrame(TABLE).to_pandas()
    pyreadstat.write_sav(frame, str(folder / "a.sav"), column_labels=["key", "age", "name"])
    pyreadstat.write_sav(frame, str(folder / "a.zsav"), compress=True)
    pyreadstat.write_dta(frame, str(folder / "a.dta"))
    pyreadstat.write_por(frame[["id", "age"]].rename(columns=str.upper), str(folder / "a.por"))
    pl.DataFrame(TABLE).with_columns(pl.col("id", "age").cast(pl.Int64)).write_csv(folder / "a.csv")
    pl.DataFrame(TABLE).write_parquet(folder / "a.parquet")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


NAMES = ("a.sav", "a.zsav", "a.dta", "a.por", "a.csv", "a.parquet")


def columns_of(name: str) -> list[str]:
    return ["ID", "AGE"] if name.endswith(".por") else ["id", "age"]


def damaged(data: st.DataObject, sound: bytes) -> bytes:
    """The bytes with some changed, cut out or put in."""
    value = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 6))):
        if not value:
            break
        where = data.draw(st.integers(0, len(value) - 1))
        match data.draw(st.sampled_from(["change", "change", "cut", "insert"])):
            case "change":
                value[where] = data.draw(st.integers(0, 255))
            case "cut":
                del value[where : where + data.draw(st.integers(1, 300))]
            case _:
                value[where:where] = data.draw(st.binary(max_size=16))
    return bytes(value)


@pytest.mark.parametrize("name", NAMES)
def test_the_sound_files_are_sound(sound: dict[str, bytes], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(sound[name])
    frame = read(tmp_path / name, columns_of(name)).frame
    assert frame.rows() == [("1", "25"), ("2", "40"), ("3", None)]


@pytest.mark.parametrize("name", NAMES)
@fuzzed
@given(data=st.data())
def test_a_damaged_survey_file_is_read_or_told(
    sound: dict[str, bytes], tmp_path: Path, name: str, data: st.DataObject
) -> None:
    path = tmp_path / name
    path.write_bytes(damaged(data, sound[name]))
    try:
        found = read(path, columns_of(name))
    except SurveyFault as fault:
        assert fault.file == name  # noqa: PT017
        return
    assert found.frame.columns == columns_of(name)


@fuzzed
@given(content=st.binary(max_size=400), name=st.sampled_from(NAMES))
def test_any_bytes_under_a_survey_name_are_read_or_told(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    try:
        read(tmp_path / name, columns_of(name))
    except SurveyFault:
        return


@fuzzed
@given(data=st.data())
def test_a_damaged_codebook_is_read_or_told(sound: dict[str, bytes], tmp_path: Path, data: st.DataObject) -> None:
    (tmp_path / "a.csv").write_bytes(sound["a.csv"])
    (tmp_path / "a.xml").write_bytes(damaged(data, DDI))
    try:
        read(tmp_path / "a.csv", ["id", "age"])
    except UnreadableSurveyFile as fault:
        assert fault.file == "a.xml"  # noqa: PT017


CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from([
        "NaN", "Infinity", "-1e999", "1e308", "9" * 400, "99999999", "202613", "0000", "31/02/2026", "=1+1", "<b>x</b>",
        "'; drop table core.area; --", "../../x", "\u202etxt", "\ufeff", "10" * 5000,
    ]),
)  # fmt: skip
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=len(COLUMNS) + 2), max_size=5)


@fuzzed
@given(rows=ROWS)
def test_any_cells_of_a_register_are_rows_with_reasons(rows: list[list[str]]) -> None:
    text = template("trainings") + "\n".join(",".join(f'"{cell.replace(chr(34), "")}"' for cell in row) for row in rows)
    found = read_file(text.encode("utf-8", "surrogatepass"), "trainings.csv", "r", True)
    assert found.height <= len(rows) + sum(
        cell.count("\n") + cell.count("\r") for row in rows for cell in row
    ) + 40 * len(rows)
    assert found["quantity"].is_nan().sum() == 0
    assert found["quantity"].is_infinite().sum() == 0


@pytest.fixture(scope="module")
def register() -> bytes:
    """A filled-in register as a workbook; made once, because it holds the time at which it was made."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(COLUMNS))
    sheet.append(["trainings", "VNM", "2026"])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


@fuzzed
@given(data=st.data())
def test_a_damaged_register_is_rows_with_reasons(register: bytes, data: st.DataObject) -> None:
    frame = read_file(damaged(data, register), "trainings.xlsx", "r", True)
    assert set(frame.columns) >= {"register_code", "rejections"}


def test_a_cell_of_ten_megabytes_and_a_bomb_do_not_stop_the_other_files(tmp_path: Path) -> None:
    cell = read_file(
        template("trainings").encode() + b'trainings,"' + b"x" * 10_000_000 + b'",2026\n', "a.csv", "r", True
    )
    assert cell.height == 1
    assert cell["rejections"].list.len().item() > 0
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "0" * 70_000_000)
    bomb = read_file(stream.getvalue(), "b.xlsx", "r", True)
    assert bomb.height == 1
    assert "register_unpacked_bytes" in bomb["rejections"].item()[0]
