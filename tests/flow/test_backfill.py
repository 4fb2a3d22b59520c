"""Backfills by month and wave, and refreshes from the beginning or from a day, on real parts: what is chosen is taken in again,
the rest is left alone, the weekly pull goes on.

Rows are falsified in the store by hand, as a wrong reader or a lost change would have left them.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.definitions import defs
from pipelines.resources import source_locks, warehouse_of
from pipelines.run_tags import Purpose
from pipelines.settings import load_settings
from practice.survey.files import DEFAULT_SEED, WAVES

SURVEYS = ("IDN_returned_workers_2025.csv", "IDN_returned_workers_2025.xml", "MYS_risk_factors_2025.parquet")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, practice_url: str, small_rivers: Any):
    """An installation with one server, two bulletins and two survey waves, loaded by their own jobs; its definitions and
    instance."""
    river = small_rivers.new_river(tmp_path_factory.mktemp("office"), practice_url)
    surveys = river.state / "inbox" / "survey"
    surveys.mkdir(mode=0o700)
    for name in SURVEYS:
        WAVES[name][1](surveys / name, DEFAULT_SEED)
    with pytest.MonkeyPatch.context() as patch:
        for name, text in river.environment().items():
            patch.setenv(name, text)
        for name in ("MHWG_STATE", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        definitions, settings = defs(), load_settings()
        with dg.DagsterInstance.ephemeral() as instance:
            for job in ("refresh_labour", "refresh_dhis2_vnm", "refresh_survey"):
                assert definitions.resolve_job_def(job).execute_in_process(instance=instance).success
            yield definitions, settings, instance


VALUES = "select updated_at, value_number as number from core.data_value_current order by all"
FIGURES = "select published_on, sum(value) as total from core.labour_figure_current group by all order by all"
AGES = "select survey_code, sum(age_years) as total from core.survey_person_current group by all order by all"


@pytest.fixture(scope="module", autouse=True)
def truth(office: Any) -> dict[str, list[tuple[Any, ...]]]:
    """What the sources said, before any test falsified it."""
    return {query: warehouse_of(office[1]).read(query).rows() for query in (VALUES, FIGURES, AGES)}


def falsify(settings: Any, statement: str) -> None:
    with warehouse_of(settings).connect() as connection:
        connection.execute(statement)


def backfill(office: Any, source: str, *months: str) -> Any:
    definitions, _, instance = office
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=frozenset({dg.AssetKey(["backfill", source])})
    )
    done = job.execute_in_process(
        instance=instance,
        tags={"dagster/asset_partition_range_start": months[0], "dagster/asset_partition_range_end": months[-1]},
    )
    assert done.success
    return done.asset_materializations_for_node(f"backfill__{source}")


def values(settings: Any) -> dict[str, float]:
    rows = warehouse_of(settings).read(
        "select period_code, sum(value_number) as total from core.data_value_current group by all order by all"
    )
    return dict(rows.iter_rows())


def marks_of(settings):
    """Every watermark; not when it was looked at again, which the step of held records notes at each look."""
    return (
        warehouse_of(settings).read("select source_code, part_code, watermark from ops.watermark order by all").rows()
    )


def test_months_of_a_server_are_asked_again_and_only_they(office):
    _, settings, _ = office
    sound = values(settings)
    months = sorted(sound)[-4:]
    marks = marks_of(settings)
    falsify(settings, f"update core.data_value set value_number = value_number + 1 where period_code >= '{months[0]}'")
    made = backfill(office, "dhis2_vnm", months[1], months[2])
    assert {m.partition for m in made} == {months[1], months[2]}
    found = values(settings)
    assert [found[month] == sound[month] for month in months] == [False, True, True, False]
    assert marks_of(settings) == marks


def test_bulletins_of_a_month_are_read_again(office):
    _, settings, _ = office
    query = "select published_on, sum(value) as total from core.labour_figure_current group by all order by all"
    sound = dict(warehouse_of(settings).read(query).iter_rows())
    first, second = sorted(sound)
    falsify(settings, "update core.labour_figure set value = value + 1")
    backfill(office, "labour", f"{first:%Y%m}")
    found = dict(warehouse_of(settings).read(query).iter_rows())
    assert (found[first] == sound[first], found[second] == sound[second]) == (True, False)


def test_backfills_are_partitioned_by_month_and_wave_and_run_at_once(office):
    definitions, settings, _ = office
    graph = definitions.resolve_asset_graph()
    for source in ("dhis2_vnm", "labour", "survey"):
        node = graph.get(dg.AssetKey(["backfill", source]))
        assert node.backfill_policy == dg.BackfillPolicy.single_run()
    months = graph.get(dg.AssetKey(["backfill", "dhis2_vnm"])).partitions_def.get_partition_keys()
    assert months[0] == f"{settings.dhis2_starts()['vnm']:%Y%m}"
    waves = graph.get(dg.AssetKey(["backfill", "survey"])).partitions_def.get_partition_keys()
    assert len(waves) > 3
    assert Path(settings.file).exists()


def test_a_survey_wave_is_coded_again_and_only_that(office, truth):
    definitions, settings, _ = office
    sound = dict(truth[AGES])
    assert len(sound) == 2
    falsify(settings, "update core.survey_person set age_years = age_years + 1")
    waves = definitions.resolve_asset_graph().get(dg.AssetKey(["backfill", "survey"])).partitions_def
    (wave,) = [key for key in waves.get_partition_keys() if key.startswith(min(sound))]
    backfill(office, "survey", wave)
    found = dict(warehouse_of(settings).read(AGES).iter_rows())
    assert [found[survey] == sound[survey] for survey in sorted(sound)] == [True, False]


def test_a_backfill_waits_for_the_weekly_run_of_its_source(office):
    """Both need the source's lock and the store: who comes second waits, and both are done in the end."""
    _, settings, _ = office
    held, order = threading.Event(), []

    def weekly() -> None:
        with source_locks(settings, ["labour"], "the weekly run"):
            held.set()
            time.sleep(1.5)
            order.append("weekly run")

    running = threading.Thread(target=weekly)
    running.start()
    held.wait()
    backfill(office, "labour", "202601")
    order.append("backfill")
    running.join()
    assert order == ["weekly run", "backfill"]


def refreshed(office: Any, source: str, purpose: Purpose) -> None:
    """The job of one source has run for this purpose, as `mhwg refresh` tags it."""
    definitions, _, instance = office
    job = definitions.resolve_job_def(f"refresh_{source}")
    assert job.execute_in_process(instance=instance, tags=purpose.tags).success


@pytest.fixture(scope="module")
def repaired(office: Any, truth: Any) -> tuple[datetime, dict[str, list[tuple[Any, ...]]]]:
    """What three refreshes left of values that were all falsified: an ordinary one, one since a day, one from the beginning.

    The day lies in the middle of the days on which values last changed at the server.
    """
    _, settings, _ = office
    days = sorted({at.date() for at, _ in truth[VALUES]})
    assert len(days) > 1
    since = datetime.combine(days[len(days) // 2], datetime.min.time(), UTC)
    falsify(settings, "update core.data_value set value_number = value_number + 1000")
    left = {}
    for name, purpose in (
        ("ordinary", Purpose()), ("since", Purpose(since=since)), ("full", Purpose(is_full=True)),
    ):  # fmt: skip
        refreshed(office, "dhis2_vnm", purpose)
        left[name] = warehouse_of(settings).read(VALUES).rows()
    return since, left


def test_an_ordinary_refresh_asks_only_for_what_changed_lately(repaired):
    _, left = repaired
    assert not [number for _, number in left["ordinary"] if number < 1000]


def test_a_refresh_since_a_day_reads_again_what_changed_from_then_on(repaired):
    since, left = repaired
    at_server = [(at.replace(tzinfo=UTC), number) for at, number in left["since"]]
    assert {number < 1000 for at, number in at_server if at >= since} == {True}
    # What the overlap of a watermark adds lies just before the day.
    assert {number < 1000 for at, number in at_server if at < since - timedelta(days=1)} == {False}


def test_a_full_refresh_makes_the_store_what_the_server_says(repaired, truth):
    _, left = repaired
    assert left["full"] == truth[VALUES]


@pytest.mark.parametrize(
    ("source", "table", "column", "query"),
    [("labour", "core.labour_figure", "value", FIGURES), ("survey", "core.survey_person", "age_years", AGES)],
)
def test_a_full_refresh_reads_every_landed_file_again(office, truth, source, table, column, query):
    _, settings, _ = office
    falsify(settings, f"update {table} set {column} = {column} + 1")
    assert warehouse_of(settings).read(query).rows() != truth[query]
    refreshed(office, source, Purpose(is_full=True))
    assert warehouse_of(settings).read(query).rows() == truth[query]
