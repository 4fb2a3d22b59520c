"""Observations whose reports have not all come: the expected-reports ledger held against each figure made of reports.

Belongs here: which figures rest on which data sets, and the share of the reports owed for their area and period that came. Does not
belong here: the rates themselves (indicators DQ01 and DQ02), findings about single reports (`methods.quality_review`).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from warehouse.catalogue.indicator_catalogue import Indicator
from warehouse.provisional import as_provisional
from warehouse.store import fetch_frame

COMPLETE_SHARE = 0.8
"""Share of the reports owed below which a figure is called incomplete. The Ministry's own bulletins use four fifths."""

FOOTNOTE = "reports_incomplete"
MEASURE = "facility_figure"
_LEDGER = Path(__file__).parent / "models" / "indicator" / "expected_report.sql"

_DATA_SET_OF_CONCEPT = """
    with element as (
        -- one row per data set and element on one server
        select instance_code, object_code as data_set_code,
            unnest(json_extract_string(detail, '$.dataSetElements[*].dataElement.id')) as data_element_uid
        from core.metadata_object_current where kind_code = 'dataSets'
    )
    select distinct value.concept_code, element.data_set_code
    from (select distinct instance_code, data_element_uid, concept_code from core.data_value_current) as value
    join element using (instance_code, data_element_uid)  -- cardinality: n to m, an element may stand in two data sets
    where value.concept_code is not null and element.data_set_code is not null
    order by all
"""

_OWED = """
    select owed.area_code, owed.category_code as data_set_code, owed.period_start_on, owed.period_end_on,
        count(*) as expected, count(*) filter (where owed.receipt_code = 'received') as received
    from ({ledger}) as owed group by all
    union all
    select area.parent_code, owed.category_code, owed.period_start_on, owed.period_end_on,
        count(*), count(*) filter (where owed.receipt_code = 'received')
    from ({ledger}) as owed
    join core.area_current as area on area.area_code = owed.area_code  -- cardinality: n to 1
    where area.parent_code is not null and area.area_type_code = 'province'
    group by all
"""


def short_of_reports(
    connection: Any, observations: pl.DataFrame, indicators: Sequence[Indicator], as_at: datetime
) -> pl.DataFrame:
    """Cells of indicators made of facility reports for which fewer than `COMPLETE_SHARE` of the reports owed have come.

    *Columns*: indicator_code, area_code, period_start_on, period_end_on, expected, received.
    """
    concepts = {entry.code: _concepts(entry) for entry in indicators}
    sets = fetch_frame(connection, _DATA_SET_OF_CONCEPT)
    wanted = pl.DataFrame(
        [(code, concept) for code, found in concepts.items() for concept in found],
        schema={"indicator_code": pl.String, "concept_code": pl.String},
        orient="row",
    )
    rests_on = (
        wanted.join(sets, on="concept_code").select("indicator_code", "data_set_code").unique()
    )  # n to m by concept
    ledger = _LEDGER.read_text(encoding="utf-8").strip().rstrip(";")
    at = as_at.astimezone(UTC).replace(tzinfo=None)
    owed = fetch_frame(connection, _OWED.format(ledger=ledger), {"as_at": at})
    cells = observations.select("indicator_code", "area_code", "period_start_on", "period_end_on").unique()
    return (
        cells.join(rests_on, on="indicator_code")
        .join(owed, on=["area_code", "data_set_code"], suffix="_owed")  # one cell to the reports of all its periods
        .filter(
            pl.col("period_start_on_owed") >= pl.col("period_start_on"),
            pl.col("period_end_on_owed") <= pl.col("period_end_on"),
        )
        .group_by("indicator_code", "area_code", "period_start_on", "period_end_on")
        .agg(pl.col("expected", "received").sum())
        .filter(pl.col("received") < COMPLETE_SHARE * pl.col("expected"))
        .sort("indicator_code", "area_code", "period_start_on", "period_end_on")
    )


def _concepts(indicator: Indicator) -> list[str]:
    parts = [indicator.numerator, indicator.denominator]
    found: set[str] = set()
    for part in parts:
        if part is not None and getattr(part, "measure", None) == MEASURE:
            chosen: Mapping[str, Any] = part.filter
            found |= set(chosen.get("concept_code", ()))
    return sorted(found)


def with_completeness(observations: pl.DataFrame, short: pl.DataFrame) -> pl.DataFrame:
    """The observations; those among `short` are provisional and say that reports are missing."""
    if short.is_empty():
        return observations
    keys = ["indicator_code", "area_code", "period_start_on", "period_end_on"]
    marked = observations.join(
        short.select(*keys, is_short=pl.lit(True)), on=keys, how="left", maintain_order="left"
    )  # cardinality: n to 1, a cell once
    return as_provisional(marked, pl.col("is_short"), FOOTNOTE).drop("is_short")
