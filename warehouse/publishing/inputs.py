"""What a release is made from besides its figures: which area lies in which, and the receipts behind the figures.

Belongs here: reading those two from the store. Does not belong here: cards (`release_catalogue`), cells, files.
"""

from collections.abc import Iterable
from typing import Any

import polars as pl

from warehouse.publishing.content import Receipt
from warehouse.store import fetch_frame


def release_areas(connection: Any) -> pl.DataFrame:
    """Every area of the store with its names, type and parent."""
    return fetch_frame(
        connection,
        "select area_code, name_en, name_vi, area_type_code, parent_code from core.area_current order by area_code",
    )


def area_links(connection: Any) -> pl.DataFrame:
    """Which area lies in which, for the disclosure audit: parents, the successor of a former province, and memberships."""
    return fetch_frame(
        connection,
        """select area_code, parent_code, frame_code, null::varchar as membership_version
        from core.area_current where parent_code is not null
        union all
        select old_area_code, new_area_code, 'succession', null from core.area_succession_current
        union all
        select area_code, group_code, 'iso3', membership_version from core.area_membership_current
        order by all""",
    )


def release_receipts(connection: Any, used: Iterable[str]) -> tuple[Receipt, ...]:
    """The receipts that the figures rest on, without request parameters."""
    wanted = sorted(set(used))
    if not wanted:
        return ()
    frame = fetch_frame(
        connection,
        """select receipt_id, source_code, payload_sha256, locator, strftime(received_at, '%Y-%m-%dT%H:%M:%SZ') as received_at,
        coalesce(strftime(published_on, '%Y-%m-%d'), '') as published_on
        from ops.receipt where list_contains($wanted, receipt_id) order by receipt_id""",
        {"wanted": wanted},
    )
    return tuple(
        Receipt(
            row["receipt_id"], row["source_code"], row["payload_sha256"], _public_locator(row["locator"]), row["received_at"],
            row["published_on"],
        )
        for row in frame.iter_rows(named=True)
    )  # fmt: skip


def _public_locator(locator: str) -> str:
    # The port of a practice server differs from run to run; a release must not.
    return "practice ground" if locator.startswith("http://127.0.0.1") else locator
