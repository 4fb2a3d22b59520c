"""The practice inbox of the labour source: what a week brings, and who is invented in it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from practice.labour.inbox import files_at, write_inbox
from practice.labour.registers import all_contracts, canaries, contracts_between, register_files

START = datetime(2026, 7, 5, 22, tzinfo=UTC)
"""Monday 6 July 2026, 05:00 in Ha Noi."""


def test_each_week_brings_one_register_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    first = write_inbox(tmp_path, START)
    second = write_inbox(tmp_path, START + timedelta(weeks=1))
    assert len(first) > 40
    assert [path.name for path in second] == ["danh-sach-hop-dong_20260713.xlsx"]
    assert "danh-sach-hop-dong_20260706.xlsx" in {path.name for path in first}, (
        "Monday in Ha Noi is still Sunday in UTC"
    )


def test_the_files_of_an_instant_are_a_pure_function_of_it() -> None:
    assert files_at(START) == files_at(START)


def test_weeks_part_the_contracts_without_gap_or_overlap() -> None:
    by = date(2025, 3, 31)
    split = list(contracts_between(date(2024, 1, 1), date(2024, 6, 30))) + list(contracts_between(date(2024, 7, 1), by))
    assert split == all_contracts(by)


def test_canaries_are_many_and_look_like_identities() -> None:
    planted = canaries(date(2024, 6, 1))
    assert len(planted) > 400
    assert sum(len(text) == 12 and text.isdigit() for text in planted) > 50


def test_registers_begin_with_the_year_2024_and_say_that_they_are_invented() -> None:
    assert list(register_files(date(2025, 1, 9))) == []
    assert list(register_files(date(2025, 1, 10))) == ["danh-sach-hop-dong_20250110.xlsx"]
