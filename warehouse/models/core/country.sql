-- One row per country or territory.
select
    country_code, iso2_code, m49_code, name_en, name_vi, currency_code, minor_units, is_destination, labels_seen,
    note_en, confidence_code, citation, receipt_id
from staging.country
