"""From an inbox folder through landing and staging into the core, and again without a change."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.labour.findings import record_findings
from assets.labour.stage import web_address
from practice.labour.inbox import bulletin_files

WEEK_1 = datetime(2025, 11, 10, 22, tzinfo=UTC)
WEEK_2 = datetime(2025, 11, 30, 22, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path, labour_world: Callable[[Path], Any]) -> Any:
    return labour_world(tmp_path)


def send(world: Any, at: datetime) -> None:
    """The bulletins published from 2023 to `at` lie in the inbox."""
    for name, data in bulletin_files(at.date()).items():
        if "2020" not in name and "2021" not in name and not (world.inbox / name).exists():
            (world.inbox / name).write_bytes(data)


def test_a_second_refresh_of_the_same_inbox_changes_nothing(world: Any) -> None:
    send(world, WEEK_1)
    first, report = world.refresh(WEEK_1)
    assert report.fault is None
    assert report.is_change
    assert len(first.receipts) == len(list(world.inbox.iterdir()))
    again, second = world.refresh(WEEK_2)
    assert again.receipts == []
    assert not second.is_change


def test_a_later_release_is_a_second_vintage_beside_the_first(world: Any) -> None:
    send(world, WEEK_1)
    world.refresh(WEEK_1)
    send(world, WEEK_2)
    pulled, _ = world.refresh(WEEK_2)
    assert len(pulled.receipts) == 1
    rows = world.read(
        """select published_on, value from core.labour_figure_current
        where series_code = 'deployments' and window_code = 'cumulative' and period_code = '202510'
          and destination_code = '_T' and sex_code = '_T' order by published_on"""
    )
    assert rows["value"].to_list() == [121_190, 128_044]


def test_a_file_reissued_under_the_same_name_is_a_new_document(world: Any) -> None:
    send(world, WEEK_1)
    world.refresh(WEEK_1)
    target = next(world.inbox.glob("*sep-2023.toml"))
    target.write_text(target.read_text(encoding="utf-8").replace("111507", "111508"), encoding="utf-8")
    pulled, _ = world.refresh(WEEK_2)
    assert [receipt.parameters["name"] for receipt in pulled.receipts] == [target.name]
    rows = world.read(
        """select value from core.labour_figure_current
        where series_code = 'deployments' and period_code = '202309' order by value"""
    )
    assert rows["value"].to_list() == [111_507, 111_508], "the earlier version of the document stays"


def test_a_file_removed_from_the_inbox_stays_published(world: Any) -> None:
    send(world, WEEK_1)
    world.refresh(WEEK_1)
    count = world.read("select count(*) as n from core.labour_figure_current")["n"].item()
    for path in world.inbox.iterdir():
        path.unlink()
    world.refresh(WEEK_2)
    assert world.read("select count(*) as n from core.labour_figure_current")["n"].item() == count


def test_a_damaged_landed_file_is_mended_by_what_the_message_says(world: Any) -> None:
    """Read again with --full it fails and says what to do; done, the file of the inbox is landed again and nothing else moves."""
    send(world, WEEK_1)
    world.refresh(WEEK_1)
    count = world.read("select count(*) as n from core.labour_figure_current")["n"].item()
    receipt = world.landing.receipts("labour")[0]
    (damaged,) = world.landing.files(receipt)
    damaged.write_bytes(b"")
    world.landing.note_again("labour", {receipt.receipt_id})
    pulled, report = world.refresh(WEEK_2)
    assert pulled.receipts == [], "known, though damaged"
    name = receipt.parameters["name"]
    assert f"remove that folder and run `mhwg refresh --source labour` with {name} in the inbox" in report.fault
    shutil.rmtree(world.landing.root / receipt.path)
    pulled, report = world.refresh(WEEK_2 + timedelta(days=7))
    assert [found.receipt_id for found in pulled.receipts] == [receipt.receipt_id]
    assert report.fault is None
    world.landing.verify(receipt)
    assert world.read("select count(*) as n from core.labour_figure_current")["n"].item() == count


def test_files_still_being_written_wait(world: Any) -> None:
    send(world, WEEK_1)
    for name in (".half.xlsx", "~$open.xlsx", "download.xlsx.part"):
        (world.inbox / name).write_bytes(b"PK\x03\x04")
    pulled, _ = world.refresh(WEEK_1)
    assert not {".half.xlsx", "~$open.xlsx", "download.xlsx.part"} & {r.parameters["name"] for r in pulled.receipts}


def test_an_unreadable_file_is_quarantined_with_its_reasons(world: Any) -> None:
    (world.inbox / "scan.xlsx").write_bytes(b"%PDF-1.7 scanned")
    world.refresh(WEEK_1)
    rows = world.read("select table_name, reasons from quarantine.record")
    assert rows["table_name"].to_list() == ["staging.labour_document"]
    assert "PDF" in rows["reasons"].to_list()[0][0]


def test_findings_are_rows_and_close_when_the_figures_agree(world: Any) -> None:
    send(world, WEEK_2)
    world.refresh(WEEK_2)
    counts = record_findings(world.warehouse, WEEK_2 + timedelta(minutes=1))
    assert counts.inserted > 0
    told = world.read("select statement from core.labour_finding_current where list_contains(rule_codes, 'same_fact')")
    assert any("121 190 -> 128 044" in statement for statement in told["statement"])
    assert record_findings(world.warehouse, WEEK_2 + timedelta(minutes=2)).is_change is False, "run twice = run once"


def test_a_newspaper_name_is_no_web_address() -> None:
    assert web_address("vneconomy; MOIT") is None
    assert web_address("VNA, https://example.org/a1.") == "https://example.org/a1"
