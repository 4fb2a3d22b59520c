"""Reference series and frames in Dagster: landed from the files shipped with the code, loaded like any other source."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.declare import landing_key, load_step, loaded_tables
from assets.loading import loaded_receipt_ids
from assets.reference.read import SOURCE, batches, land
from warehouse.clock import Refresh
from warehouse.landing import Landing
from warehouse.quality import Scales
from warehouse.store import Warehouse


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `landing/reference` and the tables of group reference in staging and core."""
    loaded = loaded_tables(SOURCE)

    @dg.asset(
        key=landing_key(SOURCE),
        group_name="landing",
        kinds={"csv"},
        owners=["team:mhwg-data"],
        tags={"layer": "landing", "source": SOURCE},
        description="Published reference series with their citations, and the frames of areas and memberships.",
    )
    def land_reference(
        warehouse: dg.ResourceParam[Warehouse], landing: dg.ResourceParam[Landing], refresh: dg.ResourceParam[Refresh]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
        def pull_factory(part: str) -> Any:
            # Real published figures, on the practice ground too.
            return landing.pull(SOURCE, part, refresh.as_at, is_practice=False)

        receipts = land(pull_factory, loaded_receipt_ids(warehouse, SOURCE))
        landing.note_pull(receipts, refresh.as_at)
        return dg.MaterializeResult(metadata={"new_receipts": len(receipts)})

    return [land_reference, load_step(SOURCE, loaded, scales, batches)]
