-- One candidate examined, on the day of the examination; the category is the result.
select
    contract_token as event_code,
    -- A worker of unknown province still counts for the country.
    case when origin_area_code like 'VN__-%' then origin_area_code else 'VNM' end as area_code,
    examined_on as period_start_on,
    examined_on as period_end_on,
    coalesce(sex_code, '_U') as sex_code,
    '3' as migrant_status_code,
    'A' as migrant_basis_code,
    coalesce(destination_code, '_U') as destination_code,
    coalesce(examination_result_code, '_U') as category_code,
    1.0::double as quantity,
    1::bigint as records,
    'labour' as source_code,
    receipt_id,
    is_practice
from core.labour_contract_current
where examined_on is not null
