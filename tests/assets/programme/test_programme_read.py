"""Registers: read, checked, those on victims kept apart, and filled by the practice ground."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from assets.inbox import landed_sha256
from assets.programme import read
from practice.programme import files_at, write_inbox, write_victims
from warehouse.landing import Landing, Pull

AT = datetime(2026, 7, 5, 22, tzinfo=UTC)
HEADER = ",".join(read.COLUMNS)


def rows(*lines: str, header: str = HEADER) -> pl.DataFrame:
    return read.read_file("\n".join([header, *lines]).encode(), "some.csv", "r1", True)


def test_a_sound_row_is_read_whole() -> None:
    row = rows("trainings,VNM,2026Q1,F,,,,NURSE,12,").row(0, named=True)
    assert row["rejections"] == []
    assert (str(row["period_start_on"]), str(row["period_end_on"])) == ("2026-01-01", "2026-03-31")
    assert (row["sex_code"], row["age_code"], row["category_code"], row["quantity"]) == ("F", "_T", "NURSE", 12)
    assert (row["file_code"], row["pointer"], row["is_practice"]) == ("some", "some.csv:2", True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("training,VNM,2026Q1,,,,,,1,", "nearest: ['trainings']"),
        ("trainings,VNM,2026W5,,,,,,1,", "is Weekly"),
        ("trainings,VNM,spring,,,,,,1,", "is not a period"),
        ("trainings,VNM,2026Q1,X,,,,,1,", "sex: 'X'"),
        ("trainings,VNM,2026Q1,,,,,PILOT,1,", "category: 'PILOT'"),
        ("trainings,,2026Q1,,,,,,1,", "area: empty"),
        ("trainings,VNM,2026Q1,,,,,,,", "number: ''"),
        ("trainings,VNM,2026Q1,,,,,,about 12,", "number: 'about 12'"),
        ("trainings,VNM,2026Q1,,,,,,-3,", "below zero"),
        ("trainings,VNM,2026Q1,,,,,,inf,", "no number"),
        ("victims_received,VN34-91,2025,,,,,,20,", "countries only"),
    ],
)
def test_a_faulty_row_is_rejected_with_its_reason(line: str, reason: str) -> None:
    (reasons,) = rows(line)["rejections"].to_list()
    assert any(reason in found for found in reasons), reasons


def test_all_faults_of_a_row_are_told_at_once() -> None:
    (reasons,) = rows("training,,spring,X,,,,,x,")["rejections"].to_list()
    assert len(reasons) == 5


def test_a_number_given_twice_is_rejected_once() -> None:
    found = rows("trainings,VNM,2026Q1,F,,,,,1,", "trainings,VNM,2026Q1,F,,,,,2,")["rejections"].to_list()
    assert found[0] == []
    assert "twice" in found[1][0]


def test_wrong_header_is_one_rejected_row() -> None:
    found = rows("trainings,VNM,2026Q1,1", header="register,country,period,number")
    assert found.height == 1
    assert "missing ['area'], unknown ['country']" in found["rejections"].to_list()[0][0]


def test_a_row_inserted_above_leaves_the_others_as_they_were() -> None:
    before = rows("trainings,VNM,2026Q1,F,,,,,1,")
    after = rows("trainings,KHM,2026Q1,F,,,,,7,", "trainings,VNM,2026Q1,F,,,,,1,")
    assert before["record_code"][0] == after["record_code"][1]


@pytest.mark.parametrize("code", sorted(read.registers()))
def test_every_template_can_be_filled_in_and_read_back(code: str) -> None:
    register = read.registers()[code]
    period = {"Weekly": "2026W5", "Monthly": "202601", "Quarterly": "2026Q1", "Yearly": "2026"}[
        register.period_types[0]
    ]
    for language in ("en", "vi"):
        text = read.template(code, language)
        filled = text.replace(f"{code},,,,,,,,,", f"{code},VNM,{period},,,,,,1,")
        frame = read.read_file(filled.encode(), "t.csv", "r", False)
        assert frame.height == 1
        assert frame["rejections"].to_list() == [[]]
        assert register.title[language] in text


def test_shipped_statements_are_sound_and_not_practice() -> None:
    for path in read.shipped_files():
        frame = read.read_file(path.read_bytes(), path.name, "r", False)
        assert frame.filter(pl.col("rejections").list.len() > 0).is_empty()
        assert not frame["is_practice"].any()


@pytest.mark.parametrize(
    ("source", "write", "files"), [(read.PROGRAMME, write_inbox, 4), (read.VICTIMS, write_victims, 1)]
)
def test_each_inbox_lands_its_new_files_once(
    source: read.RegisterSource, write: Callable[[Path, datetime], object], files: int, tmp_path: Path
) -> None:
    landing, inbox = Landing(tmp_path / "landing"), tmp_path / "inbox"
    write(inbox, AT)
    (inbox / ".half.csv").write_text("still being written")

    def pull(part: str) -> Pull:
        return landing.pull(source.code, part, AT, is_practice=True)

    pulled = read.pull_inbox(inbox, pull, set(), source)
    assert len(pulled.receipts) == files
    assert pulled.faults == []
    staged = read.stage_frame(pulled.receipts, landing, source)
    assert staged.filter(pl.col("rejections").list.len() > 0).is_empty()
    assert {code.startswith("victims") for code in staged["register_code"]} == {source.restricted}
    again = read.pull_inbox(inbox, pull, landed_sha256(pulled.receipts), source)
    assert again.receipts == []
    assert len(again.known) == files


TRAININGS = "trainings,VNM,2025,,,,,,9,"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"{HEADER}\nvictims_supported,VNM,2025,,,,,,3,\n{TRAININGS}\n", "victims_supported"),
        (f"{HEADER}\nvictims_recieved,VNM,2025,,,,,,4,\n", "victims_received"),  # mistyped
        ("code,place\nvictims_received,VNM\n", "victims_received"),  # no header to read rows by
    ],
)
def test_a_file_on_victims_among_the_open_registers_is_refused_and_stays(text: str, named: str, tmp_path: Path) -> None:
    landing, file, sound = Landing(tmp_path / "landing"), tmp_path / "mixed.csv", tmp_path / "sound.csv"
    file.write_text(text)
    sound.write_text(f"{HEADER}\n{TRAININGS}\n")
    pulled = read.pull_files([file, sound], lambda part: landing.pull("programme", part, AT, is_practice=True), set())
    assert [receipt.locator for receipt in pulled.receipts] == ["inbox:sound.csv"]  # the others go on
    (fault,) = pulled.faults
    assert all(word in fault for word in ("programme inbox: mixed.csv", named, "victims inbox", "Nothing of the file"))
    assert file.read_text() == text
    assert not any(b"victims" in path.read_bytes() for path in landing.root.rglob("*") if path.is_file())


def test_an_open_register_among_victims_is_refused_and_a_mistyped_one_is_held_there(tmp_path: Path) -> None:
    landing, file, typo = Landing(tmp_path / "landing"), tmp_path / "mixed.csv", tmp_path / "typo.csv"
    file.write_text(f"{HEADER}\nvictims_supported,VNM,2025,,,,,,3,\n{TRAININGS}\n")
    typo.write_text(f"{HEADER}\nvictims_recieved,VNM,2025,,,,,,4,\n")
    pulled = read.pull_files(
        [file, typo], lambda part: landing.pull("victims", part, AT, is_practice=True), set(), read.VICTIMS
    )
    assert "trainings" in pulled.faults[0]
    staged = read.stage_frame(pulled.receipts, landing, read.VICTIMS)
    assert staged["file_code"].to_list() == ["typo"]
    assert "nearest: ['victims_received']" in staged["rejections"].to_list()[0][0]


def test_practice_registers_are_a_function_of_the_instant_and_only_grow() -> None:
    earlier, later = files_at(datetime(2026, 6, 28, 22, tzinfo=UTC)), files_at(AT)
    assert files_at(AT) == later
    assert earlier["points_of_entry.csv"] != later["points_of_entry.csv"]
    for name, data in earlier.items():
        assert set(data.splitlines()) <= set(later[name].splitlines()), name


def test_practice_parts_never_exceed_their_whole() -> None:
    data = files_at(AT)["clinic_returns.csv"]
    frame = read.read_file(data, "clinic_returns.csv", "r", True)
    numbers = {(row["register_code"], row["record_code"]): row["quantity"] for row in frame.to_dicts()}
    for part, whole in (
        ("tb_hiv_status_known", "tb_hiv_status_asked"), ("tb_screening_found", "tb_screening_screened"),
        ("tb_contacts_screened", "tb_contacts_identified"), ("tb_rr_success", "tb_rr_started"),
        ("hiv_on_treatment", "hiv_diagnosed"), ("hiv_viral_suppressed", "hiv_viral_tested"),
    ):  # fmt: skip
        pairs = [(value, numbers[(whole, key)]) for (register, key), value in numbers.items() if register == part]
        assert pairs
        assert all(small <= big for small, big in pairs), part
