"""Sources that failed: since when, how old the data are that are used meanwhile, and the cells that rest on them.

Belongs here: the books of outages, and marking observations. Does not belong here: why a source failed, whether a run goes on
(`pipelines`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from warehouse.catalogue.regional_catalogue import LAST_GOOD
from warehouse.history import as_naive_utc
from warehouse.provisional import as_provisional
from warehouse.store import Warehouse

RECENT = timedelta(days=365)
"""Reports still come in for a year: cells whose period ended longer ago do not wait for the source."""


@dataclass(frozen=True)
class Outage:
    """One source that failed, and the day of its last good data."""

    source_code: str
    last_good_on: date

    def __str__(self) -> str:
        return f"{self.source_code} {self.last_good_on.isoformat()}"


def note_outage(warehouse: Warehouse, source_code: str, fault: str, at: datetime) -> bool:
    """The source is on file as failed, once while it lasts; True when that is news. A source without any data has none to age."""
    if not warehouse.exists:
        return False
    warehouse.bring_up_to_date()
    with warehouse.connect(read_only=True) as connection:
        if connection.execute("select 1 from ops.source_outage where source_code = ?", [source_code]).fetchall():
            return False
    with warehouse.connect() as connection:
        ((last,),) = connection.execute(
            "select max(received_at)::date from ops.receipt where source_code = ?", [source_code]
        ).fetchall()
        if last is None:
            return False
        connection.execute(
            "insert into ops.source_outage values (?, ?, ?, ?)", [source_code, as_naive_utc(at), last, fault[:500]]
        )
    return True


def end_outage(warehouse: Warehouse, source_code: str) -> bool:
    """The source is on file as failed no longer; True when it was."""
    if not warehouse.exists:
        return False
    with warehouse.connect(read_only=True) as connection:
        found = connection.execute("select 1 from ops.source_outage where source_code = ?", [source_code]).fetchall()
    if found:
        with warehouse.connect() as connection:
            connection.execute("delete from ops.source_outage where source_code = ?", [source_code])
    return bool(found)


def current_outages(warehouse: Warehouse) -> tuple[Outage, ...]:
    """The sources that failed, in name order."""
    if not warehouse.exists:
        return ()
    rows = warehouse.read("select source_code, last_good_on from ops.source_outage order by source_code").rows()
    return tuple(Outage(*row) for row in rows)


def receipts_of(connection: Any, outages: Sequence[Outage]) -> dict[str, list[str]]:
    """Source that failed -> its receipts."""
    return {
        outage.source_code: [
            row[0]
            for row in connection.execute(
                "select receipt_id from ops.receipt where source_code = ?", [outage.source_code]
            ).fetchall()
        ]
        for outage in outages
    }


def with_outages(
    observations: pl.DataFrame, outages: Sequence[Outage], receipts: Mapping[str, Sequence[str]]
) -> pl.DataFrame:
    """The observations; recent ones that rest on a source that failed are provisional and carry the day of its last good data."""
    for outage in outages:
        own = list(receipts.get(outage.source_code, ()))
        rests = pl.col("receipt_ids").list.eval(pl.element().is_in(own)).list.any()
        is_aged = rests.fill_null(False) & (pl.col("period_end_on") >= outage.last_good_on - RECENT)
        observations = as_provisional(observations, is_aged, f"{LAST_GOOD}{outage.last_good_on:%Y%m%d}")
    return observations
