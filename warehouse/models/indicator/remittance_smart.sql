-- One corridor and quarter: the mean cost of its three cheapest qualifying services. Fewer than three give no row.
with ranked as (
    select
        area_code, origin_code, destination_code, period_start_on, period_end_on, quantity, receipt_id, is_practice,
        row_number() over corridor as place,
        count(*) over (partition by area_code, origin_code, destination_code, period_start_on, period_end_on) as services
    from core.programme_count_current
    where register_code = 'remittance_services'
    window corridor as (
        partition by area_code, origin_code, destination_code, period_start_on, period_end_on order by quantity, record_code
    )
)

select
    concat_ws(':', area_code, origin_code, destination_code, period_start_on) as event_code,
    area_code,
    period_start_on,
    period_end_on,
    origin_code,
    destination_code,
    avg(quantity) as quantity,
    'programme' as source_code,
    max(receipt_id) as receipt_id,
    bool_or(is_practice) as is_practice
from ranked
where place <= 3 and services >= 3
group by area_code, origin_code, destination_code, period_start_on, period_end_on
