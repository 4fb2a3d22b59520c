-- Worker-years of one year by destination and sex: the mean of the workers abroad at its beginning and end, times the part of
-- the year that had passed at the refresh.
with year as (
    select
        make_date(number, 1, 1) as opens_on,
        make_date(number, 12, 31) as year_ends_on,
        least(make_date(number, 12, 31), $as_at::date) as closes_on
    from (
        select unnest(range(min(year(departed_on)), year($as_at::date) + 1)) as number
        from core.labour_contract_current
        where departed_on is not null
    )
),

stock as (
    -- cardinality: each contract meets each year once; abroad from departure to the day before the return
    select
        year.opens_on, year.year_ends_on, year.closes_on,
        coalesce(contract.sex_code, '_U') as sex_code,
        coalesce(contract.destination_code, '_U') as destination_code,
        count(*) filter (
            where contract.departed_on < year.opens_on
              and (contract.returned_on is null or contract.returned_on >= year.opens_on)
        ) as opening,
        count(*) filter (
            where contract.departed_on <= year.closes_on
              and (contract.returned_on is null or contract.returned_on > year.closes_on)
        ) as closing,
        max(contract.receipt_id) as receipt_id,
        bool_or(contract.is_practice) as is_practice
    from year
    cross join core.labour_contract_current as contract
    where contract.departed_on is not null
    group by all
)

select
    concat_ws(':', opens_on, destination_code, sex_code) as event_code,
    'VNM' as area_code,
    'A' as period_type_code,
    opens_on as period_start_on,
    year_ends_on as period_end_on,
    sex_code,
    '3' as migrant_status_code,
    'A' as migrant_basis_code,
    destination_code,
    (opening + closing) / 2.0 * (date_diff('day', opens_on, closes_on) + 1) / (date_diff('day', opens_on, year_ends_on) + 1)
        as quantity,
    'labour' as source_code,
    receipt_id,
    is_practice
from stock
where opening + closing > 0
