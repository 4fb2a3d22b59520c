-- One point of entry assessed in one year: all five routine capacities of Annex 1B answered. The category is its kind.
with answer as (
    -- Register category: point/capacity, number 1 when the capacity is there.
    select
        *,
        split_part(category_code, '/', 1) as place_code,
        split_part(category_code, '/', 2) as answered_code
    from core.programme_count_current
    where register_code = 'poe_capacities' and category_code like '%/%'
),

place as (
    select
        file_code, area_code, period_start_on, period_end_on, place_code,
        min(quantity) as least,
        max(receipt_id) as receipt_id,
        bool_or(is_practice) as is_practice
    from answer
    group by file_code, area_code, period_start_on, period_end_on, place_code
    having count(distinct answered_code) = 5
)

select
    concat_ws(':', file_code, area_code, place_code, period_start_on) as event_code,
    area_code,
    period_start_on,
    period_end_on,
    case when place_code like 'LAND%' then 'LAND' else 'AIR' end as category_code,
    1.0::double as quantity,
    'programme' as source_code,
    receipt_id,
    is_practice,
    case when least = 1 then 'met' else 'unmet' end as capacity_code
from place
