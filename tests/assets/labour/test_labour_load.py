"""From an inbox folder through landing and staging into the core, and again without a change."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from assets.labour.fetch import LabourPull, landed_sha256, pull_inbox
from assets.labour.stage import batches
from assets.loading import SourceReport, load_source
from methods.pseudonym import Pseudonymiser
from practice.labour.inbox import write_inbox
from warehouse.landing import Landing
from warehouse.store import Warehouse

WEEK_1 = datetime(2025, 11, 10, 22, tzinfo=UTC)
WEEK_2 = datetime(2025, 11, 30, 22, tzinfo=UTC)


class NoScales:
    """Scales without rules: what is weighed is tested in tests/expectations."""

    def weigh(self, connection: object, table: object, context: object) -> list[object]:
        return []

    def checks_for(self, table: object) -> list[object]:
        return []


class World:
    """An inbox, a landing folder and a store in one temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.inbox = folder / "inbox"
        self.landing = Landing(folder / "landing")
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.pseudonymiser = Pseudonymiser("a key of the tests, long enough", "test")

    def refresh(self, at: datetime) -> tuple[LabourPull, SourceReport]:
        pulled = pull_inbox(
            self.inbox,
            lambda part: self.landing.pull("labour", part, at, is_practice=False),
            landed_sha256(self.landing.receipts("labour")),
            self.pseudonymiser,
        )
        report = load_source(self.warehouse, self.landing, NoScales(), "labour", at, batches(self.landing))  # type: ignore[arg-type]
        return pulled, report


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_second_refresh_of_the_same_inbox_changes_nothing(world: World) -> None:
    write_inbox(world.inbox, WEEK_1)
    first, report = world.refresh(WEEK_1)
    assert report.fault is None
    assert report.is_change
    assert len(first.receipts) == len(list(world.inbox.iterdir()))
    again, second = world.refresh(WEEK_2)
    assert again.receipts == []
    assert not second.is_change


def test_a_later_release_is_a_second_vintage_beside_the_first(world: World) -> None:
    write_inbox(world.inbox, WEEK_1)
    world.refresh(WEEK_1)
    write_inbox(world.inbox, WEEK_2)
    pulled, _ = world.refresh(WEEK_2)
    assert len(pulled.receipts) == 1
    rows = world.warehouse.read(
        """select published_on, value from core.labour_figure_current
        where series_code = 'deployments' and window_code = 'cumulative' and period_code = '202510'
          and destination_code = '_T' and sex_code = '_T' order by published_on"""
    )
    assert rows["value"].to_list() == [121_190, 128_044]


def test_a_file_reissued_under_the_same_name_is_a_new_document(world: World) -> None:
    write_inbox(world.inbox, WEEK_1)
    world.refresh(WEEK_1)
    target = next(world.inbox.glob("*sep-2023.toml"))
    target.write_text(target.read_text(encoding="utf-8").replace("111507", "111508"), encoding="utf-8")
    pulled, _ = world.refresh(WEEK_2)
    assert [receipt.parameters["name"] for receipt in pulled.receipts] == [target.name]
    rows = world.warehouse.read(
        """select value from core.labour_figure_current
        where series_code = 'deployments' and period_code = '202309' order by value"""
    )
    assert rows["value"].to_list() == [111_507, 111_508], "the earlier version of the document stays"


def test_a_file_removed_from_the_inbox_stays_published(world: World) -> None:
    write_inbox(world.inbox, WEEK_1)
    world.refresh(WEEK_1)
    count = world.warehouse.read("select count(*) as n from core.labour_figure_current")["n"].item()
    for path in world.inbox.iterdir():
        path.unlink()
    world.refresh(WEEK_2)
    assert world.warehouse.read("select count(*) as n from core.labour_figure_current")["n"].item() == count


def test_files_still_being_written_wait(world: World) -> None:
    write_inbox(world.inbox, WEEK_1)
    for name in (".half.xlsx", "~$open.xlsx", "download.xlsx.part"):
        (world.inbox / name).write_bytes(b"PK\x03\x04")
    pulled, _ = world.refresh(WEEK_1)
    assert not {".half.xlsx", "~$open.xlsx", "download.xlsx.part"} & {r.parameters["name"] for r in pulled.receipts}


def test_an_unreadable_file_is_quarantined_with_its_reasons(world: World) -> None:
    world.inbox.mkdir(parents=True)
    (world.inbox / "scan.xlsx").write_bytes(b"%PDF-1.7 scanned")
    world.refresh(WEEK_1)
    rows = world.warehouse.read("select table_name, reasons from quarantine.record")
    assert rows["table_name"].to_list() == ["staging.labour_document"]
    assert "PDF" in rows["reasons"].to_list()[0][0]
