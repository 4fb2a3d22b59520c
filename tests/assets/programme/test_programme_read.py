"""Programme registers: read, checked, kept apart when restricted, and filled by the practice ground."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from assets.inbox import landed_sha256
from assets.programme import read
from practice.programme import files_at, write_inbox
from warehouse.landing import Landing

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


def test_inbox_lands_new_files_once_and_keeps_victims_apart(tmp_path: Path) -> None:
    landing, inbox = Landing(tmp_path / "landing"), tmp_path / "inbox"
    write_inbox(inbox, AT)
    (inbox / ".half.csv").write_text("still being written")

    def pull(part: str) -> object:
        return landing.pull("programme", part, AT, is_practice=True)

    pulled = read.pull_inbox(inbox, pull, set())  # type: ignore[arg-type]
    assert len(pulled.receipts) == 5
    frames = read.stage_frames(pulled.receipts, landing)
    opened, secret = frames["staging.programme_count"], frames["staging.victim_count"]
    assert opened.filter(pl.col("register_code").str.starts_with("victims")).is_empty()
    assert set(secret["register_code"]) == {"victims_received", "victims_supported", "victims_with_care"}
    assert set(secret["area_code"]) == {"VNM"}
    assert opened.filter(pl.col("rejections").list.len() > 0).is_empty()
    again = read.pull_inbox(inbox, pull, landed_sha256(pulled.receipts))  # type: ignore[arg-type]
    assert again.receipts == []
    assert len(again.known) == 5


def test_an_unknown_register_beside_victims_is_not_shown_in_the_open(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    file = tmp_path / "mixed.csv"
    file.write_text(
        f"{HEADER}\nvictims_recieved,VNM,2025,,,,,,4,\nvictims_supported,VNM,2025,,,,,,3,\ntrainings,VNM,2025,,,,,,9,\n"
    )
    pulled = read.pull_files([file], lambda part: landing.pull("programme", part, AT, is_practice=True), set())
    frames = read.stage_frames(pulled.receipts, landing)
    assert frames["staging.programme_count"]["register_code"].to_list() == ["trainings"]
    assert frames["staging.victim_count"].height == 2


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
