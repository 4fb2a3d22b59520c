-- One row per area in its frame.
select
    area_code, area_type_code, name_en, name_vi, parent_code, official_code, frame_code, valid_from_on, valid_to_on,
    receipt_id
from staging.area
