"""DHIS2 in Dagster: one landing asset per server, one load step for the staging and core tables that the servers share.

Belongs here: declaring, and telling the outcome of each server apart. Does not belong here: HTTP, reading payloads.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from assets.declare import (
    backfill_step,
    check_specs,
    fail_alone,
    landing_key,
    last_good,
    load_results,
    load_specs,
    loaded_tables,
    months_from,
    one_opening,
    records_of,
    selected,
)
from assets.dhis2.errors import Dhis2Error
from assets.dhis2.extract import pull_instance, pull_span
from assets.dhis2.instants import format_instant
from assets.dhis2.mapping import InstanceMapping
from assets.dhis2.payload import stage_frames
from assets.dhis2.sources import Dhis2Server
from assets.loading import Batch, SourceReport, TableLoad, load_source, loaded_receipt_ids
from assets.progress import pull_progress
from methods.periods import parse_period
from methods.pseudonym import Pseudonymiser
from warehouse.clock import Refresh
from warehouse.landing import Landing, Receipt
from warehouse.outages import current_outages, note_outage
from warehouse.quality import Scales
from warehouse.store import Warehouse

JOINT = "core.referral"
"""Made from both servers' records by `assets.core`, not by the load of one server."""

FIRST_MONTH = date(2020, 1, 1)
"""First month of a server whose settings name none."""

RECONCILE_DAYS = 28
"""A listing of all tracker UIDs shows purged records; every fourth weekly pull asks for one."""


def build(
    servers: Sequence[str], scales: Scales, data_from: Mapping[str, date] | None = None
) -> Sequence[dg.AssetsDefinition]:
    """The assets `landing/dhis2_<server>`, the tables of group dhis2 in staging and core, and the months of each server.

    `data_from`: first day of which a server's data are collected.
    """
    starts = data_from or {}
    return [
        *(_landing_asset(code) for code in servers),
        _load_step(servers, scales),
        *(_months(code, starts.get(code, FIRST_MONTH)) for code in servers),
    ]


def _months(code: str, first_on: date) -> dg.AssetsDefinition:
    source = f"dhis2_{code}"

    def ask_again(months: Sequence[str], landing: Landing, _: Warehouse, refresh: Refresh, resources: Any) -> Any:
        server: Dhis2Server = resources.dhis2_servers[code]
        first, last = months[0], months[-1]

        def pull_factory(part: str) -> Any:
            return landing.pull(source, f"{part}-{first}-{last}", refresh.as_at, is_practice=refresh.is_practice)

        try:
            pulled = pull_span(
                server.client(),
                server.mapping,
                pull_factory,
                parse_period(first).start_on,
                parse_period(last).end_on,
                pull_progress(source),
            )
        except Dhis2Error as fault:
            raise dg.Failure(str(fault), allow_retries=False) from fault
        landing.note_pull(pulled.receipts, refresh.as_at)
        return batches(server.mapping, landing)

    return backfill_step(
        source,
        months_from(first_on),
        f"Data values of chosen months are asked of server `{code}` again, whatever their date of change.",
        ask_again,
        frozenset({"dhis2_servers"}),
    )


def _landing_asset(code: str) -> dg.AssetsDefinition:
    source = f"dhis2_{code}"

    @dg.asset(
        key=landing_key(source),
        group_name="landing",
        kinds={"dhis2", "parquet"},
        owners=["team:mhwg-data"],
        tags={"layer": "landing", "source": "dhis2"},
        description=f"What DHIS2 server `{code}` answered: metadata, tracker records with hashed identifiers, data values, registrations.",
        check_specs=[
            dg.AssetCheckSpec(
                "pulled",
                asset=landing_key(source),
                description="The server answered to the end. When it did not, its last good data are used and the other sources go on.",
            )
        ],
    )
    def land(
        context: dg.AssetExecutionContext,
        ground: dg.ResourceParam[Any],
        dhis2_servers: dg.ResourceParam[Any],
        warehouse: dg.ResourceParam[Warehouse],
        landing: dg.ResourceParam[Landing],
        refresh: dg.ResourceParam[Refresh],
        pseudonymiser: dg.ResourceParam[Pseudonymiser],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
        server: Dhis2Server = dhis2_servers[code]
        watermark, since_listing = _progress_of(warehouse, source, refresh)
        watermark = asked_from(watermark, refresh)

        def pull_factory(part: str) -> Any:
            return landing.pull(source, part, refresh.as_at, is_practice=refresh.is_practice)

        try:
            pulled = pull_instance(
                server.client(),
                server.mapping,
                pull_factory,
                watermark,
                pseudonymiser,
                pull_progress(source),
                reconcile=since_listing >= RECONCILE_DAYS,
            )
        except Dhis2Error as fault:
            context.log.warning("%s: not pulled: %s", source, fault)
            note_outage(warehouse, source, str(fault), refresh.recorded_at)
            if refresh.alone:
                # Nothing else is in this run: it fails, and the asset is not called fresh.
                raise dg.Failure(str(fault), allow_retries=False) from fault
            failed = dg.AssetCheckResult(check_name="pulled", passed=False, metadata={"fault": str(fault)})
            told = {"mhwg/fault": str(fault), "mhwg/fault_source": source}
            return last_good(context, dg.MaterializeResult(metadata=told, check_results=[failed]))
        landing.note_pull(pulled.receipts, refresh.as_at)
        for warning in pulled.warnings:
            context.log.warning("%s: %s", source, warning)
        return dg.MaterializeResult(
            metadata={
                "mode": pulled.mode,
                "dagster/row_count": records_of(pulled.receipts),
                "receipts": len(pulled.receipts),
                "bytes": sum(receipt.byte_count for receipt in pulled.receipts),
                **{f"count/{name}": number for name, number in pulled.counts.items()},
            },
            check_results=[
                dg.AssetCheckResult(check_name="pulled", passed=True, metadata={"warnings": list(pulled.warnings)})
            ],
        )

    return land


def _progress_of(warehouse: Warehouse, source: str, refresh: Refresh) -> tuple[str | None, int]:
    """The source's watermark, and days since its UIDs were last listed in full (a first pull is a full listing)."""
    if not warehouse.exists:
        return None, 0
    marks = warehouse.read("select watermark from ops.watermark where source_code = $source", {"source": source})[
        "watermark"
    ]
    listed = warehouse.read(
        """select max(received_at) as at from ops.receipt where source_code = $source
        and (part_code = 'tracker_listing' or parameters ->> 'mode' = 'full')""",
        {"source": source},
    )["at"].item()
    days = (refresh.as_at.replace(tzinfo=None) - listed).days if listed is not None else 0
    return (min(marks) if len(marks) else None), days


def asked_from(watermark: str | None, refresh: Refresh) -> str | None:
    """The watermark to ask with: none for a full refresh, an earlier one when changes since an earlier day are wanted.

    Never a later one than the source's own: what lies between would be lost.
    """
    if watermark is None or refresh.is_full:
        return None
    instant, _, digest = watermark.partition("#")
    if refresh.since is None:
        return watermark
    return f"{min(instant, format_instant(refresh.since))}#{digest}"


def batches(mapping: InstanceMapping, landing: Landing) -> Callable[[Sequence[Receipt]], Iterable[Batch]]:
    """How one waiting pull of a server becomes a batch for `load_source`."""

    def of_pull(receipts: Sequence[Receipt]) -> Iterable[Batch]:
        staged = stage_frames(receipts, landing, mapping)
        loads = tuple(TableLoad(load.table, load.mode, load.scope) for load in staged.loads)
        whole = {table: [staged.scope] for table in staged.whole}
        yield Batch(tuple(receipts), staged.scope, staged.frames, loads, whole)

    return of_pull


def _load_step(servers: Sequence[str], scales: Scales) -> dg.AssetsDefinition:
    loaded = loaded_tables("dhis2", without=[JOINT])
    landed = [landing_key(f"dhis2_{code}") for code in servers]

    @dg.multi_asset(
        can_subset=True,
        name="load_dhis2",
        specs=load_specs(loaded, landed),
        check_specs=check_specs(loaded, scales),
    )
    @one_opening
    def load_dhis2(
        context: dg.AssetExecutionContext,
        dhis2_servers: dg.ResourceParam[Any],
        warehouse: dg.ResourceParam[Warehouse],
        landing: dg.ResourceParam[Landing],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        known: Mapping[str, Dhis2Server] = dhis2_servers
        reports: list[SourceReport] = []
        for server in known.values():
            report = load_source(
                warehouse, landing, scales, server.source_code, refresh.recorded_at, batches(server.mapping, landing)
            )
            context.log.info(
                "%s: %s", server.source_code, report.fault or "loaded" if report.is_change else "nothing new"
            )
            reports.append(report)
        counts = warehouse.row_counts(table.name for table in loaded)
        results = load_results(loaded, reports, counts, scales)
        yield from selected(context, results, is_last_good=_all_failed(warehouse, reports))
        fail_alone(refresh, reports)

    return load_dhis2


def _all_failed(warehouse: Warehouse, reports: Sequence[SourceReport]) -> bool:
    """No server brought the shared tables anything: each is on file as failed, or never answered."""
    failed = {outage.source_code for outage in current_outages(warehouse)}
    return bool(reports) and not any(
        report.is_change or (report.source_code not in failed and loaded_receipt_ids(warehouse, report.source_code))
        for report in reports
    )
