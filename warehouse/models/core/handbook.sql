-- One row per edition of the health handbook.
select
    handbook_code, destination_code, channel_code, edition_status_code, published_on, name_en, name_vi, note_en,
    confidence_code, citation, receipt_id
from staging.handbook
