"""What the shipped dagster.yaml means to Dagster: asked of an instance that was made from it, not of the file."""

import os
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType

from pipelines.settings import load_settings, use_dagster_home


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The instance of a fresh installation."""
    (tmp_path / "mhwg.toml").write_text('organisation = "A small office"\n', encoding="utf-8")
    monkeypatch.setenv("MHWG_SETTINGS", str(tmp_path / "mhwg.toml"))
    for name in ("MHWG_STATE", "DAGSTER_GRPC_TIMEOUT_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    use_dagster_home(load_settings())
    with dg.DagsterInstance.get() as made:
        yield made
    os.environ.pop("DAGSTER_GRPC_TIMEOUT_SECONDS", None)


def test_sources_pull_side_by_side_one_run_of_each_and_one_build(instance):
    queue = instance.get_concurrency_config().run_queue_config
    assert queue.max_concurrent_runs == 4
    by_source, by_job = queue.tag_concurrency_limits
    assert (by_source["key"], by_source["limit"]) == ("mhwg/source", 1)
    assert by_source["value"] == {"applyLimitPerUniqueValue": True}
    assert (by_job["key"], by_job["value"], by_job["limit"]) == ("mhwg/job", "publish", 1)


def test_a_run_that_could_not_be_started_in_time_is_tried_again(instance):
    """Seen on 2026-11-26 on two cores under load: the launch took 61 s, Dagster gave up after 60 and failed the run for good."""
    assert instance.get_concurrency_config().run_queue_config.max_user_code_failure_retries == 5
    assert instance.run_monitoring_start_timeout_seconds == 900
    assert int(os.environ["DAGSTER_GRPC_TIMEOUT_SECONDS"]) > 60


def test_nothing_is_reported_and_old_ticks_are_purged(instance):
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    assert instance.get_tick_retention_settings(InstigatorType.SENSOR)
    assert instance.freshness_enabled, "freshness policies are evaluated by the daemon"
