"""An attacker with every file of a release: nothing in any of them depends on a hidden figure.

Two worlds that differ only in what is hidden are protected and published. If one byte differed, the byte would tell. And a figure
that is hidden only to protect another is a large number of its own: it is looked for in every file, unpacked.
"""

import io
import re
import sqlite3
import zipfile

import duckdb
import openpyxl
import polars as pl
import pytest

from warehouse.catalogue.disclosure import load_policy
from warehouse.publishing.content import OBSERVATION_SCHEMA
from warehouse.publishing.protection import ledger, protect
from warehouse.publishing.release import build_release

AREAS = pl.DataFrame(
    [(province, "VNM", "vn34") for province in ("VN34-80", "VN34-82", "VN34-91")],
    schema=["area_code", "parent_code", "frame_code"],
    orient="row",
)
CANARY = 739_391
"""Men in one province: hidden, because total minus men would give the two women."""


def referrals(observe, men: int, women: int):
    """Referrals of 2026 by sex in two provinces and in the country, which has 61 women in all unless more than that are sent."""
    other = 61 - women if women < 5 else 59
    by_area = {"VN34-91": (men, women), "VN34-80": (120 - other, other)}
    by_area["VNM"] = tuple(sum(pair[i] for pair in by_area.values()) for i in (0, 1))
    rows = []
    for area, pair in by_area.items():
        for sex, count in (("M", pair[0]), ("F", pair[1]), ("_T", sum(pair))):
            rows.append(
                observe(
                    "TB10", area, "2026", float(count), numerator=float(count), sex_code=sex, source_codes=["dhis2_vnm"],
                    receipt_ids=["r2"], is_practice=True,
                )
            )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def publish(tmp_path_factory):
    """Protects and publishes the referrals of a world with so many men and women in the small province, week by week."""
    import importlib.util
    from dataclasses import replace
    from datetime import timedelta
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("hand_made", Path(__file__).parent / "conftest.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)

    def released(*weeks):
        shelf = tmp_path_factory.mktemp("leaks") / "shelf"
        earlier, result = [], None
        _, catalogue, context = made.release_inputs()
        for week, (men, women) in enumerate(weeks):
            rows = [row for row in made.world_rows() if row["indicator_code"] not in ("TB10", "TB11", "TB12")]
            truth = pl.DataFrame([*rows, *referrals(made.observation, men, women)], schema=OBSERVATION_SCHEMA)
            protected = protect(truth.drop("conf_status"), load_policy(), areas=AREAS, earlier=earlier)
            earlier.append(ledger(protected.frame, truth))
            at = replace(context, recorded_at=context.recorded_at + timedelta(days=7 * week))
            result = build_release(protected, catalogue, at, shelf)
        return result.folder

    return released


@pytest.fixture(scope="module")
def folder(publish):
    return publish((CANARY, 2))


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_two_worlds_that_differ_in_what_is_hidden_give_the_same_bytes(publish, folder):
    """2 women and 739 391 men, or 1 and 739 392, with the women of the country the same: the same release, byte for byte."""
    other = publish((CANARY + 1, 1))
    one, two = files(folder), files(other)
    assert list(one) == list(two)
    assert [name for name in one if one[name] != two[name]] == []


def test_the_same_attack_sees_a_shown_figure_change(publish, folder):
    """Shows that the test above can fail: one more man, and so one more in the totals, which are shown."""
    other = publish((CANARY + 1, 2))
    assert [name for name, data in files(other).items() if files(folder)[name] != data]


def readable(name: str, data: bytes) -> str:
    """Everything in a file as text: archives unpacked, databases and columns read out."""
    if name.endswith(".xlsx"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "\n".join(archive.read(part).decode("utf-8", "replace") for part in archive.namelist())
    if name.endswith(".parquet"):
        return pl.read_parquet(io.BytesIO(data)).write_ndjson()
    return data.decode("utf-8", "replace")


def test_a_hidden_number_stands_in_no_file(folder):
    forms = re.compile(rf"{CANARY}(?![0-9])|{CANARY:,}|{CANARY:,}".replace(",", "[,. \u00a0]?"))
    hidden = pl.read_parquet(folder / "data" / "observation.parquet").filter(pl.col("obs_status") == "Q")
    assert {"M", "F"} == set(hidden.filter(pl.col("area_code") == "VN34-91")["sex_code"])
    found = [name for name, data in files(folder).items() if forms.search(readable(name, data))]
    assert found == []
    shown = str(CANARY + 2)
    assert shown in readable("data/observation.csv", (folder / "data" / "observation.csv").read_bytes()), (
        "the total is shown"
    )


def test_no_table_view_or_free_page_of_the_database_holds_it(folder):
    path = folder / "mhwg.duckdb"
    with duckdb.connect(str(path), read_only=True) as con:
        names = [name for (name,) in con.sql("select table_name from information_schema.tables").fetchall()]
        for name in names:
            text = con.sql(f'select string_agg(t::varchar, chr(10)) from "{name}" t').fetchall()[0][0] or ""
            assert not re.search(rf"{CANARY}(?![0-9])", text), name
    data = path.read_bytes()
    for number in (float(CANARY), CANARY):
        packed = pl.Series([number]).to_numpy().tobytes()
        assert packed not in data, "a block that was freed keeps what it held"
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute("select * from sqlite_master").fetchall()


def test_the_workbook_hides_nothing(folder):
    """No hidden sheet, row or column, no comment, no macro, no link to other books, no names beyond print set-up and filter."""
    path = folder / "mhwg-tables.xlsx"
    book = openpyxl.load_workbook(path)
    assert {sheet.sheet_state for sheet in book.worksheets} == {"visible"}
    for sheet in book.worksheets:
        assert not [key for key, column in sheet.column_dimensions.items() if column.hidden], sheet.title
        assert not [key for key, row in sheet.row_dimensions.items() if row.hidden], sheet.title
    assert not list(book.defined_names)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert not [
            name for name in names if re.search(r"comments|vba|externalLink|customXml|printerSettings|media", name)
        ]
        defined = re.findall(r'<definedName name="([^"]+)"', archive.read("xl/workbook.xml").decode())
        assert set(defined) <= {"_xlnm.Print_Area", "_xlnm.Print_Titles", "_xlnm._FilterDatabase"}
        properties = archive.read("docProps/app.xml").decode() + archive.read("docProps/core.xml").decode()
        assert not re.search(r"<Company>[^<]|[/\\](home|root|Users|tmp)[/\\]", properties)


def test_charts_draw_nothing_for_a_hidden_figure(folder):
    """The bars of the page by sex: the country's two and no bar where the figure is hidden; no data attribute, no script data."""
    page = (folder / "en" / "TB10.html").read_text(encoding="utf-8")
    assert "data-" not in re.sub(r'data-theme|href="data:,"', "", page)
    script = page.split("<script>")[1].split("</script>")[0]
    assert not re.search(r"[0-9]{3,}", script)
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.S):
        described = re.search(r"<desc[^>]*>(.*?)</desc>", svg, flags=re.S)[1]
        drawn = len(re.findall(r'<(?:rect class="bar|circle class="(?:dot|mark))', svg))
        told = [part for part in re.split(r"; |, (?=\d{4} )", described) if not part.rstrip().endswith(" c")]
        assert drawn <= len(told)


def test_the_difference_of_two_releases_tells_no_small_change(publish):
    """A week later three women and two men more in a province that was shown: what moved is hidden, and the old value stays public."""
    folder = publish((61, 59), (63, 62))
    with duckdb.connect(str(folder / "mhwg.duckdb"), read_only=True) as con:
        rows = con.sql(
            "select area_code, sex_code, value_before, value_after from change where indicator_code = 'TB10' order by all"
        ).fetchall()
    moved = {(area, sex): (before, after) for area, sex, before, after in rows}
    assert moved["VN34-91", "M"] == (61.0, None)
    assert moved["VN34-91", "F"] == (59.0, None)
    for before, after in moved.values():
        assert before is None or after is None or abs(after - before) >= 5


def test_old_and_new_provinces_cannot_be_subtracted_from_each_other():
    """Frame differences on a whole release: a merged province, its two predecessors, the country in both frames."""
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("hand_made", Path(__file__).parent / "conftest.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    counts = {"VN63-89": 57, "VN63-91": 3, "VN34-91": 60, "VN34-80": 44, "VN63-72": 44, "VNM": 104}
    links = [
        ("VN63-89", "VNM", "vn63"), ("VN63-91", "VNM", "vn63"), ("VN63-72", "VNM", "vn63"), ("VN34-91", "VNM", "vn34"),
        ("VN34-80", "VNM", "vn34"), ("VN63-89", "VN34-91", "succession"), ("VN63-91", "VN34-91", "succession"),
        ("VN63-72", "VN34-80", "succession"),
    ]  # fmt: skip
    rows = [
        made.observation("TB10", area, "2024", float(n), numerator=float(n), source_codes=["dhis2_vnm"])
        for area, n in counts.items()
    ]
    areas = pl.DataFrame(links, schema=["area_code", "parent_code", "frame_code"], orient="row")
    frame = protect(pl.DataFrame(rows, schema=OBSERVATION_SCHEMA).drop("conf_status"), load_policy(), areas=areas).frame
    seen = dict(zip(frame["area_code"], frame["value"], strict=True))
    assert seen["VN63-91"] is None
    for total, parts in (
        ("VN34-91", ("VN63-89", "VN63-91")),
        ("VNM", ("VN63-89", "VN63-91", "VN63-72")),
        ("VNM", ("VN63-89", "VN63-91", "VN34-80")),
    ):
        assert [seen[total], *(seen[part] for part in parts)].count(None) != 1
