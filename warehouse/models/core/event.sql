-- One row per event, marker or reporting cycle.
select
    event_code, kind_code, name_en, name_vi, starts_on, ends_on, date_precision_code, place, participant_count,
    is_series_break, note_en, confidence_code, citation, receipt_id
from staging.event
