"""Backfills by month on real parts: what is chosen is taken in again, the rest is left alone, the weekly pull goes on.

Rows are falsified in the store by hand, as a wrong reader or a lost change would have left them.
"""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.definitions import defs
from pipelines.resources import warehouse_of
from pipelines.settings import load_settings


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, practice_url: str, small_rivers: Any):
    """An installation with one server and two bulletins, both sources loaded by their own jobs; its definitions and instance."""
    river = small_rivers.new_river(tmp_path_factory.mktemp("office"), practice_url)
    with pytest.MonkeyPatch.context() as patch:
        for name, text in river.environment().items():
            patch.setenv(name, text)
        for name in ("MHWG_STATE", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        definitions, settings = defs(), load_settings()
        with dg.DagsterInstance.ephemeral() as instance:
            for job in ("refresh_labour", "refresh_dhis2_vnm"):
                assert definitions.resolve_job_def(job).execute_in_process(instance=instance).success
            yield definitions, settings, instance


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
