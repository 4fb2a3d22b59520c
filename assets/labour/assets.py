"""Labour export in Dagster: one landing asset for all bulletins and registers, one load step for its tables.

Belongs here: declaring. Does not belong here: reading files.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg

from assets.declare import (
    backfill_step,
    check_specs,
    landing_key,
    last_good,
    load_results,
    load_step,
    loaded_tables,
    months_from,
    one_opening,
    records_of,
    selected,
    table_key,
    table_spec,
)
from assets.inbox import Inbox, landed_sha256
from assets.labour.fetch import pull_inbox, pull_urls
from assets.labour.findings import SOURCE as RECONCILIATION
from assets.labour.findings import TABLE as FINDINGS
from assets.labour.findings import current_findings
from assets.labour.stage import batches
from assets.loading import Batches, derive_table, known_receipts, loaded_receipt_ids
from methods.pseudonym import Pseudonymiser
from warehouse.catalogue.table_catalogue import tables
from warehouse.clock import Refresh
from warehouse.landing import Landing
from warehouse.quality import Scales
from warehouse.store import Warehouse

SOURCE = "labour"
FIRST_MONTH = date(2020, 1, 1)
"""The first month of which bulletins are collected."""


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `landing/labour` and the tables of group labour in staging and core."""
    loaded = loaded_tables(SOURCE, without=[FINDINGS])
    findings = tables()[FINDINGS]

    @dg.asset(
        key=landing_key(SOURCE),
        group_name="landing",
        kinds={"excel", "file"},
        owners=["team:mhwg-data"],
        tags={"layer": "landing", "source": SOURCE},
        description="Bulletins, press forms and contract registers of the overseas-labour department, as received.",
        check_specs=[
            dg.AssetCheckSpec(
                "pulled",
                asset=landing_key(SOURCE),
                description="Every address answered and every file could be landed; the others go on when one does not.",
            )
        ],
    )
    def land_labour(
        context: dg.AssetExecutionContext,
        labour_inbox: dg.ResourceParam[Inbox],
        warehouse: dg.ResourceParam[Warehouse],
        landing: dg.ResourceParam[Landing],
        refresh: dg.ResourceParam[Refresh],
        pseudonymiser: dg.ResourceParam[Pseudonymiser],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
        def pull_factory(part: str) -> Any:
            return landing.pull(SOURCE, part, refresh.as_at, is_practice=refresh.is_practice)

        known = known_receipts(warehouse, landing, SOURCE)
        pulled = pull_inbox(labour_inbox.folder, pull_factory, landed_sha256(known), pseudonymiser)
        fetched = pull_urls(labour_inbox.urls, pull_factory, known, pseudonymiser, credential=labour_inbox.credential)
        receipts = [*pulled.receipts, *fetched.receipts]
        faults = [*pulled.faults, *fetched.faults]
        landing.note_pull(receipts, refresh.as_at)
        context.log.info("labour: %s new files, %s known, %s faults", len(receipts), len(pulled.known), len(faults))
        metadata: dict[str, Any] = {
            "dagster/row_count": records_of(receipts),
            "new_files": len(receipts),
            "known_files": len(pulled.known) + len(fetched.known),
        }
        if faults:
            metadata |= {"mhwg/fault": " | ".join(faults), "mhwg/fault_source": SOURCE}
        check = dg.AssetCheckResult(check_name="pulled", passed=not faults, metadata={"faults": faults})
        result: dg.MaterializeResult[None] = dg.MaterializeResult(metadata=metadata, check_results=[check])
        # An inbox was looked at, whatever lay in it; an address that failed was not.
        return last_good(context, result) if fetched.faults else result

    @dg.multi_asset(
        can_subset=True,
        name="reconcile_labour",
        specs=[table_spec(findings, [table_key("core.labour_figure"), table_key("core.labour_contract")])],
        check_specs=check_specs([findings], scales),
    )
    @one_opening
    def reconcile_labour(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        report = derive_table(
            warehouse,
            scales,
            RECONCILIATION,
            refresh.recorded_at,
            FINDINGS,
            current_findings,
            inputs=["core.labour_figure", "core.labour_contract"],
        )
        yield from selected(context, load_results([findings], [report], warehouse.row_counts([FINDINGS]), scales))

    months = backfill_step(
        SOURCE,
        months_from(FIRST_MONTH),
        "Landed labour files are read again, by the month in which they were published: after a layout or reader was mended.",
        read_months_again,
    )
    return [land_labour, load_step(SOURCE, loaded, scales, batches), reconcile_labour, months]


def read_months_again(
    months: Sequence[str], landing: Landing, warehouse: Warehouse, refresh: Refresh, _: Any
) -> Batches:
    """The loaded files that were published in these months (received, where nothing says when) wait to be read again."""
    published = dict(
        warehouse.read(
            "select receipt_id, strftime(max(published_on), '%Y%m') as month from core.labour_document group by receipt_id"
        ).iter_rows()
        if warehouse.exists
        else ()
    )
    loaded = loaded_receipt_ids(warehouse, SOURCE)
    chosen = {
        receipt.receipt_id
        for receipt in landing.receipts(SOURCE)
        if published.get(receipt.receipt_id, receipt.received_at[:7].replace("-", "")) in set(months)
    }
    landing.note_again(SOURCE, chosen & loaded)
    return batches(landing)
