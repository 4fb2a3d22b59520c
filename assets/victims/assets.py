"""Victim support in Dagster: one landing asset for its inbox, one load step for its store.

Belongs here: declaring, and the order in which the two stores are opened. Does not belong here: reading files, SQL.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from assets.declare import (
    check_specs,
    fail_alone,
    landing_key,
    load_results,
    load_specs,
    loaded_tables,
    one_opening,
    selected,
)
from assets.fetch import bring
from assets.inbox import Inbox, landed_sha256
from assets.loading import known_receipts, load_source, loaded_receipt_ids
from assets.programme.assets import landed, pulled_spec
from assets.programme.read import VICTIMS, batches, pull_inbox
from warehouse.clock import Refresh
from warehouse.landing import Landing
from warehouse.load import system_time
from warehouse.quality import Scales
from warehouse.store import Warehouse
from warehouse.victims import copy_books

SOURCE = VICTIMS.code


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `landing/victims` and the tables of group victims, which stand in the victims' store."""
    loaded = loaded_tables(SOURCE)

    @dg.asset(
        key=landing_key(SOURCE),
        group_name="landing",
        kinds={"csv", "file"},
        owners=["team:mhwg-data"],
        tags={"layer": "landing", "source": SOURCE},
        description="Registers of victim support, as received, in a landing of their own.",
        check_specs=[pulled_spec(SOURCE)],
    )
    def land_victims(
        context: dg.AssetExecutionContext,
        victims_inbox: dg.ResourceParam[Inbox],
        victims_warehouse: dg.ResourceParam[Warehouse],
        victims_landing: dg.ResourceParam[Landing],
        refresh: dg.ResourceParam[Refresh],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
        def from_inbox(part: str) -> Any:
            return victims_landing.pull(SOURCE, part, refresh.as_at, is_practice=refresh.is_practice)

        known = landed_sha256(known_receipts(victims_warehouse, victims_landing, SOURCE))
        unread = bring(SOURCE, victims_inbox)
        received = pull_inbox(victims_inbox.folder, from_inbox, known, VICTIMS)
        victims_landing.note_pull(received.receipts, refresh.as_at)
        return landed(context, SOURCE, received, unread)

    @dg.multi_asset(
        can_subset=True,
        name=f"load_{SOURCE}",
        specs=load_specs(loaded, [landing_key(SOURCE)]),
        check_specs=check_specs(loaded, scales),
    )
    @one_opening
    def load_victims(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        victims_warehouse: dg.ResourceParam[Warehouse],
        victims_landing: dg.ResourceParam[Landing],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        if refresh.is_full:
            victims_landing.note_again(SOURCE, loaded_receipt_ids(victims_warehouse, SOURCE))
        # The warehouse is opened first and held: whoever computes from both stores holds it too, so no figure is computed
        # between the two, and system time moves on over both.
        with warehouse.connect() as connection:
            at = system_time(connection, warehouse, refresh.recorded_at)
        with victims_warehouse.kept_open():
            report = load_source(
                victims_warehouse, victims_landing, scales, SOURCE, at, batches(victims_landing, VICTIMS)
            )
            counts = victims_warehouse.row_counts(table.name for table in loaded)
        if copy_books(warehouse, victims_warehouse) and report.is_change:
            warehouse.written_at = at  # this run's own: what it writes next is recorded at the same instant
        yield from selected(context, load_results(loaded, [report], counts, scales))
        fail_alone(refresh, [report])

    return [land_victims, load_victims]
