-- One contract worker who left, on the day of departure, in the province of origin.
select
    contract_token as event_code,
    -- A worker of unknown province still counts for the country.
    case when origin_area_code like 'VN__-%' then origin_area_code else 'VNM' end as area_code,
    departed_on as period_start_on,
    departed_on as period_end_on,
    coalesce(sex_code, '_U') as sex_code,
    '3' as migrant_status_code,
    'A' as migrant_basis_code,
    coalesce(destination_code, '_U') as destination_code,
    1.0::double as quantity,
    1::bigint as records,
    'labour' as source_code,
    receipt_id,
    is_practice,
    case when has_orientation_certificate then 'yes' when not has_orientation_certificate then 'no' else 'unknown' end as orientation_code
from core.labour_contract_current
where departed_on is not null
