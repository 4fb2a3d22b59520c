-- One row per fact and document; a later document adds its own rows beside the earlier ones.
select
    series_code,
    window_code,
    period_code,
    destination_code,
    sex_code,
    document_code,
    published_on,
    period_start_on,
    period_end_on,
    value,
    finality_code,
    precision_code,
    is_practice,
    confidence_code,
    resolution,
    printed,
    destination_label,
    receipt_id,
    false as is_deleted
from staging.labour_figure
