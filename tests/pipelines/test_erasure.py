"""Erasing a person: gone from every table, version and file, found nowhere afterwards, and not brought back by a restore.

The world is written by hand: An has a record on each of two servers (one in quarantine) and a labour contract; Binh has a record
that bore An's token for a week, because somebody typed the wrong number. No one exists.
"""

import json
import shutil
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.cli import app, call
from pipelines.erasure import erase_again, pseudonymiser_of
from pipelines.settings import load_settings
from warehouse import quarantine
from warehouse.catalogue.table_catalogue import tables
from warehouse.erasure import Marks, erased_digests, files_with, rows_with
from warehouse.landing import Landing
from warehouse.load import transaction
from warehouse.store import Warehouse

KEY = "a key of the tests, for people who do not exist"
FIRST = datetime(2026, 7, 6, tzinfo=UTC)
WEEK = timedelta(weeks=1)
AN, BINH, CHI = "a" * 39 + "1", "b" * 39 + "2", "c" * 39 + "3"
AN_CONTRACT, CHI_CONTRACT = "d" * 39 + "4", "e" * 39 + "5"
AN_VNM, AN_KHM, BINH_VNM, CHI_VNM = "TeAnVnm0001", "TeAnKhm0001", "TeBinhVnm01", "TeChiVnm001"
EVERYTHING_OF_AN = (AN, AN_CONTRACT, AN_VNM, AN_KHM, "EnAnVnm0001", "EnAnKhm0001", "ReferralOfAn")


def mhwg(*words: str) -> int:
    return call(lambda: app(list(words), standalone_mode=False))


def record(server: str, entity: str, enrollment: str, token: str, **more: object) -> dict[str, object]:
    return {
        "instance_code": server, "enrollment_uid": enrollment, "tracked_entity_uid": entity, "person_token": token,
        "token_basis_code": "national_id", "key_id": "k1", "sex_code": "F", "nationality_code": "VNM",
        "migrant_status_code": "2", "migrant_basis_code": "C", "disease_code": "TB", "direction_code": "outgoing",
        "referred_on": date(2026, 3, 1), "updated_at": datetime(2026, 3, 1), "is_practice": True, **more,
    }  # fmt: skip


def frame(table: str, rows: list[dict[str, object]], receipt: str) -> pl.DataFrame:
    """Rows of a table; what a row does not say is `_U` or empty, as the catalogue allows."""
    entry = tables()[table]
    empty = {column.name: None if column.nullable or column.type != "varchar" else "_U" for column in entry.columns}
    return pl.DataFrame(
        [{name: {**empty, **row, "receipt_id": receipt}[name] for name in entry.batch_columns} for row in rows]
    )


def landed(landing: Landing, source: str, name: str, lines: list[dict[str, object]], at: datetime) -> str:
    pull = landing.pull(source, name, at, is_practice=True)
    pull.write(f"{name}-000001.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    receipt = pull.finish(name, "by hand", {"mode": "full"}, len(lines))
    landing.note_pull([receipt], at)
    return receipt.receipt_id


def entity(uid: str, enrollment: str, token: str) -> dict[str, object]:
    return {"tracked_entity": uid, "token": token, "enrollments": [{"enrollment": enrollment}]}


@pytest.fixture
def office(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation whose state holds An, Binh and Chi."""
    monkeypatch.setenv("MHWG_SETTINGS", str(tmp_path / "mhwg.toml"))
    monkeypatch.delenv("MHWG_STATE", raising=False)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("MHWG_PSEUDONYM_KEY", KEY)
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The office as it is copied for each test."""
    tmp_path = tmp_path_factory.mktemp("office")
    (tmp_path / "mhwg.toml").write_text("practice = false\n", encoding="utf-8")
    state = tmp_path / "var"
    store, landing = Warehouse(state / "warehouse.duckdb"), Landing(state / "landing")
    vnm = landed(
        landing, "dhis2_vnm", "tracker",
        [entity(AN_VNM, "EnAnVnm0001", AN), entity(BINH_VNM, "EnBinhVnm01", AN), entity(CHI_VNM, "EnChiVnm001", CHI)], FIRST,
    )  # fmt: skip
    again = landed(landing, "dhis2_vnm", "tracker", [entity(BINH_VNM, "EnBinhVnm01", BINH)], FIRST + WEEK)
    khm = landed(landing, "dhis2_khm", "tracker", [entity(AN_KHM, "EnAnKhm0001", AN)], FIRST)
    register = landed(
        landing, "labour", "file",
        [{"form": "safe-register"}, {"person_token": AN, "contract_token": AN_CONTRACT, "row": 2},
         {"person_token": CHI, "contract_token": CHI_CONTRACT, "row": 3}], FIRST,
    )  # fmt: skip
    an, chi = record("vnm", AN_VNM, "EnAnVnm0001", AN), record("vnm", CHI_VNM, "EnChiVnm001", CHI)
    mistyped, mended = (record("vnm", BINH_VNM, "EnBinhVnm01", token) for token in (AN, BINH))
    with transaction(store, "dhis2_vnm", FIRST) as load:
        load.load_frame(
            "core.referral_record", frame("core.referral_record", [an, mistyped, chi], vnm), mode="snapshot"
        )
        held = quarantine.Rejected(
            record("khm", AN_KHM, "EnAnKhm0001", AN),
            ("staging.referral_record.x: wrong",),
            khm,
            "tracker#1/EnAnKhm0001",
        )
        quarantine.hold(load.connection, tables()["staging.referral_record"], "dhis2_khm", [held], FIRST)
        load.connection.execute(
            "insert into staging.tracked_entity (instance_code, tracked_entity_uid, is_deleted, receipt_id) values ('vnm', ?, false, ?)",
            [AN_VNM, vnm],
        )
        load.connection.execute(
            "insert into ops.source_outage values ('dhis2_khm', ?, date '2026-07-01', ?)",
            [FIRST.replace(tzinfo=None), f"enrollment EnAnKhm0001 of {AN} could not be read"],
        )
        contracts = [
            {"contract_token": token, "person_token": person, "key_id": "k1", "token_basis_code": "national_id",
             "is_practice": True, "document_code": "register-1", "published_on": date(2026, 6, 15)}
            for token, person in ((AN_CONTRACT, AN), (CHI_CONTRACT, CHI))
        ]  # fmt: skip
        load.load_frame("core.labour_contract", frame("core.labour_contract", contracts, register), mode="snapshot")
        referral = {
            "referral_code": "ReferralOfAn", "person_token": AN, "disease_code": "TB", "sex_code": "F", "nationality_code": "VNM",
            "migrant_status_code": "2", "migrant_basis_code": "C", "link_code": "sent_not_arrived", "is_practice": True,
            "sending_instance_code": "vnm", "sending_enrollment_uid": "EnAnVnm0001",
        }  # fmt: skip
        load.load_frame("core.referral", frame("core.referral", [referral], vnm), mode="snapshot")
    an_later = record("vnm", AN_VNM, "EnAnVnm0001", AN, outcome_code="CURED")
    with transaction(store, "dhis2_vnm", FIRST + WEEK) as load:
        load.load_frame(
            "core.referral_record", frame("core.referral_record", [an_later, mended, chi], again), mode="snapshot"
        )
    landing.pull("dhis2_vnm", "broken", FIRST, is_practice=True).write("tracker-000001.jsonl", AN_VNM.encode())
    for name in ("dagster/history", "quality/dhis2_vnm", "release/20260706T000000Z"):
        (state / name).mkdir(parents=True)
    (state / "quality" / "dhis2_vnm" / "held.csv").write_text("id\nEnAnKhm0001\n", encoding="utf-8")
    (state / "dagster" / "history" / "step.log").write_text(f"a library wrote {AN} here\n", encoding="utf-8")
    with sqlite3.connect(state / "dagster" / "history" / "runs.db") as events:
        events.execute("create table event_logs (id integer primary key, event text)")
        events.execute("insert into event_logs (event) values (?)", [f"a fault named {AN_VNM}"])
    return tmp_path


def bytes_of(state: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(state.rglob("*")) if path.is_file())


def store_of(office: Path) -> Warehouse:
    return Warehouse(office / "var" / "warehouse.duckdb")


def test_a_dry_run_tells_and_writes_nothing(office: Path, capsys: pytest.CaptureFixture[str]):
    before = bytes_of(office / "var")
    assert mhwg("erase", AN, "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert bytes_of(office / "var") == before
    # An's two versions and the one of Binh's record that bore An's token
    assert told["tables"]["core.referral_record"] == 3
    assert told["landed_lines"] == {"dhis2_khm": 1, "dhis2_vnm": 2, "labour": 1}
    assert told["records"] == 2
    assert AN not in json.dumps(told)


def test_without_yes_nothing_happens_and_it_is_said(office: Path, capsys: pytest.CaptureFixture[str]):
    before = bytes_of(office / "var")
    assert mhwg("erase", AN) == 64
    assert "--dry-run" in capsys.readouterr().err
    assert bytes_of(office / "var") == before
    assert mhwg("erase", "Nguyen Van An", "--yes") == 64
    assert "Nguyen" not in capsys.readouterr().err


def test_nothing_of_the_person_is_left_in_any_byte(office: Path, capsys: pytest.CaptureFixture[str]):
    state = office / "var"
    for text in EVERYTHING_OF_AN:
        assert text.encode() in bytes_of(state), f"the world has no {text}"
    assert mhwg("erase", AN, "--yes", "--no-compute", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    left = bytes_of(state)
    for text in EVERYTHING_OF_AN:
        assert text.encode() not in left, text
    assert told["tables_after"] == told["files_after"] == {}
    proof = json.loads(Path(told["proof"]).read_text(encoding="utf-8"))
    assert proof["is_complete"] is True
    assert proof["removed"]["rows_by_table"]["core.referral_record"] == 3
    assert Path(told["proof"]).stat().st_mode & 0o777 == 0o600
    with store_of(office).connect(read_only=True) as connection:
        assert rows_with(connection, Marks(frozenset([AN]))) == {}
        ((fault,),) = connection.execute("select fault from ops.source_outage").fetchall()
    assert fault == "enrollment (erased) of (erased) could not be read"


def test_the_others_keep_everything(office: Path):
    assert mhwg("erase", AN, "--yes", "--no-compute") == 0
    store = store_of(office)
    rows = store.read("select enrollment_uid, person_token from core.referral_record order by all").rows()
    assert rows == [("EnBinhVnm01", BINH), ("EnChiVnm001", CHI)]
    assert store.read("select person_token from core.labour_contract").rows() == [(CHI,)]
    left = bytes_of(office / "var" / "landing")
    assert BINH.encode() in left
    assert CHI.encode() in left
    assert CHI_CONTRACT.encode() in left
    assert not list((office / "var" / "landing" / ".incoming").iterdir())
    with sqlite3.connect(office / "var" / "dagster" / "history" / "runs.db") as events:
        assert events.execute("select event from event_logs").fetchall() == [("a fault named (erased)",)]


def test_what_is_landed_still_agrees_with_its_receipts(office: Path):
    assert mhwg("erase", AN, "--yes", "--no-compute") == 0
    landing = Landing(office / "var" / "landing")
    stored = dict(store_of(office).read("select receipt_id, payload_sha256 from ops.receipt").rows())
    for source in ("dhis2_vnm", "dhis2_khm", "labour"):
        for receipt in landing.receipts(source):
            landing.verify(receipt)
            assert stored.get(receipt.receipt_id, receipt.payload_sha256) == receipt.payload_sha256
        for pull in landing.waiting_pulls(source):
            for receipt in pull:
                landing.verify(receipt)
    assert any(receipt.parameters.get("removed_lines") for receipt in landing.receipts("dhis2_vnm"))


def test_the_books_say_what_was_removed_and_that_figures_must_be_computed_anew(office: Path):
    assert mhwg("erase", AN, "--yes", "--no-compute") == 0
    store = store_of(office)
    rows = dict(store.read("select table_name, row_count from ops.removal where cause_code = 'erasure'").rows())
    assert rows["core.referral_record"] == 3
    assert rows["landing"] == 4
    loads = store.read("select table_name, closed from ops.load where source_code = 'erasure'").rows()
    assert ("core.referral_record", 3) in loads


def test_the_command_is_on_file_without_the_person(office: Path, monkeypatch: pytest.MonkeyPatch):
    from pipelines import cli

    monkeypatch.setattr("sys.argv", ["mhwg", "erase", AN, "--yes", "--no-compute"])
    monkeypatch.setattr(cli.os, "_exit", lambda code: (_ for _ in ()).throw(SystemExit(code)))
    with pytest.raises(SystemExit):
        cli.main()
    log = (office / "var" / "audit" / "commands.jsonl").read_text(encoding="utf-8")
    assert json.loads(log)["command"] == ["erase", "***", "--yes", "--no-compute"]
    assert AN not in log


def test_who_is_not_here_is_listed_all_the_same(office: Path):
    nobody = "f" * 40
    assert mhwg("erase", nobody, "--yes", "--no-compute") == 6
    known = pseudonymiser_of(load_settings())
    assert known.is_erased("person", nobody)
    assert not known.is_erased("person", CHI)


def test_backups_hold_the_person_until_they_are_dropped(office: Path, capsys: pytest.CaptureFixture[str]):
    state = office / "var"
    assert mhwg("backup") == 0
    (old,) = (state / "backups").glob("*.tar")
    (state / "replaced-1").mkdir()
    (state / "replaced-1" / "warehouse.duckdb").write_bytes(AN.encode())
    capsys.readouterr()
    assert mhwg("erase", AN, "--yes", "--no-compute", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert told["old_states"] == [f"backups/{old.name}", "replaced-1"]
    assert mhwg("erase", AN, "--yes", "--no-compute", "--drop-backups") == 0
    kept = list((state / "backups").glob("*.tar"))
    assert len(kept) == 1
    assert kept != [old]
    assert not (state / "replaced-1").exists()
    for text in EVERYTHING_OF_AN:
        assert text.encode() not in bytes_of(state), text


def test_a_restored_backup_does_not_bring_the_person_back(
    office: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    state = office / "var"
    assert mhwg("backup", "--to", str(tmp_path / "kept")) == 0
    (file,) = (tmp_path / "kept").glob("*.tar")
    assert AN.encode() in file.read_bytes()
    assert mhwg("erase", AN, "--yes", "--no-compute") == 0
    monkeypatch.delenv("MHWG_PSEUDONYM_KEY")
    assert mhwg("restore", str(file), "--replace") == 4  # nobody could tell who was erased
    monkeypatch.setenv("MHWG_PSEUDONYM_KEY", KEY)
    assert mhwg("restore", str(file), "--replace") == 0
    marks = Marks(frozenset([AN]), frozenset([AN_CONTRACT]), records=frozenset([("vnm", AN_VNM), ("khm", AN_KHM)]))
    found, _ = files_with(state, marks, without=("replaced-1", "dagster", "quality"))
    assert found == {}
    with store_of(office).connect(read_only=True) as connection:
        assert rows_with(connection, marks) == {}
        tokens = {row[0] for row in connection.execute("select person_token from core.referral_record").fetchall()}
    assert tokens == {BINH, CHI}


def test_a_store_put_back_by_hand_is_cleaned_before_it_is_read(office: Path):
    state = office / "var"
    older = (state / "warehouse.duckdb").read_bytes()
    assert mhwg("erase", AN, "--yes", "--no-compute") == 0
    (state / "warehouse.duckdb").write_bytes(older)
    store = store_of(office)
    assert erase_again(load_settings(), store, FIRST + 3 * WEEK) == 1
    assert AN.encode() not in (state / "warehouse.duckdb").read_bytes()
    assert erase_again(load_settings(), store, FIRST + 4 * WEEK) == 0


def test_the_list_of_a_backup_joins_the_one_that_stands(office: Path, tmp_path: Path):
    assert mhwg("erase", AN, "--yes", "--no-compute") == 0
    assert mhwg("backup", "--to", str(tmp_path / "kept")) == 0
    (file,) = (tmp_path / "kept").glob("*.tar")
    assert mhwg("erase", CHI, "--yes", "--no-compute") == 0
    listed = erased_digests(office / "var")
    assert mhwg("restore", str(file), "--replace") == 0
    assert erased_digests(office / "var") == listed
    known = pseudonymiser_of(load_settings())
    assert known.is_erased("person", AN)
    assert known.is_erased("person", CHI)
    assert store_of(office).read("select person_token from core.referral_record").rows() == [(BINH,)]


def test_an_erasure_cut_off_after_the_landing_is_ended_by_the_next(office: Path, monkeypatch: pytest.MonkeyPatch):
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("warehouse.erasure.remove_rows", killed)
        assert mhwg("erase", AN, "--yes", "--no-compute") == 130
    assert AN.encode() in (office / "var" / "warehouse.duckdb").read_bytes()
    assert mhwg("erase", AN, "--yes", "--no-compute") == 0
    for text in EVERYTHING_OF_AN:
        assert text.encode() not in bytes_of(office / "var"), text
