"""Reference series and frames in Dagster: landed from the files shipped with the code, loaded like any other source."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.declare import landing_key, last_good, load_step, loaded_tables, records_of
from assets.fetch import bring
from assets.inbox import landed_sha256
from assets.loading import known_receipts, loaded_receipt_ids
from assets.reference.editions import batches
from assets.reference.fetch import ReferenceServices, pull_inbox, pull_services
from assets.reference.read import SOURCE, land
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
        description="Published reference series with their citations, newer editions from public services or the inbox, and frames.",
        check_specs=[
            dg.AssetCheckSpec(
                "pulled",
                asset=landing_key(SOURCE),
                description="Every service that the settings name answered; the figures loaded before serve when one does not.",
            )
        ],
    )
    def land_reference(
        context: dg.AssetExecutionContext,
        reference_services: dg.ResourceParam[ReferenceServices],
        warehouse: dg.ResourceParam[Warehouse],
        landing: dg.ResourceParam[Landing],
        refresh: dg.ResourceParam[Refresh],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
        def pull_factory(part: str) -> Any:
            # Real published figures, on the practice ground too.
            return landing.pull(SOURCE, part, refresh.as_at, is_practice=False)

        shipped = land(pull_factory, loaded_receipt_ids(warehouse, SOURCE))
        known = landed_sha256(known_receipts(warehouse, landing, SOURCE))
        unread = bring(SOURCE, reference_services.addresses) if reference_services.addresses else []
        arrived = pull_inbox(reference_services.inbox, pull_factory, known)
        asked = pull_services(reference_services, pull_factory)
        receipts = [*shipped, *arrived.receipts, *asked.receipts]
        landing.note_pull(receipts, refresh.as_at)
        faults = [*unread, *arrived.faults, *asked.faults]
        metadata: dict[str, Any] = {"dagster/row_count": records_of(receipts), "new_receipts": len(receipts)}
        if faults:
            metadata |= {"mhwg/fault": " | ".join(faults), "mhwg/fault_source": SOURCE}
        check = dg.AssetCheckResult(check_name="pulled", passed=not faults, metadata={"faults": faults})
        result: dg.MaterializeResult[None] = dg.MaterializeResult(metadata=metadata, check_results=[check])
        # An inbox was looked at, whatever lay in it; an address or a service that failed was not.
        return last_good(context, result) if unread or asked.faults else result

    return [land_reference, load_step(SOURCE, loaded, scales, batches)]
