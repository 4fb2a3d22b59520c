"""Column lineage of the observations with each materialisation, on a real instance."""

from pathlib import Path

import dagster as dg
import pytest

from assets import indicators
from assets.declare import COLUMN_LINEAGE, table_key

MODELS = ("select value_number as value from core.data_value_current", "select x.value from core.reference_value x")


def observations(instance: dg.DagsterInstance, models: tuple[str, ...]) -> dg.AssetsDefinition:
    """An asset in the observations' place, computed by these models."""

    @dg.asset(key=table_key(indicators.TABLE))
    def computed() -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult(metadata=indicators.lineage_metadata(instance, models))

    return computed


def test_the_lineage_is_read_once_for_the_same_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three materialisations: the first reads the SQL, the second hands its lineage on, the third has other SQL."""
    read: list[object] = []
    joint = indicators.joint_lineage

    def counted(models: object) -> object:
        read.append(models)
        return joint(models)  # type: ignore[arg-type]

    monkeypatch.setattr(indicators, "joint_lineage", counted)
    origins = []
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for models in (MODELS, MODELS, MODELS[:1]):
            assert dg.materialize([observations(instance, models)], instance=instance).success
            last = instance.get_latest_materialization_event(table_key(indicators.TABLE))
            assert last
            assert last.asset_materialization
            lineage = last.asset_materialization.metadata[COLUMN_LINEAGE].value
            assert isinstance(lineage, dg.TableColumnLineage)
            origins.append(
                {(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage.deps_by_column["value"]}
            )
    assert read == [MODELS, MODELS[:1]]
    both = {("core/data_value", "value_number"), ("core/reference_value", "value")}
    assert origins == [both, both, {("core/data_value", "value_number")}]
