-- Tasks of the Compact plan: one number per register record, once for the total, once for its ministry and once for its
-- objective (category HEALTH/GCM15 is ministry and objective; HEALTH alone names no objective).
with task as (
    select *, split_part(category_code, '/', 1) as ministry_code, split_part(category_code, '/', 2) as objective_code
    from core.programme_count_current
    where register_code in ('gcm_tasks_due', 'gcm_tasks_completed')
),

shown as (
    select *, '_T' as shown_code from task
    union all
    select *, ministry_code from task where ministry_code <> '_T'
    union all
    select *, objective_code from task where objective_code <> ''
)

select
    concat_ws(':', file_code, register_code, record_code, shown_code) as event_code,
    area_code,
    period_start_on,
    period_end_on,
    sex_code,
    age_code,
    origin_code,
    destination_code,
    shown_code as category_code,
    quantity as quantity,
    note_code as footnote_code,
    'programme' as source_code,
    receipt_id,
    is_practice,
    register_code
from shown
