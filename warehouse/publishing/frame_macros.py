"""Macros of the analyst's file that read provincial series across the merger of provinces, in either frame.

Belongs here: their SQL. Does not belong here: the arithmetic on frames inside the pipeline (`methods.province_frames`), other
macros (`analyst_database`).
"""

from typing import Any

from warehouse.publishing.content import KEY_COLUMNS

_BREAKDOWNS = ", ".join(f"o.{name}" for name in KEY_COLUMNS if name not in ("area_code",))

# Subqueries and no `with`: DuckDB 1.4.0 and 1.4.1 do not find a named part of a table macro.
_NEW_FRAME = f"""
create macro province_series(code) as table
select indicator_code, definition_version, w.area_code, a.name_en as area_en, a.name_vi as area_vi, period_code,
    period_start_on, period_end_on, sex_code, age_code, migrant_status_code, migrant_basis_code, origin_code,
    destination_code, category_code,
    case when parts = 1 then only_value
         when additive_code = 'sum' and known_values = parts then value_sum
         when additive_code = 'ratio' then numerator / nullif(denominator, 0) * factor end as value,
    numerator, denominator, from_areas, is_practice,
    case when parts > 1 and additive_code = 'none' then 'not additive: the parts cannot be joined'
         when parts > 1 and is_hidden then 'a part is suppressed'
         when parts > 1 then 'sum of the parts'
         when from_areas[1] <> w.area_code then 'the code before the merger'
         else 'as released' end as explanation
from (
    select {_BREAKDOWNS}, to_area as area_code, any_value(period_start_on) as period_start_on,
        any_value(period_end_on) as period_end_on, count(*) as parts, any_value(additive_code) as additive_code,
        any_value(factor) as factor, any_value(value) as only_value, count(value) as known_values,
        sum(value) as value_sum, case when count(numerator) = count(*) then sum(numerator) end as numerator,
        case when count(denominator) = count(*) then sum(denominator) end as denominator,
        bool_or(obs_status = 'Q') as is_hidden, bool_or(is_practice) as is_practice,
        list_sort(list(area_code)) as from_areas
    from (
        -- One row per released figure of a Vietnamese province, with the province of the 34 that holds it.
        select o.*, coalesce(s.new_area_code, o.area_code) as to_area, i.additive_code, i.factor
        from observation o
        join area a on a.area_code = o.area_code and a.frame_code in ('vn63', 'vn34')
        join indicator i on i.indicator_code = o.indicator_code
        -- cardinality: every old province has one successor
        left join area_succession s on s.old_area_code = o.area_code
        where o.indicator_code = upper(code)
    ) o group by all
) w join area a on a.area_code = w.area_code
order by w.area_code, period_start_on, sex_code, category_code
"""

_OLD_FRAME = """
create macro province_series_before(code) as table
select o.indicator_code, o.definition_version, b.area_code, b.name_en as area_en, b.name_vi as area_vi, o.period_code,
    o.period_start_on, o.period_end_on, o.sex_code, o.age_code, o.migrant_status_code, o.migrant_basis_code,
    o.origin_code, o.destination_code, o.category_code,
    case when a.frame_code = 'vn63' or p.parts = 1 then o.value end as value,
    case when a.frame_code = 'vn63' or p.parts = 1 then o.numerator end as numerator,
    case when a.frame_code = 'vn63' or p.parts = 1 then o.denominator end as denominator,
    o.is_practice,
    case when a.frame_code = 'vn63' then 'as released'
         when p.parts = 1 then 'the code after the merger'
         else o.area_code || ' = ' || p.names || ': a figure of the whole cannot be split among its parts' end as explanation
from observation o
join area a on a.area_code = o.area_code and a.frame_code in ('vn63', 'vn34')
-- cardinality: one row per new province; an old one has none
left join (
    select new_area_code, count(*) as parts, min(old_area_code) as first_part, string_agg(old_area_code, ' + ' order by
        old_area_code) as names
    from area_succession group by new_area_code
) p on p.new_area_code = o.area_code
-- cardinality: one area per code; the figure of a merged province stays under its own code, without a number
join area b on b.area_code = case when a.frame_code = 'vn34' and p.parts = 1 then p.first_part else o.area_code end
where o.indicator_code = upper(code)
order by b.area_code, o.period_start_on, o.sex_code, o.category_code
"""


def create_frame_macros(connection: Any) -> None:
    """`province_series(code)` reads a series in the frame of the 34, `province_series_before(code)` in that of the 63: exact
    upward, and downward only for provinces that were not merged, with the reason beside every number that is not there."""
    connection.execute(_NEW_FRAME)
    connection.execute(_OLD_FRAME)
