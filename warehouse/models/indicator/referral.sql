-- One referral: patient x episode x direction, dated by its initiation, in the sending area. Origin and destination are the
-- sending and the receiving country. Arrivals without a sending record are not initiated referrals; duplicates count once.
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
    1.0::double as quantity,
    1::bigint as records,
    'dhis2' as source_code,
    receipt_id,
    is_practice,
    disease_code,
    link_code,
    -- The window of 30 days has closed when day 30 lies before the day of the refresh.
    case when referred_on + 30 < $as_at::date then 'closed' else 'open' end as window_code,
    case when date_diff('day', referred_on, registered_on) between 0 and 30 then 'within_30_days' else 'not_within_30_days' end
        as completion_code,
    case when outcome_code is null or outcome_code = 'NOT_EVALUATED' then 'unknown' else 'known' end as outcome_state_code,
    -- Outcomes are known a year after the start at the earliest.
    case when referred_on + 365 < $as_at::date then 'closed' else 'open' end as cohort_code
from core.referral_current
where link_code in ('linked', 'sent_not_arrived', 'ambiguous')
  and referred_on is not null
