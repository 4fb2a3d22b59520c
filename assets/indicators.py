"""The indicator layer: every observation, computed by the engine from the current core, weighed and kept with its history."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from assets.declare import check_results, check_specs, table_key, table_spec
from warehouse.catalogue.indicator_catalogue import indicators
from warehouse.catalogue.table_catalogue import tables
from warehouse.clock import Refresh
from warehouse.indicator_engine import compute
from warehouse.load import transaction
from warehouse.quality import Scales
from warehouse.store import Warehouse

SOURCE_TABLES = (
    "core.area",
    "core.area_membership",
    "core.data_value",
    "core.data_set_assignment",
    "core.data_set_registration",
    "core.referral",
    "core.labour_figure",
    "core.reference_value",
    "estimate.survey_estimate",
)


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `indicator/observation` with one check per rule."""
    table = tables()["indicator.observation"]

    @dg.multi_asset(
        name="compute_indicators",
        specs=[table_spec(table, [table_key(name) for name in SOURCE_TABLES])],
        check_specs=check_specs([table], scales),
    )
    def compute_indicators(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        with transaction(warehouse, "indicator", refresh.recorded_at) as load:
            frame = compute(load.connection, indicators(), refresh.as_at)
            counts = load.load_frame(table.name, frame, mode="snapshot")
            if counts.is_change:
                load.weigh(table.name, scales)
        context.log.info("%s observations, %s new, %s changed", frame.height, counts.inserted, counts.changed)
        yield dg.MaterializeResult(
            asset_key=table_key(table.name), metadata={"dagster/row_count": frame.height, **vars(counts)}
        )
        yield from check_results(load.report.outcomes, [table], scales)

    return [compute_indicators]
