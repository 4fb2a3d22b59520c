"""Reconciliation of what is loaded: findings as rows, beside the figures and never in them.

Belongs here: fetching the open figures and contracts, and loading the findings. Does not belong here: the relations
themselves (`methods.reconciliation`), reports, Dagster.
"""

from datetime import datetime
from typing import Any

import polars as pl

from methods.reconciliation import Claim, claims_from, findings_frame, reconcile, register_claims, register_stock_claims
from warehouse.history import LoadCounts
from warehouse.load import transaction
from warehouse.store import Warehouse, fetch_frame, given_room

TABLE = "core.labour_finding"
SOURCE = "labour_reconciliation"


def current_findings(connection: Any) -> pl.DataFrame:
    """What contradicts what among all figures and contracts that are open now; rows of core.labour_finding."""
    figures = fetch_frame(
        connection,
        """select series_code, window_code, period_code, destination_code, sex_code, document_code, value, published_on,
            precision_code, resolution, confidence_code, is_practice
        from core.labour_figure_current order by all""",
    )
    contracts = fetch_frame(
        connection,
        """select departed_on, returned_on, destination_code, sex_code, is_practice, published_on
        from core.labour_contract_current order by all""",
    )
    claims: list[Claim] = claims_from(figures)
    if contracts.height:
        complete_to: Any = contracts["published_on"].max()
        claims += register_stock_claims(contracts, claims, complete_to)
        claims += register_claims(contracts, complete_to)
    return findings_frame(reconcile(claims)).with_columns(receipt_id=pl.lit(None, dtype=pl.String))


@given_room
def record_findings(warehouse: Warehouse, recorded_at: datetime) -> LoadCounts:
    """core.labour_finding says what contradicts what among all figures that are open now; findings that no longer hold are
    closed. Writes nothing when nothing changed."""
    with transaction(warehouse, SOURCE, recorded_at) as load:
        return load.load_frame(TABLE, current_findings(load.connection), mode="snapshot")
