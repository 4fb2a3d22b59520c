"""The event log that keeps its files open: the same files as Dagster's own, read by it, written by several threads."""

import threading

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from pipelines.event_log import KEPT_OPEN, KeptOpenEventLogStorage
from pipelines.settings import PROJECT


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="counted")])
def counted():
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="sound", passed=True)])


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def test_the_shipped_instance_uses_it_and_dagsters_own_class_reads_its_files(home):
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, KeptOpenEventLogStorage)
        run = dg.materialize([counted], instance=instance)
        written = instance.all_logs(run.run_id)
        assert instance.get_latest_materialization_event(dg.AssetKey("counted")) is not None
    own = SqliteEventLogStorage(str(home / "history" / "runs"))
    assert [entry.dagster_event_type for entry in own.get_logs_for_run(run.run_id)] == [
        entry.dagster_event_type for entry in written
    ]
    summary = own.get_asset_check_summary_records([dg.AssetCheckKey(dg.AssetKey("counted"), "sound")])
    assert [record.last_check_execution_record.run_id for record in summary.values()] == [run.run_id]


def test_it_keeps_few_files_open_however_many_runs_there_were(home):
    with dg.DagsterInstance.get() as instance:
        runs = [dg.materialize([counted], instance=instance).run_id for _ in range(KEPT_OPEN + 3)]
        assert len(instance.event_log_storage._engines) <= KEPT_OPEN
        assert all(instance.all_logs(run) for run in runs)


def test_a_table_that_is_there_is_asked_for_once_and_one_that_is_not_each_time(home):
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        assert storage.has_table("event_logs")
        assert storage.has_table("event_logs")
        assert not storage.has_table("no_such_table")
        assert storage._tables >= {"event_logs"}
        assert "no_such_table" not in storage._tables


def test_threads_share_it(home):
    with dg.DagsterInstance.get() as instance:
        run = dg.materialize([counted], instance=instance).run_id
        counts = []
        threads = [threading.Thread(target=lambda: counts.append(len(instance.all_logs(run)))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(counts) == 8
    assert len(set(counts)) == 1
    assert counts[0] > 0


def test_planned_events_of_a_run_are_one_transaction_per_file_and_read_by_dagsters_own_class(home, monkeypatch):
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    begun = []
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        plain, batch = storage._begin, storage.store_event_batch
        monkeypatch.setattr(storage, "_begin", lambda shard: begun.append(shard) or plain(shard))
        in_batch = []

        def counted_batch(events):
            before = len(begun)
            batch(events)
            in_batch.append((len(events), len(begun) - before))

        monkeypatch.setattr(storage, "store_event_batch", counted_batch)
        run = dg.materialize([counted], instance=instance)
    assert run.success
    assert in_batch == [(2, 2)]  # the table and its check; the run's file and the index
    own = SqliteEventLogStorage(str(home / "history" / "runs"))
    types = [entry.dagster_event_type for entry in own.get_logs_for_run(run.run_id)]
    assert types.count(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED) == 1
    assert types.count(dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED) == 1


def test_a_batch_that_fails_leaves_nothing_and_dagster_stores_its_events_one_by_one(home, monkeypatch, capsys):
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        store, calls = storage.store_event, []

        def second_fails_once(event):
            calls.append(event)
            if len(calls) == 2:
                raise OSError("disk full")
            store(event)

        monkeypatch.setattr(storage, "store_event", second_fails_once)
        run = dg.materialize([counted], instance=instance)
        types = [entry.dagster_event_type for entry in instance.all_logs(run.run_id)]
    assert run.success
    assert "disk full" in capsys.readouterr().err
    assert types.count(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED) == 1
    assert types.count(dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED) == 1
