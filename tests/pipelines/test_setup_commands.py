"""`mhwg init` and `mhwg doctor` on bare folders: what they write, refuse and find."""

import importlib
import json
import os
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipelines import doctor
from pipelines.cli import app, call
from pipelines.cli.refresh import _root_sentence
from pipelines.dead_runs import close_dead_runs, process_tag
from pipelines.failures import SettingsError
from pipelines.privacy import keep_private
from pipelines.settings import load_settings, use_dagster_home
from warehouse.locks import LockHeld, held, holder_of
from warehouse.store import Warehouse

KEY = "a key of the tests, for people who do not exist"


def mhwg(*words: str) -> int:
    return call(lambda: app(list(words), standalone_mode=False))


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose settings would be in force."""
    monkeypatch.setenv("MHWG_SETTINGS", str(tmp_path / "mhwg.toml"))
    monkeypatch.delenv("MHWG_STATE", raising=False)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("MHWG_PSEUDONYM_KEY", KEY)
    return tmp_path


def findings(office: Path) -> dict[str, list[doctor.Finding]]:
    found: dict[str, list[doctor.Finding]] = {}
    for finding in doctor.examine(load_settings()):
        found.setdefault(finding.subject, []).append(finding)
    return found


def test_init_writes_settings_that_are_understood_and_never_twice(office: Path, capsys: pytest.CaptureFixture[str]):
    assert mhwg("init") == 0
    written = (office / "mhwg.toml").read_text(encoding="utf-8")
    settings = load_settings()
    assert not settings.practice
    assert settings.state_folder == office / "var"
    assert settings.schedule.cron == "0 5 * * 1"
    assert "#" in written
    assert (office / "mhwg.toml").stat().st_mode & 0o077 == 0
    assert mhwg("init") == 3
    assert "exists and is left as it is" in capsys.readouterr().err
    assert (office / "mhwg.toml").read_text(encoding="utf-8") == written


def test_every_commented_key_of_init_is_a_known_key(office: Path):
    assert mhwg("init") == 0
    text = (office / "mhwg.toml").read_text(encoding="utf-8")
    opened = "\n".join(
        line[2:] if line.startswith("# ") and " = " in line and line[2:3].islower() else line
        for line in text.split("# [[dhis2]]")[0].splitlines()
    )
    (office / "mhwg.toml").write_text(opened, encoding="utf-8")
    settings = load_settings()
    assert settings.dagster.postgres_url_env == "MHWG_DAGSTER_POSTGRES_URL"
    assert settings.alerts.webhook_url_env == "MHWG_ALERT_WEBHOOK"


def test_init_takes_the_time_zone_of_the_machine(office: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "Asia/Phnom_Penh")
    assert mhwg("init") == 0
    assert load_settings().schedule.timezone == "Asia/Phnom_Penh"


def test_init_says_when_the_folder_is_not_there(office: Path, capsys: pytest.CaptureFixture[str]):
    assert mhwg("init", str(office / "nowhere" / "mhwg.toml")) == 6
    assert "cannot be written" in capsys.readouterr().err


def test_doctor_finds_nothing_on_a_sound_folder_and_says_so(office: Path, capsys: pytest.CaptureFixture[str]):
    assert mhwg("init") == 0
    capsys.readouterr()
    assert mhwg("doctor", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {entry["subject"] for entry in told} >= {"python", "disk", "clock", "settings", "pseudonym key", "warehouse"}
    assert "fault" not in {entry["level"] for entry in told}


def test_doctor_finds_missing_keys_plain_http_and_open_folders(office: Path, monkeypatch: pytest.MonkeyPatch):
    (office / "mhwg.toml").write_text(
        '[[dhis2]]\ncode = "vnm"\nurl = "http://dhis2.example.org"\ncredential_env = "MHWG_NO_SUCH"\n'
        '[alerts]\nwebhook_url_env = "MHWG_NO_HOOK"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("MHWG_PSEUDONYM_KEY", "short")
    state = office / "var"
    state.mkdir(mode=0o755)
    state.chmod(0o755)
    found = findings(office)
    for subject in ("pseudonym key", "MHWG_NO_SUCH", "MHWG_NO_HOOK", "dhis2 vnm", "permissions"):
        assert found[subject][0].level == "fault", subject
    assert "short" not in found["pseudonym key"][0].text
    assert "chmod 700" in found["permissions"][0].text
    assert mhwg("doctor") == 3


def test_a_key_file_is_read_only_where_nobody_else_can_read_it(office: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MHWG_PSEUDONYM_KEY")
    secrets, home = office / "secrets", office / "home"
    for folder in (secrets, home, office / "var"):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))

    def key_from(path: Path, mode: int = 0o600) -> bytes:
        path.write_text("k" * 32 + "\n", encoding="ascii")
        path.chmod(mode)
        (office / "mhwg.toml").write_text(f'[pseudonym]\nkey_file = "{path}"\n', encoding="utf-8")
        return load_settings().pseudonym_key()

    assert key_from(secrets / "key") == b"k" * 32
    with pytest.raises(SettingsError, match="has mode 0640: others may read the key"):
        key_from(secrets / "key", 0o640)
    assert findings(office)["pseudonym key"][0].level == "fault"
    with pytest.raises(SettingsError, match="lies in the home of this account"):
        key_from(home / "key")
    with pytest.raises(SettingsError, match="lies in the state folder"):
        key_from(office / "var" / "key")
    (office / "mhwg.toml").write_text('[pseudonym]\nkey_file = "/no/such/key"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings().pseudonym_key()


def test_rights_are_taken_back_before_a_run(office: Path, caplog: pytest.LogCaptureFixture):
    (office / "mhwg.toml").write_text("", encoding="utf-8")
    state = office / "var"
    (state / "landing").mkdir(parents=True)
    (state / "warehouse.duckdb").write_bytes(b"")
    for path, mode in ((state, 0o755), (state / "landing", 0o750), (state / "warehouse.duckdb", 0o644)):
        path.chmod(mode)
    assert keep_private(load_settings()) == [state, state / "landing", state / "warehouse.duckdb"]
    assert [path.stat().st_mode & 0o777 for path in (state, state / "landing", state / "warehouse.duckdb")] == [
        0o700, 0o700, 0o600,
    ]  # fmt: skip
    assert "warehouse.duckdb was open to others (mode 0644)" in caplog.text
    assert keep_private(load_settings()) == []


def test_rights_that_cannot_be_taken_back_stop_the_run(office: Path, monkeypatch: pytest.MonkeyPatch):
    (office / "mhwg.toml").write_text("", encoding="utf-8")
    (office / "var").mkdir()
    (office / "var").chmod(0o755)
    monkeypatch.setattr(os, "chmod", lambda *_: (_ for _ in ()).throw(PermissionError(1, "not the owner")))
    with pytest.raises(SettingsError, match="belongs to another account"):
        keep_private(load_settings())


@pytest.mark.parametrize(("ahead", "level"), [(0, "ok"), (300, "warning"), (-7200, "fault")])
def test_doctor_compares_the_clock_with_the_servers(office: Path, ahead: int, level: str):
    class Server(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(302)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) - timedelta(seconds=ahead), usegmt=True)

    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.handle_request, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    (office / "mhwg.toml").write_text(f'[[dhis2]]\ncode = "vnm"\nurl = "{url}"\n', encoding="utf-8")
    (found,) = findings(office)["clock of vnm"]
    server.server_close()
    assert found.level == level, found
    if ahead:
        assert ("ahead of" if ahead > 0 else "behind") in found.text


def test_doctor_says_when_a_clock_could_not_be_compared(office: Path):
    (office / "mhwg.toml").write_text('[[dhis2]]\ncode = "vnm"\nurl = "http://127.0.0.1:9"\n', encoding="utf-8")
    (found,) = findings(office)["clock of vnm"]
    assert (found.level, "not compared" in found.text) == ("warning", True)


def test_doctor_names_what_a_stranger_laid_beside_the_releases(office: Path):
    (office / "mhwg.toml").write_text("", encoding="utf-8")
    releases = office / "var" / "release"
    for name in ("20260705T220000Z", ".ledger", ".building-20260712T220000Z", "my copy"):
        (releases / name).mkdir(parents=True)
    (releases / "current").symlink_to("20260705T220000Z")
    (found,) = findings(office)["release folder"]
    assert found.level == "warning"
    assert found.text.startswith(f"{releases / 'my copy'} is no release")


def test_doctor_finds_a_backup_that_is_old_or_was_never_taken(office: Path):
    (office / "mhwg.toml").write_text("", encoding="utf-8")
    state = office / "var"
    state.mkdir(mode=0o700)
    assert "backup" not in findings(office)  # nothing to lose yet
    with Warehouse(state / "warehouse.duckdb").connect():
        pass
    assert findings(office)["backup"][0].level == "warning"
    log = state / "audit" / "commands.jsonl"
    log.parent.mkdir(mode=0o700)

    def told(days: int, code: int = 0) -> doctor.Finding:
        at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        log.write_text(
            json.dumps({"at": at, "command": ["backup", "--to", "/x"], "exit_code": code}) + "\n{cut", encoding="utf-8"
        )
        return findings(office)["backup"][0]

    assert told(7).level == "ok"
    assert told(9).level == "warning"
    assert "none was ever taken" in told(1, code=5).text


def test_doctor_finds_plain_addresses_of_references_and_alerts(office: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MHWG_HOOK", "http://hooks.example.org/secret-path")
    (office / "mhwg.toml").write_text(
        '[reference]\nurls = ["http://files.example.org/a.csv"]\nbase_urls = { gho = "http://who.example.org" }\n'
        '[alerts]\nwebhook_url_env = "MHWG_HOOK"\nmail_to = ["a@example.org"]\nsmtp_host = "mail.example.org"\n'
        'smtp_security = "none"\n',
        encoding="utf-8",
    )
    found = findings(office)
    assert [finding.level for finding in found["reference"]] == ["fault"]
    assert [finding.level for finding in found["reference gho"]] == ["fault"]
    assert [finding.level for finding in found["alerts"]] == ["warning", "warning"]
    assert "secret-path" not in " ".join(finding.text for finding in found["alerts"])


def test_doctor_recognises_a_clock_that_runs_behind_and_a_file_that_is_no_warehouse(office: Path):
    (office / "mhwg.toml").write_text("", encoding="utf-8")
    state = office / "var"
    state.mkdir(mode=0o700)
    with Warehouse(state / "warehouse.duckdb").connect():
        pass
    assert findings(office)["warehouse"][0].level == "ok"
    tomorrow = (state / "warehouse.duckdb").stat().st_mtime + 86_400
    os.utime(state / "warehouse.duckdb", (tomorrow, tomorrow))
    assert findings(office)["clock"][0].level == "fault"
    (state / "warehouse.duckdb").write_bytes(b"no database" * 1000)
    assert findings(office)["warehouse"][0].level == "fault"


def test_a_lock_tells_who_holds_it_and_is_free_afterwards(tmp_path: Path):
    lock = tmp_path / "locks" / "refresh.lock"
    assert holder_of(lock) is None
    with held(lock, "the refresh", "mhwg refresh, process 1"):
        assert holder_of(lock) == "mhwg refresh, process 1"
        with pytest.raises(LockHeld, match="mhwg refresh, process 1"), held(lock, "the refresh", "another"):
            pass
    assert holder_of(lock) is None
    assert lock.read_bytes() == b""


def test_a_run_whose_process_is_gone_is_closed_and_a_living_one_is_not(tmp_path: Path):
    import subprocess
    import sys

    import dagster as dg

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with dg.DagsterInstance.ephemeral() as instance:
        runs = {
            pid: instance.create_run_for_job(nothing, tags=process_tag(pid), status=dg.DagsterRunStatus.STARTED)
            for pid in (gone.pid, os.getpid())
        }
        elsewhere = instance.create_run_for_job(
            nothing, tags={"mhwg/process": f"another-machine:{gone.pid}"}, status=dg.DagsterRunStatus.STARTED
        )
        assert close_dead_runs(instance) == [runs[gone.pid].run_id]
        assert instance.get_run_by_id(runs[gone.pid].run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(runs[os.getpid()].run_id).status == dg.DagsterRunStatus.STARTED
        assert instance.get_run_by_id(elsewhere.run_id).status == dg.DagsterRunStatus.STARTED


def test_an_interrupt_inside_a_command_is_told_in_one_sentence(
    office: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(_: object) -> list[doctor.Finding]:
        raise KeyboardInterrupt

    (office / "mhwg.toml").write_text("", encoding="utf-8")
    monkeypatch.setattr(importlib.import_module("pipelines.cli.doctor"), "examine", interrupted)
    assert mhwg("doctor") == 130
    assert "The last good state stands." in capsys.readouterr().err


def _job():
    import dagster as dg

    @dg.op
    def rest() -> None: ...

    @dg.job
    def idle() -> None:
        rest()

    return idle


nothing = _job()


def test_postgres_is_named_by_its_variable_only_and_must_be_set(office: Path, monkeypatch: pytest.MonkeyPatch):
    (office / "mhwg.toml").write_text('[dagster]\npostgres_url_env = "MHWG_PG"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="MHWG_PG"):
        use_dagster_home(load_settings())
    monkeypatch.setenv("MHWG_PG", "postgresql://someone:secret@127.0.0.1/dagster")
    with pytest.raises(SettingsError, match="psycopg2") as caught:  # SQLAlchemy 2.1 would ask for another driver
        use_dagster_home(load_settings())
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("MHWG_PG", "postgresql+psycopg2://someone:secret@127.0.0.1/dagster")
    monkeypatch.setenv("DAGSTER_HOME", str(office / "home"))
    written = (use_dagster_home(load_settings()) / "dagster.yaml").read_text(encoding="utf-8")
    assert "env: MHWG_PG" in written
    assert "event_log_storage" not in written, "Dagster takes one storage or its parts, not both"
    assert "secret" not in written


def test_settings_that_the_account_may_not_read_are_told_in_one_sentence(office: Path, monkeypatch: pytest.MonkeyPatch):
    file = office / "mhwg.toml"
    file.write_bytes(b'organisation = "\xff"\n')
    with pytest.raises(SettingsError, match="is not UTF-8 text"):
        load_settings(file)
    monkeypatch.setattr(
        Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(SettingsError, match="cannot be read by this account: permission denied"):
        load_settings(file)


def test_a_refresh_without_the_key_ends_before_it_begins(
    office: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """It used to begin, fail in the middle of the run, and end with the code of a check that stopped a load."""
    (office / "mhwg.toml").write_text("", encoding="utf-8")
    monkeypatch.delenv("MHWG_PSEUDONYM_KEY", raising=False)
    assert mhwg("refresh") == 4
    assert "MHWG_PSEUDONYM_KEY must hold the pseudonym key" in " ".join(capsys.readouterr().err.split())
    assert not (office / "var").exists()


def test_the_inboxes_of_the_state_folder_stand_and_others_are_left_alone(office: Path):
    share = office / "share" / "labour"
    (office / "mhwg.toml").write_text(f'[labour]\ninbox = "{share}"\n', encoding="utf-8")
    settings = load_settings()
    settings.make_inboxes()
    assert sorted(folder.name for folder in (office / "var" / "inbox").iterdir()) == [
        "programme",
        "reference",
        "survey",
    ]
    assert (office / "var" / "inbox" / "survey").stat().st_mode & 0o777 == 0o700
    assert not share.exists()


def test_a_fault_is_told_without_its_class():
    class Error:
        cause = None
        cls_name = "SettingsError"
        message = "pipelines.failures.SettingsError: mhwg.toml: the key is missing.\nmore\n"

    assert _root_sentence(Error()) == "mhwg.toml: the key is missing."


def test_want_of_memory_is_told_and_not_the_check_that_it_ended():
    class Deepest:
        cause = None
        cls_name = "TransactionLostError"
        message = "expectations.scales.TransactionLostError: a check's own SQL failed on the data"

    class Error:
        cause = Deepest()
        cls_name = "OutOfMemory"
        message = "warehouse.store.OutOfMemory: warehouse.duckdb: a query needs more than 256 MiB of memory.\n"

    assert _root_sentence(Error()) == "warehouse.duckdb: a query needs more than 256 MiB of memory."
