"""The joint core: what is made from several sources together, after each of them is loaded.

Belongs here: the pairing of referral records into episodes. Does not belong here: the arithmetic of pairing
(`methods.linkage`), single sources.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.declare import check_specs, load_results, selected, table_key, table_spec
from assets.loading import derive_table
from methods.linkage import RECORD_COLUMNS, pair_referrals
from warehouse.catalogue.table_catalogue import tables
from warehouse.clock import Refresh
from warehouse.quality import Scales
from warehouse.store import Warehouse, fetch_frame


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `core/referral`."""
    table = tables()["core.referral"]

    @dg.multi_asset(
        can_subset=True,
        name="pair_referrals",
        specs=[table_spec(table, [table_key("core.referral_record")])],
        check_specs=check_specs([table], scales),
    )
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

    return [pair]


def pair_current_records(connection: Any) -> pl.DataFrame:
    """The episodes that the current records of all servers make."""
    return pair_referrals(
        fetch_frame(connection, f"select {', '.join(RECORD_COLUMNS)} from core.referral_record_current order by all")
    )
