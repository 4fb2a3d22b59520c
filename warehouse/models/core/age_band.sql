-- One row per age band of one set.
select
    band_set_code, age_code, lower_age_years, upper_age_years, confidence_code, citation, receipt_id
from staging.age_band
