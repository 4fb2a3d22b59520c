"""The state of the data behind a release, as everybody may see it: scores by domain of the review, by country and month.

Belongs here: reading the review as it stood at a release's instant, in shares and totals. Does not belong here: single units, held
records and what a provider is asked to mend (`expectations.quality_files`): those are for the provider alone.
"""

from datetime import datetime
from typing import Any

import polars as pl

from warehouse.history import as_naive_utc
from warehouse.store import fetch_frame

SCHEMA: dict[str, pl.DataType] = {
    "dimension_code": pl.String(),
    "measure_code": pl.String(),
    "area_code": pl.String(),
    "period_code": pl.String(),
    "reviewed_at": pl.Datetime("us"),
    "good": pl.Float64(),
    "looked_at": pl.Float64(),
    "is_practice": pl.Boolean(),
}
"""One row is one score: `good` of what was `looked_at`, for a domain, measure, country (`_T` between sources), month (`_T` for the
thirteen months of the review) and review."""

TREND = 12
"""Reviews looked back on."""

_REVIEWS = """
    select distinct refresh_at from ops.load
    where source_code in ('quality_measure', 'quality_review') and refresh_at <= $at order by refresh_at desc limit 12
"""

_SCORES = """
    with country as (
        -- one row per server
        select instance_code, any_value(country_code order by level) as area_code from core.org_unit_as_of($at)
        where country_code is not null group by instance_code
    ),
    reports as (
        select measure.dimension_code, measure.measure_code, coalesce(country.area_code, measure.provider_code) as area_code,
            measure.period_code, sum(measure.numerator) as good, sum(measure.denominator) as looked_at,
            bool_or(measure.is_practice) as is_practice
        from core.quality_measure_as_of($at) as measure
        left join country on country.instance_code = measure.provider_code  -- cardinality: n to 1
        where measure.measure_code in ('reports_received', 'reports_in_time')
        group by all
    ),
    pairs as (
        select dimension_code, measure_code, count(*) as pairs, bool_or(is_practice) as is_practice
        from core.quality_measure_as_of($at) where provider_code = '_T' group by all
    ),
    disagreeing as (
        select review_code, count(*) as findings from core.quality_finding_as_of($at) where instance_code = '_T' group by all
    )
    select dimension_code, measure_code, area_code, period_code, good, looked_at, is_practice from reports
    where length(period_code) = 6 and period_code not like '%Q%'
    union all
    select dimension_code, measure_code, area_code, '_T', sum(good), sum(looked_at), bool_or(is_practice)
    from reports group by dimension_code, measure_code, area_code
    union all
    select 'internal', 'rules_held', coalesce(country.area_code, rule.instance_code), '_T',
        sum(rule.evaluated_count - rule.violation_count), sum(rule.evaluated_count), bool_or(rule.is_practice)
    from core.validation_rule_as_of($at) as rule
    left join country using (instance_code)  -- cardinality: n to 1
    where rule.evaluated_count > 0
    group by coalesce(country.area_code, rule.instance_code)
    union all
    select pairs.dimension_code, pairs.measure_code, '_T', '_T', pairs.pairs - coalesce(disagreeing.findings, 0), pairs.pairs,
        pairs.is_practice
    from pairs left join disagreeing on disagreeing.review_code = pairs.measure_code  -- cardinality: 1 to 1
    order by all
"""


def no_quality() -> pl.DataFrame:
    """The summary of a store without a review."""
    return pl.DataFrame(schema=SCHEMA)


def quality_at(connection: Any, at: datetime) -> pl.DataFrame:
    """The scores at the instant with those of the reviews before it, newest first; months only for the newest."""
    reviews = fetch_frame(connection, _REVIEWS, {"at": as_naive_utc(at)})["refresh_at"].to_list()
    parts = [no_quality()]
    for place, reviewed_at in enumerate(reviews[:TREND]):
        scores = fetch_frame(connection, _SCORES, {"at": reviewed_at}).with_columns(reviewed_at=pl.lit(reviewed_at))
        parts.append(
            scores.filter(pl.lit(place == 0) | (pl.col("period_code") == "_T")).select(
                pl.col(name).cast(kind) for name, kind in SCHEMA.items()
            )
        )
    return pl.concat(parts)
