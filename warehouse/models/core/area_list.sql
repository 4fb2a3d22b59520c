-- One row per area on one list for one span of time.
select
    list_code, area_code, version_number, valid_from_on, valid_to_on, confidence_code, citation, receipt_id
from staging.area_list
