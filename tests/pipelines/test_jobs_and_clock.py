"""The river cut into jobs, and the sensor on a real Dagster instance: what has run since the tick, and what it then asks for."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from pipelines.definitions import defs
from pipelines.jobs import sources_of, weekly_keys
from pipelines.practice_ground import Ground
from pipelines.resources import refresh_of, warehouse_of
from pipelines.run_tags import MISSING, SEEN, Purpose, purpose_of
from pipelines.settings import load_settings
from pipelines.weekly import look

SETTINGS = """
[[dhis2]]
code = "vnm"
[[dhis2]]
code = "khm"
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory):
    """Definitions of an installation with two servers, its settings, and the asset definitions."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "mhwg.toml").write_text(SETTINGS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MHWG_SETTINGS", str(folder / "mhwg.toml"))
        patch.delenv("MHWG_STATE", raising=False)
        definitions = defs()
        settings = load_settings()
    assets = [made for made in definitions.assets or [] if isinstance(made, dg.AssetsDefinition)]
    return definitions, settings, assets


def keys_of(definitions: dg.Definitions, job: str) -> set[dg.AssetKey]:
    return set(definitions.resolve_job_def(job).asset_layer.executable_asset_keys)


def test_the_schedules_do_the_work_of_make_refresh_no_more_and_no_less(house):
    definitions, _, assets = house
    scheduled: set[dg.AssetKey] = keys_of(definitions, "publish")
    started = {schedule.job_name for schedule in definitions.schedules or []}
    for source in sources_of(assets):
        assert source.job_name in started
        scheduled |= keys_of(definitions, source.job_name)
    assert scheduled == keys_of(definitions, "refresh") == weekly_keys(assets)


def test_every_source_instance_has_a_run_of_its_own(house):
    definitions, _, assets = house
    codes = {source.code for source in sources_of(assets)}
    assert {"dhis2_vnm", "dhis2_khm", "labour", "survey", "programme", "reference"} <= codes
    landed = {key for key in keys_of(definitions, "refresh_dhis2_vnm") if key.path[0] == "landing"}
    assert landed == {dg.AssetKey(["landing", "dhis2_vnm"])}
    assert dg.AssetKey(["core", "data_value"]) in keys_of(definitions, "refresh_dhis2_vnm")
    assert dg.AssetKey(["indicator", "observation"]) not in keys_of(definitions, "refresh_dhis2_vnm")


def test_ticks_are_monday_five_and_nine_in_viet_nam(house):
    definitions, _, _ = house
    for schedule in definitions.schedules or []:
        others = {"release_deadline": "0 9 * * 1", "weekly_retention": "0 3 * * 2"}
        at = others.get(schedule.name, "0 5 * * 1")
        assert (schedule.cron_schedule, schedule.execution_timezone) == (at, "Asia/Ho_Chi_Minh"), schedule.name
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_landed_and_released_assets_have_a_freshness_policy(house):
    definitions, _, _ = house
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        wanted = key.path[0] in ("landing", "release")
        assert bool(graph.get(key).freshness_policy) == wanted, key


def test_what_a_run_is_for_survives_its_tags():
    purpose = Purpose(frozenset({"labour", "dhis2_vnm"}), True, datetime(2026, 7, 1, tzinfo=UTC), "khm late")
    assert purpose_of(purpose.tags) == purpose
    assert purpose_of({}) == Purpose()
    assert purpose_of({"mhwg/job": "refresh_labour", "mhwg/source": "labour"}).is_alone
    assert not purpose_of({"mhwg/job": "refresh", "mhwg/source": "labour"}).is_alone


def test_the_sensor_builds_once_when_all_have_ended_and_again_for_a_late_one(house):
    """Runs are put into a real storage as Dagster writes them, now; tick and deadline are chosen around them."""
    definitions, _, assets = house
    sources = sources_of(assets)
    just_now = datetime.now(UTC)
    tick, deadline = just_now - timedelta(hours=1), just_now + timedelta(hours=3)
    after_all = just_now + timedelta(hours=5)
    with dg.DagsterInstance.ephemeral() as instance:

        def ran(job_name: str, status: dg.DagsterRunStatus, **tags: str) -> None:
            job = definitions.resolve_job_def(job_name)
            instance.create_run_for_job(job, status=status, tags=tags)

        assert isinstance(look(instance, sources, tick, deadline, just_now), dg.SkipReason)
        late, failed, *others = sources
        for source in others:
            ran(source.job_name, dg.DagsterRunStatus.SUCCESS)
        ran(failed.job_name, dg.DagsterRunStatus.FAILURE)
        ran(late.job_name, dg.DagsterRunStatus.STARTED)
        waiting = look(instance, sources, tick, deadline, just_now)
        assert isinstance(waiting, dg.SkipReason)
        assert late.code in (waiting.skip_message or "")

        at_deadline = look(instance, sources, tick, deadline, after_all)
        assert isinstance(at_deadline, dg.RunRequest)
        assert at_deadline.tags[MISSING] == f"{failed.code} failed, {late.code} late"
        ran("publish", dg.DagsterRunStatus.STARTED, **at_deadline.tags)
        assert isinstance(look(instance, sources, tick, deadline, after_all), dg.SkipReason)

        ran(late.job_name, dg.DagsterRunStatus.SUCCESS)
        repaired = look(instance, sources, tick, deadline, after_all)
        assert isinstance(repaired, dg.RunRequest)
        assert late.code in repaired.tags[SEEN].split(",")
        assert repaired.run_key != at_deadline.run_key
        ran("publish", dg.DagsterRunStatus.SUCCESS, **repaired.tags)
        assert isinstance(look(instance, sources, tick, deadline, after_all), dg.SkipReason)


def test_a_refresh_is_later_than_every_release_and_withdrawal_though_time_stands_still(tmp_path, monkeypatch):
    """The store has nothing of the releases here: it was rolled back after they were published, or put back from a backup."""
    monkeypatch.setenv("MHWG_STATE", str(tmp_path))
    monkeypatch.delenv("MHWG_SETTINGS", raising=False)
    settings = load_settings()
    monday = datetime(2026, 7, 6, 5, tzinfo=UTC)

    def recorded_at() -> datetime:
        return refresh_of(settings, Ground(monday), warehouse_of(settings)).recorded_at

    assert recorded_at() == monday
    shelf = tmp_path / "release"
    (shelf / "20260629T050000Z").mkdir(parents=True)
    assert recorded_at() == monday, "the last release is a week old"
    newest = shelf / "20260706T050000Z"
    newest.mkdir()
    (shelf / "not-a-release").mkdir()
    assert recorded_at() == monday + timedelta(seconds=1)
    (newest / "WITHDRAWN.json").write_text('{"withdrawn_at": "2026-07-06T05:00:00Z"}', encoding="utf-8")
    assert recorded_at() == monday + timedelta(seconds=1), "a tombstone keeps its instant"
    (newest / "WITHDRAWN.json").write_text('{"withdrawn_at": "2026-07-06T05:10:00Z"}', encoding="utf-8")
    assert recorded_at() == monday + timedelta(minutes=10, seconds=1)
    (shelf / "20260706T061500Z").mkdir()
    assert recorded_at() == monday + timedelta(hours=1, minutes=15, seconds=1)
