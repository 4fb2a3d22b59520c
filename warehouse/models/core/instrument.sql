-- One row per legal instrument, framework or agreement.
select
    instrument_code, kind_code, official_number, title_en, title_vi, issuer_agency_code, issued_on,
    date_precision_code, valid_from_on, valid_to_on, supersedes_code, note_en, confidence_code, citation, receipt_id
from staging.instrument
