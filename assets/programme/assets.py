"""Programme registers in Dagster: one landing asset for the inbox and the shipped statements, one load step for their tables.

Belongs here: declaring. Does not belong here: reading files.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.declare import landing_key, load_step, loaded_tables
from assets.inbox import Inbox, landed_sha256
from assets.loading import known_receipts
from assets.programme.read import SOURCE, batches, pull_files, pull_inbox, shipped_files
from warehouse.clock import Refresh
from warehouse.landing import Landing
from warehouse.quality import Scales
from warehouse.store import Warehouse


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `landing/programme` and the tables of group programme; victim support stands in its own schema."""
    loaded = loaded_tables(SOURCE)

    @dg.asset(
        key=landing_key(SOURCE),
        group_name="landing",
        kinds={"csv", "file"},
        owners=["team:mhwg-data"],
        tags={"layer": "landing", "source": SOURCE},
        description="Registers of projects, clinics, points of entry and ministries, as received, and published statements.",
        check_specs=[
            dg.AssetCheckSpec(
                "pulled",
                asset=landing_key(SOURCE),
                description="Every file of the inbox was taken in; one that is not is named, and the others go on.",
            )
        ],
    )
    def land_programme(
        context: dg.AssetExecutionContext,
        programme_inbox: dg.ResourceParam[Inbox],
        warehouse: dg.ResourceParam[Warehouse],
        landing: dg.ResourceParam[Landing],
        refresh: dg.ResourceParam[Refresh],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
        def from_inbox(part: str) -> Any:
            return landing.pull(SOURCE, part, refresh.as_at, is_practice=refresh.is_practice)

        def as_published(part: str) -> Any:
            # Statements that somebody published are real on the practice ground too.
            return landing.pull(SOURCE, f"published-{part}", refresh.as_at, is_practice=False)

        known = landed_sha256(known_receipts(warehouse, landing, SOURCE))
        received = pull_inbox(programme_inbox.folder, from_inbox, known)
        shipped = pull_files(shipped_files(), as_published, known)
        receipts = [*received.receipts, *shipped.receipts]
        landing.note_pull(receipts, refresh.as_at)
        known_files = len(received.known) + len(shipped.known)
        context.log.info("programme: %s new files, %s known", len(receipts), known_files)
        metadata: dict[str, Any] = {"new_files": len(receipts), "known_files": known_files}
        if received.faults:
            metadata |= {"mhwg/fault": " | ".join(received.faults), "mhwg/fault_source": SOURCE}
        return dg.MaterializeResult(
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(
                    check_name="pulled", passed=not received.faults, metadata={"faults": received.faults}
                )
            ],
        )

    return [land_programme, load_step(SOURCE, loaded, scales, batches)]
