"""The asset `quality/provider_page`: after every refresh each provider's page, letter and rejected records stand ready to be sent.

Belongs here: declaring the asset. Does not belong here: files and pages (`expectations.quality_files`).
"""

from pathlib import Path

import dagster as dg

from assets.declare import table_key
from expectations.quality_files import write_quality
from warehouse.store import Warehouse

PAGES = dg.AssetKey(["quality", "provider_page"])


def build(folder: Path) -> list[dg.AssetsDefinition]:
    """The asset that writes below `folder`, which only its owner may read."""

    @dg.asset(
        key=PAGES,
        deps=[table_key(name) for name in ("core.quality_finding", "core.quality_measure", "indicator.observation")],
        group_name="quality",
        kinds={"html"},
        owners=["team:mhwg-data"],
        tags={"layer": "quality"},
        description="One self-contained page per provider in English and Vietnamese, a letter to send with it, and the provider's "
        "own rejected records; and the page of the run. Not part of a release.",
    )
    def provider_page(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
        if not warehouse.exists:
            return dg.MaterializeResult(metadata={"providers": 0, "files_changed": 0})
        with warehouse.showing_victims(), warehouse.connect(read_only=True) as connection:
            written, changed = write_quality(connection, folder)
        context.log.info("quality pages: %s providers, %s files changed", len(written), changed)
        return dg.MaterializeResult(
            metadata={
                "providers": len(written),
                "files_changed": changed,
                "folder": dg.MetadataValue.path(str(folder)),
                "held_back": sum(held.records for given in written for held in given.report.held),
                "failed_rules": sum(len(given.report.findings) for given in written),
            }
        )

    return [provider_page]
