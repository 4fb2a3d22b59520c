-- One row per version of one agency.
select
    agency_code, version_number, name_en, name_vi, agency_type_code, parent_agency_code, country_code, valid_from_on,
    valid_to_on, is_current, note_en, confidence_code, citation, receipt_id
from staging.agency
