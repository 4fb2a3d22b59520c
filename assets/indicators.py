"""The indicator layer: every observation, computed by the engine from the current core, weighed and kept with its history."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.declare import (
    COLUMN_LINEAGE,
    check_specs,
    column_deps,
    load_results,
    one_opening,
    selected,
    table_key,
    table_spec,
)
from assets.loading import derive_table
from assets.progress import tell_indicator
from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.catalogue.table_catalogue import tables
from warehouse.change_log import inputs_of
from warehouse.clock import Refresh
from warehouse.completeness import short_of_reports, with_completeness
from warehouse.indicator_engine import Finding, compute_with_findings
from warehouse.indicator_sql import compiled_models
from warehouse.lineage import joint_lineage
from warehouse.load import LoadTransaction
from warehouse.outages import current_outages, receipts_of, with_outages
from warehouse.quality import Scales
from warehouse.refresh_log import delays_of, log_refresh, mark_corrected
from warehouse.reporting_delay import reporting_delays
from warehouse.retention import standing_figures
from warehouse.store import Warehouse

TABLE = "indicator.observation"
SHOWN_FINDINGS = 100
LINEAGE_OF = "mhwg/lineage_of"
"""Digest of the SQL out of which the column lineage was read."""


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `indicator/observation` with one check per rule."""
    table = tables()[TABLE]
    core = [
        name
        for name, entry in tables().items()
        if entry.schema_name in ("core", "estimate", "restricted") and entry.history and entry.group != "operations"
    ]

    @dg.multi_asset(
        can_subset=True,
        name="compute_indicators",
        specs=[table_spec(table, [table_key(name) for name in core])],
        check_specs=check_specs([table], scales),
    )
    @one_opening
    def compute_indicators(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        findings: list[Finding] = []
        found: dict[str, pl.DataFrame] = {}
        outages = current_outages(warehouse)

        def make(connection: Any) -> pl.DataFrame:
            entries = list(indicator_catalogue().indicators.values())
            found["delay"] = reporting_delays(connection, refresh.recorded_at)
            computed = compute_with_findings(
                connection,
                entries,
                refresh.as_at,
                progress=tell_indicator,
                delays=delays_of(found["delay"]),
            )
            findings.extend(computed.findings)
            corrected = mark_corrected(
                connection, computed.observations, refresh.as_at, delays_of(found["delay"]), indicator_catalogue()
            )
            short = short_of_reports(connection, corrected, entries, refresh.as_at)
            marked = with_outages(with_completeness(corrected, short), outages, receipts_of(connection, outages))
            resting = {entry.code: inputs_of(entry, indicator_catalogue()) for entry in entries}
            return standing_figures(connection, TABLE, marked, resting)

        def tell_changes(load: LoadTransaction, observations: pl.DataFrame) -> None:
            log_refresh(load, observations, refresh.as_at, found["delay"], indicator_catalogue())

        with warehouse.showing_victims():
            report = derive_table(
                warehouse,
                scales,
                "indicator",
                refresh.recorded_at,
                TABLE,
                make,
                inputs=core,
                also=[refresh.as_at.date().isoformat(), *map(str, outages)],
                before_load=tell_changes,
            )
        for finding in findings[:SHOWN_FINDINGS]:
            context.log.info("%s: %s: %s", finding.kind, finding.cell, finding.explanation)
        lineage = lineage_metadata(context.instance, compiled_models(indicator_catalogue()))
        results = load_results([table], [report], warehouse.row_counts([TABLE]), scales)
        yield from selected(context, (with_metadata(event, lineage) for event in results))

    return [compute_indicators]


def with_metadata(event: Any, more: Mapping[str, Any]) -> Any:
    """The event of a step, a materialisation with more to tell."""
    if not isinstance(event, dg.MaterializeResult):
        return event
    return event._replace(metadata={**(event.metadata or {}), **more})


def lineage_metadata(instance: dg.DagsterInstance, models: Sequence[str]) -> dict[str, Any]:
    """Column lineage of the observations, out of the SQL that computes each indicator.

    Told with each materialisation, because Dagster shows the last one's, and read anew only when the SQL is another: parsing that of 71
    indicators takes 1.0 s, at every start of the definitions it would be paid by every command.
    """
    digest = hashlib.sha256("\n".join(models).encode()).hexdigest()[:12]
    last = instance.get_latest_materialization_event(table_key(TABLE))
    known = last.asset_materialization.metadata if last and last.asset_materialization else {}
    if COLUMN_LINEAGE in known and LINEAGE_OF in known and known[LINEAGE_OF].value == digest:
        return {COLUMN_LINEAGE: known[COLUMN_LINEAGE], LINEAGE_OF: digest}
    return {COLUMN_LINEAGE: column_deps(tables()[TABLE], joint_lineage(models)), LINEAGE_OF: digest}
