"""Data on trafficking lie apart: in a store, a landing and an inbox of their own, and of them only numbers come out.

Worlds by pencil: one register of three ministries; a canary stands in for what nobody but the victims' store may hold.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from assets.inbox import landed_sha256
from assets.loading import SourceReport, known_receipts, load_source
from assets.programme import read
from expectations.quality_files import write_quality
from expectations.scales import GreatExpectationsScales
from pipelines.cli import app, call
from pipelines.failures import Exit
from pipelines.privacy import keep_private, open_to_others
from pipelines.resources import landing_of, warehouse_of
from pipelines.settings import Settings, load_settings
from warehouse import quarantine
from warehouse.catalogue.table_catalogue import tables, tables_of
from warehouse.evidence import _held_back
from warehouse.load import transaction
from warehouse.migrations.victims_apart import is_in_warehouse, move_out
from warehouse.store import Warehouse
from warehouse.victims import copy_books, victims_beside, victims_landing

FIRST, LATER = datetime(2026, 7, 5, 22, tzinfo=UTC), datetime(2026, 7, 12, 22, tzinfo=UTC)
CANARY = "canary.of.a.victim"
REGISTER = f"""register,area,period,sex,age,origin,destination,category,number,note
victims_received,VNM,2025,F,,,,LABOUR,31,
victims_received,VNM,2025,M,,,,LABOUR,4,
victims_received,VNM,2025,F,,,,DEFENCE,5,
victims_received,VNM,2025,F,,,,{CANARY},6,
"""


def received(state: Path, text: str, at: datetime) -> SourceReport:
    """The register, through inbox, landing and load, into the victims' store."""
    inbox, landing = state / "victims" / "inbox", victims_landing(state)
    store = victims_beside(Warehouse(state / "warehouse.duckdb"))
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / "support.csv").write_text(text, encoding="utf-8")
    pulled = read.pull_inbox(
        inbox,
        lambda part: landing.pull("victims", part, at, is_practice=True),
        landed_sha256(known_receipts(store, landing, "victims")),
        read.VICTIMS,
    )
    landing.note_pull(pulled.receipts, at)
    return load_source(store, landing, GreatExpectationsScales(), "victims", at, read.batches(landing, read.VICTIMS))


@pytest.fixture
def both(tmp_path: Path) -> tuple[Warehouse, Warehouse]:
    """A warehouse with a row of its own, and the victims' store beside it, its books copied."""
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    victims = victims_beside(warehouse)
    with warehouse.connect() as connection:
        connection.execute("insert into ops.watermark values ('labour', 'inputs', 'mark', timestamp '2026-07-05')")
    report = received(tmp_path, REGISTER, FIRST)
    assert report.fault is None
    copy_books(warehouse)
    return warehouse, victims


def lines(store: Warehouse, name: str) -> list[tuple[object, ...]]:
    return store.read(f"select * from {name} order by all").rows()


def test_no_table_is_in_both_stores_but_the_books():
    shared = tables_of("warehouse").keys() & tables_of("victims").keys()
    assert {name.split(".")[0] for name in shared} == {"ops", "quarantine"}
    assert tables_of("warehouse").keys() | tables_of("victims").keys() == tables().keys()
    assert {name for name in tables_of("victims") if "victim" in name} == {
        name for name in tables() if "victim" in name
    }


def test_rows_held_records_and_files_are_in_the_victims_store_only(both, tmp_path: Path):
    warehouse, victims = both
    assert sorted(victims.read("select quantity from restricted.victim_count_current")["quantity"]) == [4, 5, 31]
    assert victims.read("select status_code from quarantine.record").rows() == [("held",)]
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert holding
    assert {path.relative_to(tmp_path).parts[0] for path in holding} == {"victims"}
    assert lines(warehouse, "quarantine.record") == []
    with warehouse.connect(read_only=True) as connection:
        names = {row[0] for row in connection.execute("select distinct schema_name from duckdb_tables()").fetchall()}
    assert "restricted" not in names
    assert victims.path.stat().st_mode & 0o777 == 0o600


def test_the_books_are_the_same_in_both_and_copied_once(both):
    warehouse, victims = both
    for name in ("ops.receipt", "ops.load", "ops.check_result", "ops.receipt_ledger", "ops.pull"):
        assert lines(warehouse, name) == lines(victims, name)
        assert lines(warehouse, name)
    before = warehouse.path.read_bytes()
    assert copy_books(warehouse) is False
    assert warehouse.path.read_bytes() == before
    assert ("labour", "inputs", "mark", datetime(2026, 7, 5)) in lines(warehouse, "ops.watermark")


def test_books_that_a_killed_process_did_not_copy_come_with_the_next_load(both, tmp_path: Path):
    warehouse, victims = both
    received(tmp_path, REGISTER.replace("LABOUR,31", "LABOUR,32"), LATER)
    assert warehouse.last_refresh_at() == FIRST.replace(tzinfo=None)  # the process died here
    assert copy_books(warehouse) is True
    assert lines(warehouse, "ops.load") == lines(victims, "ops.load")
    assert warehouse.changed_at(["restricted.victim_count"]) == {"restricted.victim_count": LATER.replace(tzinfo=None)}


def test_numbers_are_shown_while_they_are_computed_and_never_written(both):
    warehouse, victims = both
    before = warehouse.path.read_bytes()
    with pytest.raises(duckdb.Error, match="restricted"):
        warehouse.read("select count(*) from restricted.victim_count_current")
    with warehouse.showing_victims():
        assert warehouse.read("select sum(quantity) from restricted.victim_count_current").rows() == [(40.0,)]
        with warehouse.kept_open(), transaction(warehouse, "test", FIRST) as load:
            query = "select count(*) from restricted.victim_count_as_of(timestamp '2026-07-05 21:00')"
            assert load.connection.execute(query).fetchall() == [(0,)]
        held = _held_in_evidence(warehouse)
    assert held == [("staging.victim_count", "category", 1)]
    assert warehouse.path.read_bytes() == before
    with victims.connect():  # nobody holds it any more
        pass


def _held_in_evidence(warehouse: Warehouse) -> list[tuple[object, ...]]:
    with warehouse.connect(read_only=True) as connection:
        return _held_back(connection).select("table_name", "item_code", "item_count").rows()


def test_the_pages_of_the_provider_stand_with_its_store_and_are_found_from_the_run(both, tmp_path: Path):
    warehouse, _ = both
    with warehouse.showing_victims(), warehouse.connect(read_only=True) as connection:
        (written,), _ = write_quality(connection, tmp_path / "quality")
    assert written.folder == tmp_path / "victims" / "quality"
    assert CANARY in (written.folder / "rejected.csv").read_text(encoding="utf-8-sig")
    beside = [path for path in (tmp_path / "quality").rglob("*") if path.is_file()]
    assert {path.name for path in beside} == {"run.en.html", "run.vi.html"}
    for path in beside:
        page = path.read_text(encoding="utf-8")
        assert CANARY not in page
        (link,) = re.findall(r'href="([^"]+)"', page)
        assert (path.parent / link).is_file()


def test_without_a_victims_store_there_are_no_numbers(tmp_path: Path):
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    with warehouse.connect():
        pass
    with warehouse.showing_victims():
        assert warehouse.read("select * from restricted.victim_count_current").is_empty()
    assert not (tmp_path / "victims").exists()


def test_a_reader_waits_for_the_writer_of_the_victims_store(both):
    warehouse, victims = both
    script = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('open', flush=True); time.sleep(1.5)"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(victims.path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with warehouse.showing_victims(), pytest.raises(Exception, match=r"victims\.duckdb cannot be read"):
            warehouse.read("select 1")
        warehouse.patience_seconds = 60
        with warehouse.showing_victims():
            assert warehouse.read("select count(*) from restricted.victim_count_current").rows() == [(3,)]


# An installation -------------------------------------------------------------------------------------------------------


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "mhwg.toml").write_text("practice = false\n", encoding="utf-8")
    monkeypatch.setenv("MHWG_SETTINGS", str(tmp_path / "mhwg.toml"))
    monkeypatch.delenv("MHWG_STATE", raising=False)
    return load_settings()


def run(arguments: list[str]) -> int:
    return call(lambda: app(arguments, standalone_mode=False))


def built_before(settings: Settings) -> None:
    """The state as a program left it that kept everything in one file: two versions of a number, a held record, the landed file."""
    state = settings.state_folder
    older = Warehouse(state / "warehouse.duckdb", tables(), steps=())
    landing = landing_of(settings, "programme")
    inbox = settings.inbox(settings.programme)
    inbox.mkdir(parents=True)
    for at, text in ((FIRST, REGISTER), (LATER, REGISTER.replace("LABOUR,31", "LABOUR,32"))):
        pull = landing.pull("programme", "support", at, is_practice=False)
        pull.write("support.csv", text.encode())
        sent = {"name": "support.csv", "sha256": hashlib.sha256(text.encode()).hexdigest()}
        receipt = pull.finish("file", "inbox:support.csv", sent, 4)
        frame = read.read_file(text.encode(), "support.csv", receipt.receipt_id, False, read.VICTIMS)
        with transaction(older, "programme", at) as load:
            load.stage("staging.victim_count", frame, {})
            load.load_history("restricted.victim_count", mode="snapshot", scope={"file_code": "support"})
            load.register([receipt])
    (inbox / "support.csv").write_text(text, encoding="utf-8")


def test_an_upgrade_moves_what_an_older_program_kept_in_the_warehouse(office: Settings):
    built_before(office)
    warehouse, state = warehouse_of(office), office.state_folder
    victims = victims_beside(warehouse)
    assert is_in_warehouse(warehouse)
    query = "select record_code, quantity, recorded_from, recorded_to from restricted.victim_count order by all"
    older = Warehouse(warehouse.path, tables(), steps=())
    before, books = older.read(query).rows(), older.read(BOOKS).rows()
    assert (len(before), len(books)) == (4, 4)
    # Sent to the new inbox as well, before anybody upgraded.
    sent = office.inbox(office.programme) / "support.csv"
    office.inbox(office.victims).mkdir(parents=True)
    shutil.copy(sent, office.inbox(office.victims))
    assert run(["upgrade"]) == 0
    assert not sent.exists()
    assert not is_in_warehouse(warehouse)
    assert victims.read(query).rows() == before
    assert lines(warehouse, "quarantine.record") == []
    held = victims.read("select table_name, source_code, status_code from quarantine.record").rows()
    assert held == [("staging.victim_count", "victims", "held")]
    assert landing_of(office, "programme").receipts("programme") == []
    assert [path.name for path in office.inbox(office.victims).iterdir()] == ["support.csv"]
    holding = [path for path in state.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert {path.relative_to(state).parts[0] for path in holding} == {"victims", "backups"}
    # What the books said of it is said on, in both.
    copy_books(warehouse)
    assert warehouse.read(BOOKS).rows() == victims.read(BOOKS).rows() == books
    assert run(["upgrade"]) == 0  # nothing more to do
    assert victims.read(query).rows() == before


BOOKS = "select refresh_at, source_code, table_name, inserted, changed from ops.load where table_name like '%victim%' order by all"


def test_after_an_upgrade_the_files_are_known_and_a_mended_one_settles_what_was_held(office: Settings):
    built_before(office)
    assert run(["upgrade"]) == 0
    victims, landing = victims_beside(warehouse_of(office)), landing_of(office, "victims")
    kept = {receipt.receipt_id for receipt in landing.receipts("victims")}
    assert len(kept) == 2
    assert set(victims.read("select receipt_id from restricted.victim_count")["receipt_id"]) <= kept
    text = (office.inbox(office.victims) / "support.csv").read_text(encoding="utf-8")
    again = received(office.state_folder, text, LATER + timedelta(weeks=1))
    assert (again.fault, again.pulled_receipts, again.is_change) == (None, 0, False)
    assert {receipt.receipt_id for receipt in landing.receipts("victims")} == kept
    mended = received(office.state_folder, text.replace(CANARY, "SECURITY"), LATER + timedelta(weeks=2))
    assert (mended.fault, mended.is_change) == (None, True)
    assert victims.read("select status_code from quarantine.record").rows() == [("resolved",)]
    assert sorted(victims.read("select quantity from restricted.victim_count_current")["quantity"]) == [4, 5, 6, 32]


def test_a_move_that_was_cut_off_is_ended_and_moves_nothing_twice(office: Settings):
    built_before(office)
    warehouse = warehouse_of(office)
    landings = landing_of(office, "programme"), landing_of(office, "victims")
    assert move_out(warehouse, *landings).rows["restricted.victim_count"] == 4
    everything = {name: lines(victims_beside(warehouse), name) for name in tables_of("victims")}
    assert move_out(warehouse, *landings).rows == {}
    assert {name: lines(victims_beside(warehouse), name) for name in tables_of("victims")} == everything
    assert run(["upgrade"]) == 0
    assert victims_beside(warehouse).read("select count(*) from restricted.victim_count").rows() == [(4,)]


def test_a_record_held_in_the_victims_store_is_listed_shown_and_decided(
    office: Settings, capsys: pytest.CaptureFixture[str]
):
    received(office.state_folder, REGISTER, FIRST)
    with warehouse_of(office).connect():
        pass
    with victims_beside(warehouse_of(office)).connect(read_only=True) as connection:
        ((record_id,),) = connection.execute("select quarantine_id from quarantine.record").fetchall()
    assert run(["quarantine", "list"]) == 0
    assert "victims staging.victim_count: 1 records" in capsys.readouterr().out
    assert run(["quarantine", "show", record_id, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)["values"]
    assert {values[name] for name in ("category_code", "quantity", "file_code")} == {"withheld (restricted)"}
    assert run(["quarantine", "discard", record_id, "--reason", "sent by mistake"]) == 0
    with victims_beside(warehouse_of(office)).connect(read_only=True) as connection:
        assert quarantine.listed(connection, status="discarded")[0]["id"] == record_id
    assert run(["doctor"]) == Exit.REFUSED  # there is no key in this office
    assert "victims' store: built from this catalogue" in capsys.readouterr().out


def test_the_victims_folder_is_the_owners_alone(office: Settings):
    received(office.state_folder, REGISTER, FIRST)
    store = victims_beside(warehouse_of(office)).path
    store.parent.chmod(0o755)
    store.chmod(0o644)
    assert {store, store.parent} <= set(open_to_others(office))
    keep_private(office)
    assert (store.stat().st_mode & 0o777, store.parent.stat().st_mode & 0o777) == (0o600, 0o700)
