"""The joint core: what is made from several sources together, after each of them is loaded.

Belongs here: the pairing of referral records into episodes. Does not belong here: the arithmetic of pairing
(`methods.linkage`), single sources.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.declare import check_specs, load_results, one_opening, selected, table_key, table_spec
from assets.loading import SourceReport, derive_table
from methods.linkage import RECORD_COLUMNS, pair_referrals
from warehouse.catalogue.correction_ledger import CORRECTABLE
from warehouse.catalogue.table_catalogue import tables
from warehouse.clock import Refresh
from warehouse.corrections import Verdict, apply_corrections, outcomes_of
from warehouse.load import CriticalRuleFailed, LoadTransaction, transaction
from warehouse.quality import Scales, WeighingFailed
from warehouse.store import Warehouse, fetch_frame, given_room

CORRECTIONS = "core.correction_row"
CORRECTIONS_SOURCE = "corrections"
HOLD = "corrections_hold"


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The assets `core/correction_row` and `core/referral`."""
    table = tables()["core.referral"]
    corrections = tables()[CORRECTIONS]

    @dg.multi_asset(
        can_subset=True,
        name="apply_corrections",
        specs=[table_spec(corrections, [table_key(name) for name in CORRECTABLE])],
        check_specs=[
            *check_specs([corrections], scales),
            dg.AssetCheckSpec(
                HOLD,
                asset=table_key(CORRECTIONS),
                description="Every active entry of the corrections ledger finds the wrong value that it corrects.",
            ),
        ],
    )
    @one_opening
    def correct(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        report, verdicts = correct_core(warehouse, scales, refresh)
        for verdict in verdicts:
            (context.log.info if verdict.holds else context.log.error)(verdict.sentence)
        yield from selected(context, load_results([corrections], [report], warehouse.row_counts([CORRECTIONS]), scales))
        wrong = [verdict.sentence for verdict in verdicts if not verdict.holds]
        if dg.AssetCheckKey(table_key(CORRECTIONS), HOLD) in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(
                passed=not wrong, check_name=HOLD, asset_key=table_key(CORRECTIONS), severity=dg.AssetCheckSeverity.ERROR,
                metadata={"entries": len(verdicts), "refused": wrong},
            )  # fmt: skip

    @dg.multi_asset(
        can_subset=True,
        name="pair_referrals",
        specs=[table_spec(table, [table_key("core.referral_record"), table_key(CORRECTIONS)])],
        check_specs=check_specs([table], scales),
    )
    @one_opening
    def pair(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        report = derive_table(
            warehouse,
            scales,
            "referral_pairing",
            refresh.recorded_at,
            table.name,
            pair_current_records,
            inputs=["core.referral_record"],
        )
        yield from selected(context, load_results([table], [report], warehouse.row_counts([table.name]), scales))

    return [correct, pair]


@given_room
def correct_core(warehouse: Warehouse, scales: Scales, refresh: Refresh) -> tuple[SourceReport, tuple[Verdict, ...]]:
    """The corrections ledger acts on the core, and every entry has its verdict."""
    report = SourceReport(CORRECTIONS_SOURCE)
    entries = warehouse.corrections
    load: LoadTransaction | None = None
    try:
        with transaction(warehouse, CORRECTIONS_SOURCE, refresh.recorded_at) as load:
            verdicts = apply_corrections(load, entries, refresh.as_at.date())
            if load.report.is_change:
                for name in sorted({CORRECTIONS, *(entry.table for entry in entries)}):
                    load.weigh(name, scales)
            load.report.outcomes.extend(outcomes_of(verdicts))
    except (CriticalRuleFailed, WeighingFailed) as fault:
        # A correction that breaks a rule of its table is not applied; nor is any other until it is mended.
        report.fault = str(fault)
        report.outcomes = [
            outcome for outcome in (load.report.outcomes if load else []) if outcome.table == CORRECTIONS
        ]
        return report, ()
    report.load = load.report
    report.outcomes = [outcome for outcome in load.report.outcomes if outcome.table == CORRECTIONS]
    return report, tuple(verdicts)


def pair_current_records(connection: Any) -> pl.DataFrame:
    """The episodes that the current records of all servers make."""
    return pair_referrals(
        fetch_frame(connection, f"select {', '.join(RECORD_COLUMNS)} from core.referral_record_current order by all")
    )
