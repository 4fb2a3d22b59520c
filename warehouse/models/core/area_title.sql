-- One row per official title of one Vietnamese province for one span of time.
select
    area_code, version_number, rank_code, name_en, name_vi, valid_from_on, valid_to_on, legal_basis, confidence_code,
    receipt_id
from staging.area_title
