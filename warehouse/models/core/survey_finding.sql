-- Findings as staged.
select
    survey_code,
    wave_code,
    finding_code,
    source_variable,
    source_code,
    detail,
    record_count,
    is_practice,
    receipt_id
from staging.survey_finding
