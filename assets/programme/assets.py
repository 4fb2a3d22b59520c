"""Programme registers in Dagster: one landing asset for the inbox and the shipped statements, one load step for their tables.

Belongs here: declaring. Does not belong here: reading files.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.declare import landing_key, last_good, load_step, loaded_tables, records_of
from assets.fetch import bring
from assets.inbox import Inbox, Intake, landed_sha256
from assets.loading import known_receipts
from assets.programme.read import PROGRAMME, batches, pull_files, pull_inbox, shipped_files
from warehouse.clock import Refresh
from warehouse.landing import Landing
from warehouse.quality import Scales
from warehouse.store import Warehouse

SOURCE = PROGRAMME.code


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `landing/programme` and the tables of group programme."""
    loaded = loaded_tables(SOURCE)

    @dg.asset(
        key=landing_key(SOURCE),
        group_name="landing",
        kinds={"csv", "file"},
        owners=["team:mhwg-data"],
        tags={"layer": "landing", "source": SOURCE},
        description="Registers of projects, clinics, points of entry and ministries, as received, and published statements.",
        check_specs=[pulled_spec(SOURCE)],
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
        unread = bring(SOURCE, programme_inbox)
        received = pull_inbox(programme_inbox.folder, from_inbox, known)
        shipped = pull_files(shipped_files(), as_published, known)
        received.receipts += shipped.receipts
        received.known += shipped.known
        landing.note_pull(received.receipts, refresh.as_at)
        return landed(context, SOURCE, received, unread)

    return [land_programme, load_step(SOURCE, loaded, scales, batches)]


def pulled_spec(source_code: str) -> dg.AssetCheckSpec:
    """The check on an inbox of registers."""
    return dg.AssetCheckSpec(
        "pulled",
        asset=landing_key(source_code),
        description="Every address answered and every file of the inbox was taken in; one that is not is named, and the others go on.",
    )


def landed(
    context: dg.AssetExecutionContext, source_code: str, received: Intake, unread: Sequence[str]
) -> dg.MaterializeResult[None]:
    """What became of an inbox of registers, as Dagster shows it. `unread`: what is wrong with addresses that did not answer."""
    context.log.info("%s: %s new files, %s known", source_code, len(received.receipts), len(received.known))
    metadata: dict[str, Any] = {
        "dagster/row_count": records_of(received.receipts),
        "new_files": len(received.receipts),
        "known_files": len(received.known),
    }
    faults = [*unread, *received.faults]
    if faults:
        metadata |= {"mhwg/fault": " | ".join(faults), "mhwg/fault_source": source_code}
    check = dg.AssetCheckResult(check_name="pulled", passed=not faults, metadata={"faults": faults})
    result: dg.MaterializeResult[None] = dg.MaterializeResult(metadata=metadata, check_results=[check])
    # An inbox was looked at, whatever lay in it; an address that failed was not.
    return last_good(context, result) if unread else result
