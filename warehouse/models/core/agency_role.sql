-- One row per agency in one role in one group, instrument or function, for one span of time.
select
    group_code, agency_code, role_code, version_number, valid_from_on, valid_to_on, note_en, confidence_code,
    citation, receipt_id
from staging.agency_role
