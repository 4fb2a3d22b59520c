-- One number of a programme register.
select
    file_code, register_code, record_code, area_code, period_start_on, period_end_on, sex_code, age_code,
    origin_code, destination_code, category_code, quantity, note_code, is_practice, receipt_id
from staging.programme_count
