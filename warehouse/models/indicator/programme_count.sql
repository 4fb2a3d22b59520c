-- One number of a programme register: register x record x period x breakdown.
select
    concat_ws(':', file_code, register_code, record_code) as event_code,
    area_code,
    period_start_on,
    period_end_on,
    sex_code,
    age_code,
    origin_code,
    destination_code,
    category_code,
    quantity,
    note_code as footnote_code,
    'programme' as source_code,
    receipt_id,
    is_practice,
    register_code
from core.programme_count_current
