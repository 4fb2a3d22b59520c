"""What all staging frames of a DHIS2 pull have in common: provenance columns, the server's zone, rows to frames.

Belongs here: what both `payload` and `referral_records` need. Does not belong here: any one table.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from assets.dhis2.instants import zone_named
from warehouse.landing import Receipt

PROVENANCE: Final[dict[str, Any]] = {"receipt_id": pl.String, "pointer": pl.String, "rejections": pl.List(pl.String)}
"""Columns that every staging frame has after those of its table."""


def zone_of(receipt: Receipt) -> ZoneInfo:
    """The zone of the server that the receipt came from."""
    return zone_named(str(receipt.parameters["server_zone"]))


def empty_frame(schema: Mapping[str, Any]) -> pl.DataFrame:
    """A staging frame of this schema without rows."""
    return pl.DataFrame(schema={**schema, **PROVENANCE})


def frame_of(rows: Iterable[Mapping[str, Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """A staging frame of this schema with these rows."""
    return pl.DataFrame(list(rows), schema={**schema, **PROVENANCE}, orient="row")
