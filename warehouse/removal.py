"""What the books of the store say once rows or landed lines were taken away or written anew: `ops.removal`, `ops.load`, `ops.receipt`.

Belongs here: the entries that erasing, retention and a change of the key have in common. Does not belong here: what is taken
away and why (`warehouse.erasure`, `warehouse.retention`, `warehouse.rotation`).
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from warehouse.history import as_naive_utc
from warehouse.landing import Receipt

LANDED = "landing"
"""Name under which `ops.removal` counts landed lines."""


def note_removal(
    connection: Any, removal_id: str, cause: str, at: datetime, counts: Mapping[str, int], horizon_on: Any = None
) -> None:
    """The books have the removal, so that what rests on the tables is computed anew and the change log knows the cause."""
    instant = as_naive_utc(at)
    for name, count in sorted(counts.items()):
        connection.execute(
            "insert into ops.removal (removal_id, table_name, cause_code, removed_at, row_count, horizon_on) values (?, ?, ?, ?, ?, ?)",
            [removal_id, name, cause, instant, count, horizon_on],
        )
        if count and name != LANDED:
            connection.execute(
                "insert into ops.load (refresh_at, source_code, table_name, received, closed) values (?, ?, ?, 0, ?)",
                [instant, cause, name, count],
            )


def restate_receipts(connection: Any, receipts: Iterable[Receipt]) -> None:
    """The store's receipts have the hash, size and parameters of the landed files as they are now."""
    for receipt in receipts:
        connection.execute(
            "update ops.receipt set payload_sha256 = ?, byte_count = ?, parameters = ? where receipt_id = ?",
            [
                receipt.payload_sha256,
                receipt.byte_count,
                json.dumps(receipt.parameters, ensure_ascii=False, sort_keys=True, default=str),
                receipt.receipt_id,
            ],
        )
