"""The retention job as Dagster and the command run it: logs of runs and commands, inboxes, and that a lock keeps refreshes out."""

import json
import os
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from pipelines.cli import app, call
from pipelines.resources import warehouse_of
from pipelines.retention import JOB_NAME, run_retention
from pipelines.settings import load_settings, use_dagster_home
from warehouse.locks import held

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory):
    """An installation with a store, one run of the job in Dagster's storage, two audit lines and an inbox."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "mhwg.toml").write_text("practice = false\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MHWG_SETTINGS", str(folder / "mhwg.toml"))
        patch.delenv("MHWG_STATE", raising=False)
        patch.delenv("DAGSTER_HOME", raising=False)
        patch.setenv("MHWG_PSEUDONYM_KEY", "a key of the tests, for people who do not exist")
        settings = load_settings()
        warehouse_of(settings).path.parent.mkdir(parents=True)
        with warehouse_of(settings).connect():
            pass
        use_dagster_home(settings)
        from pipelines.definitions import defs

        with dg.DagsterInstance.get() as instance:
            job = defs().resolve_job_def(JOB_NAME)
            assert job.execute_in_process(instance=instance).success
        yield settings


def runs(settings) -> int:
    with dg.DagsterInstance.get() as instance:
        return instance.get_runs_count(dg.RunsFilter(job_name=JOB_NAME))


def test_logs_and_inboxes_are_kept_as_long_as_the_record_says_and_no_longer(office, monkeypatch: pytest.MonkeyPatch):
    state = office.state_folder
    (state / "audit").mkdir(exist_ok=True)
    lines = [{"at": (NOW - timedelta(days=age)).isoformat(), "command": ["status"]} for age in (1800, 3)]
    log = state / "audit" / "commands.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    inbox = office.inbox(office.labour)
    inbox.mkdir(parents=True)
    for name, years in (("old.xlsx", 11), ("new.xlsx", 9)):
        (inbox / name).write_bytes(b"a register")
        then = (NOW - timedelta(days=365 * years)).timestamp()
        os.utime(inbox / name, (then, then))
    store = warehouse_of(office)
    found = run_retention(office, store, NOW, dry_run=True)
    assert (found.runs, found.commands, found.inbox_files) == (0, 0, ["labour/old.xlsx"])
    assert (inbox / "old.xlsx").exists()
    # 364 days later the run is younger than a year and the line older than 1825 days; two days later so is the run.
    found = run_retention(office, store, NOW + timedelta(days=364))
    assert (found.runs, found.commands, found.inbox_files) == (0, 1, ["labour/old.xlsx"])
    assert [json.loads(line)["at"] for line in log.read_text().splitlines()] == [lines[1]["at"]]
    assert log.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in inbox.iterdir()] == ["new.xlsx"]
    assert runs(office) == 1
    assert run_retention(office, store, NOW + timedelta(days=366)).runs == 1
    assert runs(office) == 0


def test_the_command_says_what_is_due_and_waits_for_a_refresh(office, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setenv("MHWG_SETTINGS", str(office.file))
    assert call(lambda: app(["retention", "--dry-run", "--json"], standalone_mode=False)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["is_dry_run"] is True
    assert set(told["before"]) == {"dhis2", "labour", "survey", "victims", "operations", "indicator"}
    monkeypatch.setattr("pipelines.retention.PATIENCE_SECONDS", 0.0)
    with held(office.state_folder / "locks" / "refresh.lock", "the refresh", "a test"):
        assert call(lambda: app(["retention"], standalone_mode=False)) == 5
    assert "a test" in capsys.readouterr().err
