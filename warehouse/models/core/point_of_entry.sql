-- One row per point of entry for one span in which its province did not change.
select
    poe_code, version_number, poe_type_code, is_named, name_en, name_vi, iata_code, icao_code, province_area_code,
    valid_from_on, valid_to_on, note_en, confidence_code, citation, receipt_id
from staging.point_of_entry
