"""Indicator entries -> one readable SQL statement each.

Belongs here: text. The statement gathers the events of numerator and denominator, places each in every period and area that
holds it, and adds them up over the breakdown sets. Does not belong here: running it (`warehouse.indicator_engine`), intervals
and regional rows (`methods`), anything about one particular indicator. Specification: docs/methods/indicator-engine.md.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from warehouse.catalogue.indicator_catalogue import (
    DIMENSIONS,
    Denominator,
    Dimension,
    Indicator,
    IndicatorCatalogue,
    MeasureUse,
    PeriodType,
)
from warehouse.schema import quote_literal

CELL_KEYS: tuple[str, ...] = ("area_code", "period_type_code", "period_start_on", "period_end_on")

_PERIODS: dict[PeriodType, str] = {
    "A": "('A', 'year', interval '1 year')",
    "Q": "('Q', 'quarter', interval '3 months')",
    "M": "('M', 'month', interval '1 month')",
    "W": "('W', 'week', interval '7 days')",
}


class _Side:
    """One side of the division, with the part each dimension plays in it."""

    def __init__(
        self,
        name: str,
        use: MeasureUse,
        breakdowns: Sequence[tuple[Dimension, ...]],
        kept: Sequence[Dimension],
        catalogue: IndicatorCatalogue,
    ) -> None:
        self.name = name
        self.use = use
        self.measure = catalogue.measures[use.measure]
        self.sql = catalogue.measure_sql(use.measure)
        self.kept = tuple(kept)
        self.total_only_periods: tuple[PeriodType, ...] = ()
        unique = {tuple(d for d in DIMENSIONS if d in group and d not in use.total_over): None for group in breakdowns}
        self.groups: tuple[tuple[Dimension, ...], ...] = tuple(unique)
        self.broken = tuple(d for d in DIMENSIONS if any(d in group for group in self.groups))
        carries = set(self.measure.carries_total) - set(use.filter) - set(kept)
        self.carried = tuple(d for d in self.broken if d in carries)
        self.added_up = tuple(d for d in self.broken if d not in carries)
        self.total_only = tuple(d for d in DIMENSIONS if d in carries and d not in self.broken)
        # Parts of a published total are known or not: without one of those asked for there is no sum of them.
        self.summed_parts: dict[Dimension, int] = {
            d: len(use.filter[d])
            for d in DIMENSIONS
            if use.aggregate == "sum" and d in self.measure.carries_total and len(use.filter.get(d, ())) > 1
        }

    def conditions(self) -> list[str]:
        """What a row must be to count on this side."""
        found = []
        for column, codes in self.use.filter.items():
            listed = ", ".join(quote_literal(code) for code in codes)
            found.append(f"event.{column} in ({listed})" if len(codes) != 1 else f"event.{column} = {listed}")
        for dimension in self.total_only:
            found.append(f"event.{dimension} = '_T'")
        return found


def _indented(text: str, spaces: int) -> str:
    pad = " " * spaces
    return "\n".join(pad + line if line.strip() else "" for line in text.splitlines())


def _as_at_literal(as_at: datetime) -> str:
    naive = as_at.astimezone(UTC).replace(tzinfo=None) if as_at.tzinfo else as_at
    return f"timestamp '{naive.isoformat(sep=' ', timespec='seconds')}'"


def _levels(indicator: Indicator) -> tuple[str, ...]:
    """Areas that get a cell. The region has one of its own only where it is estimated from pooled microdata."""
    return (*indicator.area_levels, *(["asean"] if indicator.regional.rule == "pooled_microdata" else []))


def _member_area(levels: Sequence[str]) -> str:
    listed = ", ".join(f"'{level}'" for level in levels)
    return f"""member_area as (
    -- Every area with the areas it counts in: itself, the province it was merged into, its country.
    select member_code, area_code
    from (
        select area_code as member_code, area_code, area_type_code from core.area_current where frame_code <> 'vn63'
        union
        select old_area_code, new_area_code, 'province' from core.area_succession_current
        union
        select area_code, parent_code, 'country' from core.area_current where area_type_code = 'province'
    )
    where area_type_code in ({listed})
)"""


_IS_WEEK = "event.period_end_on - event.period_start_on in (6, 13)"
"""Weeks and biweeks: the periods that can lie in two months, quarters or years."""


def _placed(column: str) -> str:
    """The day by which an end of an event is placed in a year: of a week its middle day, so that the week goes whole to the year that
    holds most of it, as ISO 8601 has it (`methods.periods.period_holding_most`)."""
    middle = "event.period_start_on + case event.period_end_on - event.period_start_on when 13 then 6 else 3 end"
    return f"case when period.part = 'year' and {_IS_WEEK} then {middle} else event.{column} end"


def _row_cte(side: _Side, period_types: Sequence[PeriodType], as_at: datetime) -> str:
    periods = ", ".join(_PERIODS[period] for period in period_types)
    dimensions = [d for d in DIMENSIONS if d in side.broken or d in side.kept or d in side.summed_parts]
    columns = "".join(f"\n        event.{dimension}," for dimension in dimensions)
    where = "\n      and ".join([f"event.period_start_on <= {_as_at_literal(as_at)}", *side.conditions()])
    latest = ""
    if side.use.aggregate == "point_in_time":
        parts = ", ".join(
            ["member_area.area_code", "period.period_type_code", "date_trunc(period.part, event.period_end_on)"]
            + [f"event.{dimension}" for dimension in side.carried]
        )
        latest = (
            "\n    -- A stock is read at its last date in the period; stocks are never added over time."
            f"\n    qualify event.period_end_on = max(event.period_end_on) over (partition by {parts})"
        )
    return f"""{side.name}_row as (
    -- One row per event, area and period that hold it whole. A row with its own period type serves only that type. Weeks are not
    -- added up to months or quarters, because some lie in two of them; a week of two years goes to the one that holds most of it.
    select
        member_area.area_code,
        period.period_type_code,
        date_trunc(period.part, {_placed("period_start_on")})::date as period_start_on,
        (date_trunc(period.part, {_placed("period_start_on")}) + period.width - interval '1 day')::date as period_end_on,{columns}
        event.event_code, event.quantity, event.lower, event.upper, event.se, event.interval_code, event.records,
        event.is_observed, event.status_code, event.footnote_code, event.source_code, event.receipt_id, event.is_practice
    from {side.name}_event as event
    join member_area on member_area.member_code = event.area_code
    join (values {periods}) as period (period_type_code, part, width)
      on coalesce(event.period_type_code, period.period_type_code) = period.period_type_code
     and date_trunc(period.part, {_placed("period_start_on")}) = date_trunc(period.part, {_placed("period_end_on")})
     and not (period.part in ('month', 'quarter') and {_IS_WEEK})
    where {where}{latest}
)"""


def _total(side: _Side) -> str:
    match side.use.aggregate:
        case "count":
            return "count(*)::double"
        case "count_distinct":
            return "count(distinct event_code)::double"
        case "mean":
            return "avg(quantity)"
        case "published":
            return "max(quantity)"
        case "median":
            return "median(quantity)"
        case _:
            return "sum(quantity)"


def _cell_cte(side: _Side) -> str:
    fixed = [*CELL_KEYS, *[d for d in DIMENSIONS if d in side.kept or d in side.carried]]
    dimension_columns = []
    for dimension in DIMENSIONS:
        if dimension in side.kept or dimension in side.carried:
            dimension_columns.append(f"{dimension},")
        elif dimension in side.added_up:
            dimension_columns.append(
                f"case when grouping({dimension}) = 1 then '_T' else {dimension} end as {dimension},"
            )
        else:
            dimension_columns.append(f"'_T' as {dimension},")
    sets = {tuple(d for d in group if d in side.added_up): None for group in side.groups}
    if len(sets) == 1:
        grouping = ", ".join([*fixed, *next(iter(sets))])
    else:
        listed = ",\n        ".join(f"({', '.join([*fixed, *group])})" for group in sets)
        grouping = f"grouping sets (\n        {listed}\n    )"
    parts: list[str] = []
    if side.added_up:
        parts += [
            f"(grouping({dimension}) = 1 or {side.name}_row.{dimension} <> '_T')"
            if len(sets) > 1
            else f"{side.name}_row.{dimension} <> '_T'"
            for dimension in side.added_up
        ]
    for dimension, wanted in side.summed_parts.items():
        every = f"count(distinct {side.name}_row.{dimension}) = {wanted}"
        if not any(dimension in group for group in sets):
            parts.append(every)
        elif not all(dimension in group for group in sets):
            parts.append(f"(grouping({dimension}) = 0 or {every})")
    having = "\n    having " + "\n       and ".join(parts) if parts else ""
    extra = ""
    if side.use.aggregate == "published":
        extra = (
            "\n        max(lower) as lower, max(upper) as upper, max(se) as se, max(interval_code) as interval_code,"
            " count(*) as figures,"
        )
    elif side.use.aggregate == "median":
        extra = (
            "\n        list(quantity order by quantity, event_code) as quantities,"
            " list(is_observed order by quantity, event_code) as are_observed,"
        )
    columns = "\n        ".join(dimension_columns)
    pattern = ""
    if side.carried:
        alternatives = []
        for group in side.groups:
            signs = [f"{d} {'<>' if d in group else '='} '_T'" for d in side.broken]
            alternatives.append("(" + " and ".join(signs) + ")")
        pattern = "(" + "\n       or ".join(alternatives) + ")"
    if side.total_only_periods and side.broken:
        totals = " and ".join(f"{dimension} = '_T'" for dimension in side.broken)
        listed = ", ".join(f"'{period}'" for period in side.total_only_periods)
        rule = f"(period_type_code not in ({listed}) or ({totals}))"
        pattern = f"{pattern}\n      and {rule}" if pattern else rule
    cell = f"""
    select
        {", ".join(CELL_KEYS)},
        {columns}
        {_total(side)} as total,{extra}
        sum(records)::bigint as records,
        bool_or(is_practice) as is_practice,
        list_sort(list(distinct source_code) filter (where source_code is not null)) as source_codes,
        list_sort(list(distinct receipt_id) filter (where receipt_id is not null)) as receipt_ids,
        list_sort(list(distinct status_code) filter (where status_code is not null)) as status_codes,
        list_sort(list(distinct footnote_code) filter (where footnote_code is not null)) as footnote_codes
    from {side.name}_row
    group by {grouping}{having}"""
    if not pattern:
        return f"{side.name}_cell as ({cell}\n)"
    return (
        f"{side.name}_cell as (\n    -- Only the wanted breakdowns; a total that the source gives as a row stays what it says.\n"
        f"    select * from ({_indented(cell, 4)}\n    )\n    where {pattern}\n)"
    )


def _event_cte(side: _Side) -> str:
    return f"{side.name}_event as (\n{_indented(side.sql, 4)}\n)"


def _header(indicator: Indicator) -> str:
    lines = [f"-- {indicator.code} version {indicator.definition_version}: {indicator.name.en}"]
    lines.append(f"-- {indicator.numerator_text.en}")
    if indicator.denominator_text is not None:
        lines.append(f"-- over: {indicator.denominator_text.en}; times {indicator.factor:g}")
    return "\n".join(line.replace("\n", " ") for line in lines)


def _merged_list(name: str, has_denominator: bool) -> str:
    if not has_denominator:
        return f"coalesce(numerator_cell.{name}, []) as {name}"
    return (
        f"list_sort(list_distinct(list_concat(coalesce(numerator_cell.{name}, []), "
        f"coalesce(denominator_cell.{name}, [])))) as {name}"
    )


def _final_select(indicator: Indicator, numerator: _Side, denominator: _Side | None) -> str:
    published = numerator.use.aggregate == "published"
    median = numerator.use.aggregate == "median"
    figures = (
        "numerator_cell.lower * {f} as lower, numerator_cell.upper * {f} as upper, numerator_cell.se * {f} as se,\n"
        "    numerator_cell.interval_code, numerator_cell.figures"
        if published
        else "null::double as lower, null::double as upper, null::double as se,\n"
        "    null::varchar as interval_code, 1 as figures"
    )
    lists = (
        "numerator_cell.quantities, numerator_cell.are_observed"
        if median
        else "null::double[] as quantities, null::boolean[] as are_observed"
    )
    factor = f"{indicator.factor:.17g}"
    if "e" not in factor and "." not in factor:
        factor += ".0"
    if denominator is None:
        keys = ",\n    ".join(f"numerator_cell.{column}" for column in (*CELL_KEYS, *DIMENSIONS))
        value = "null::double" if median else f"numerator_cell.total * {factor}"
        numerator_column = "null::double" if (published or median) else "numerator_cell.total"
        return f"""select
    {keys},
    {numerator_column} as numerator,
    null::double as denominator,
    {value} as value,
    {figures.replace("{f}", factor)},
    {lists},
    numerator_cell.records as n,
    numerator_cell.is_practice,
    {_merged_list("source_codes", False)},
    {_merged_list("receipt_ids", False)},
    {_merged_list("status_codes", False)},
    {_merged_list("footnote_codes", False)}
from numerator_cell
order by all"""
    total_over = denominator.use.total_over
    joined = [d for d in DIMENSIONS if d not in indicator.kept]
    conditions = [f"denominator_cell.{column} = numerator_cell.{column}" for column in CELL_KEYS]
    conditions += [
        f"denominator_cell.{d} = {chr(39) + '_T' + chr(39) if d in total_over else 'numerator_cell.' + d}"
        for d in joined
    ]
    on = "\n   and ".join(conditions)
    # A population does not say that a register was kept: only a denominator from the records themselves makes an absence a zero.
    is_own = indicator.denominator is not None and indicator.denominator.named is None
    no_row_means_none = numerator.measure.absence == "zero" and is_own and not total_over and not indicator.kept
    if no_row_means_none:
        keys = ",\n    ".join(
            f"coalesce(numerator_cell.{c}, denominator_cell.{c}) as {c}" for c in (*CELL_KEYS, *DIMENSIONS)
        )
        join = (
            "-- One to one. A denominator without events has none, which is zero; events without denominator have no rate.\n"
            "full join denominator_cell"
        )
        top = "case when denominator_cell.area_code is null then numerator_cell.total else coalesce(numerator_cell.total, 0) end"
    else:
        keys = ",\n    ".join(f"numerator_cell.{c}" for c in (*CELL_KEYS, *DIMENSIONS))
        join = "-- Each numerator cell finds at most one denominator; without one there is no rate.\nleft join denominator_cell"
        top = "numerator_cell.total"
    records = (
        "coalesce(denominator_cell.records, numerator_cell.records)"
        if indicator.is_bounded
        else "numerator_cell.records"
    )
    return f"""select
    {keys},
    {top} as numerator,
    denominator_cell.total as denominator,
    {top} / nullif(denominator_cell.total, 0) * {factor} as value,
    null::double as lower, null::double as upper, null::double as se,
    null::varchar as interval_code, {"numerator_cell.figures" if published else "1"} as figures,
    null::double[] as quantities, null::boolean[] as are_observed,
    {records} as n,
    coalesce(numerator_cell.is_practice, false) or coalesce(denominator_cell.is_practice, false) as is_practice,
    {_merged_list("source_codes", True)},
    {_merged_list("receipt_ids", True)},
    {_merged_list("status_codes", True)},
    {_merged_list("footnote_codes", True)}
from numerator_cell
{join}
    on {on}
order by all"""


def _with_instant(sql: str, as_at: datetime) -> str:
    # Measures name the instant of the refresh as the parameter $as_at; here it becomes a typed literal, so that the
    # statement shown to a reader can be run as it stands. The value is a datetime, never text from outside.
    return re.sub(r"\$as_at\b", _as_at_literal(as_at), sql)


def _parts(
    indicator: Indicator, as_at: datetime, catalogue: IndicatorCatalogue
) -> tuple[_Side, _Side | None, list[str]]:
    """The two sides and the named steps from events to cells."""
    numerator = _Side("numerator", indicator.numerator, indicator.breakdowns, indicator.kept, catalogue)
    if indicator.detailed_period_types is not None:
        numerator.total_only_periods = tuple(
            p for p in indicator.period_types if p not in indicator.detailed_period_types
        )
    use = catalogue.denominator_use(indicator)
    denominator = _Side("denominator", use, indicator.breakdowns, (), catalogue) if use is not None else None
    if denominator is not None:
        denominator.total_only_periods = numerator.total_only_periods
    parts = [_member_area(_levels(indicator))]
    for side in (numerator, denominator):
        if side is not None:
            parts += [_event_cte(side), _row_cte(side, indicator.period_types, as_at), _cell_cte(side)]
    return numerator, denominator, parts


def compile_parts_sql(indicator: Indicator, as_at: datetime, catalogue: IndicatorCatalogue) -> str:
    """The statement that yields what each cell is made of: side, area, period, dimensions, source_code, receipt_id, events,
    quantity. One row per side and receipt; a dimension that a side does not have is NULL there."""
    numerator, denominator, parts = _parts(indicator, as_at, catalogue)
    selects = []
    for side in (numerator, denominator):
        if side is not None:
            dimensions = "".join(f"{d}, " for d in DIMENSIONS if d in side.broken or d in side.kept)
            selects.append(
                f"select '{side.name}' as side, area_code, period_type_code, period_start_on, {dimensions}source_code,"
                f" receipt_id, count(*) as events, sum(quantity)::double as quantity from {side.name}_row group by all"
            )
    statement = "with\n" + ",\n".join(parts) + "\n" + "\nunion all by name\n".join(selects) + "\norder by all"
    return _with_instant(statement, as_at)


def compile_sql(indicator: Indicator, as_at: datetime, catalogue: IndicatorCatalogue) -> str:
    """The statement that yields one row per country or province cell of the indicator, as at the instant of the refresh.

    *Columns*: cell keys, dimensions, numerator, denominator, value, published bounds, quantities of a median, n,
    provenance lists. Period codes, intervals, statuses and regional rows are added by the engine.
    """
    numerator, denominator, parts = _parts(indicator, as_at, catalogue)
    statement = (
        _header(indicator) + "\nwith\n" + ",\n".join(parts) + "\n" + _final_select(indicator, numerator, denominator)
    )
    return _with_instant(statement, as_at)


def compiled_models(catalogue: IndicatorCatalogue) -> tuple[str, ...]:
    """The SELECT of every indicator, for who reads where its columns come from: always the same text for the same catalogue, because
    the instant is one that no refresh looks from."""
    return tuple(compile_sql(entry, datetime.min, catalogue) for entry in catalogue.indicators.values())


def compile_weight_sql(entry: Denominator, as_at: datetime, catalogue: IndicatorCatalogue) -> str:
    """The statement that yields area_code, period_start_on (a year) and total of one denominator entry, by country."""
    use = MeasureUse(measure=entry.measure, aggregate=entry.aggregate, filter=entry.filter)
    side = _Side("weight", use, ((),), (), catalogue)
    parts = [_member_area(("country",)), _event_cte(side), _row_cte(side, ("A",), as_at), _cell_cte(side)]
    return _with_instant(
        "with\n"
        + ",\n".join(parts)
        + "\nselect area_code, period_start_on, total from weight_cell where total is not null order by all",
        as_at,
    )
