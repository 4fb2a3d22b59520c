-- One row per published figure.
select
    series_code, edition_code, area_code, year, sex_code, age_code, origin_code, destination_code, category_code,
    value, lower, upper, unit, producer, nature_code, is_current_edition, is_practice, receipt_id
from staging.reference_value
