"""Registers in Dagster: one landing asset for the inbox and the shipped statements, one load step for their tables.

Belongs here: declaring, for open registers and for those of victim support. Does not belong here: reading files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from assets.declare import landing_key, last_good, load_step, loaded_tables, records_of
from assets.fetch import bring
from assets.inbox import landed_sha256
from assets.loading import known_receipts
from assets.programme.read import PROGRAMME, RegisterSource, batches, pull_files, pull_inbox, shipped_files
from warehouse.quality import Scales
from warehouse.victims import victims_beside, victims_landing


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `landing/programme` and the tables of group programme."""
    landed = landing_asset(
        PROGRAMME,
        "Registers of projects, clinics, points of entry and ministries, as received, and published statements.",
        shipped_files(),
    )
    return [landed, load_step(PROGRAMME.code, loaded_tables(PROGRAMME.code), scales, batches)]


def landing_asset(source: RegisterSource, description: str, shipped: Sequence[Path] = ()) -> dg.AssetsDefinition:
    """The asset `landing/<source>` of registers: what addresses and inbox hold, and what is shipped with the code."""
    key = landing_key(source.code)

    @dg.asset(
        key=key,
        group_name="landing",
        kinds={"csv", "file"},
        owners=["team:mhwg-data"],
        tags={"layer": "landing", "source": source.code},
        description=description,
        required_resource_keys={f"{source.code}_inbox", "warehouse", "landing", "refresh"},
        check_specs=[
            dg.AssetCheckSpec(
                "pulled",
                asset=key,
                description="Every address answered and every file of the inbox was taken in; one that is not is named, and the "
                "others go on.",
            )
        ],
    )
    def land(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
        resources: Any = context.resources
        inbox, warehouse, landing = getattr(resources, f"{source.code}_inbox"), resources.warehouse, resources.landing
        at, is_practice = resources.refresh.as_at, resources.refresh.is_practice
        if source.restricted:
            warehouse, landing = victims_beside(warehouse), victims_landing(warehouse.path.parent)

        def from_inbox(part: str) -> Any:
            return landing.pull(source.code, part, at, is_practice=is_practice)

        def as_published(part: str) -> Any:
            # Statements that somebody published are real on the practice ground too.
            return landing.pull(source.code, f"published-{part}", at, is_practice=False)

        known = landed_sha256(known_receipts(warehouse, landing, source.code))
        unread = bring(source.code, inbox)
        received = pull_inbox(inbox.folder, from_inbox, known, source)
        published = pull_files(shipped, as_published, known, source)
        receipts = [*received.receipts, *published.receipts]
        landing.note_pull(receipts, at)
        known_files = len(received.known) + len(published.known)
        context.log.info("%s: %s new files, %s known", source.code, len(receipts), known_files)
        metadata: dict[str, Any] = {
            "dagster/row_count": records_of(receipts),
            "new_files": len(receipts),
            "known_files": known_files,
        }
        faults = [*unread, *received.faults]
        if faults:
            metadata |= {"mhwg/fault": " | ".join(faults), "mhwg/fault_source": source.code}
        check = dg.AssetCheckResult(check_name="pulled", passed=not faults, metadata={"faults": faults})
        result: dg.MaterializeResult[None] = dg.MaterializeResult(metadata=metadata, check_results=[check])
        # An inbox was looked at, whatever lay in it; an address that failed was not.
        return last_good(context, result) if unread else result

    return land
