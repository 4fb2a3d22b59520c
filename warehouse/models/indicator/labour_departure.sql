-- One contract worker who left, on the day of departure, in the province of origin.
select
    contract_token as event_code,
    -- A worker of unknown province still counts for the country.
    case when origin_area_code like 'VN__-%' then origin_area_code else 'VNM' end as area_code,
    null::varchar as period_type_code,
    departed_on as period_start_on,
    departed_on as period_end_on,
    coalesce(sex_code, '_U') as sex_code,
    '_T' as age_code,
    '3' as migrant_status_code,
    'A' as migrant_basis_code,
    '_T' as origin_code,
    coalesce(destination_code, '_U') as destination_code,
    '_T' as category_code,
    1.0::double as quantity,
    null::double as lower,
    null::double as upper,
    null::double as se,
    null::varchar as interval_code,
    1::bigint as records,
    true as is_observed,
    null::varchar as status_code,
    null::varchar as footnote_code,
    'labour' as source_code,
    receipt_id,
    is_practice,
    case when has_orientation_certificate then 'yes' when not has_orientation_certificate then 'no' else 'unknown' end as orientation_code
from core.labour_contract_current
where departed_on is not null
