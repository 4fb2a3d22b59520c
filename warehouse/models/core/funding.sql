-- One row per grant or contribution.
select
    funding_code, donor_agency_code, purpose_en, amount, currency_code, stated_on, confidence_code, citation,
    receipt_id
from staging.funding
