-- One referral with the days from initiation to arrival; for a patient who has not arrived, the days waited so far (still open).
select
    referral_code as event_code,
    -- A referral from an unknown province still counts for the country.
    coalesce(nullif(from_area_code, '_U'), from_country_code) as area_code,
    referred_on as period_start_on,
    referred_on as period_end_on,
    coalesce(sex_code, '_U') as sex_code,
    coalesce(migrant_status_code, '99') as migrant_status_code,
    coalesce(migrant_basis_code, '_T') as migrant_basis_code,
    coalesce(from_country_code, '_U') as origin_code,
    coalesce(to_country_code, '_U') as destination_code,
    coalesce(nationality_code, '_U') as category_code,
    case
        when received_on is not null then date_diff('day', referred_on, received_on)
        else date_diff('day', referred_on, $as_at::date)
    end::double as quantity,
    1::bigint as records,
    received_on is not null as is_observed,
    'dhis2' as source_code,
    receipt_id,
    is_practice,
    disease_code
from core.referral_current
where link_code in ('linked', 'sent_not_arrived')
  and referred_on is not null
  -- Days that run backwards are a fault of the dates, reported by the scales, and say nothing about the wait.
  and coalesce(received_on, $as_at::date) >= referred_on
