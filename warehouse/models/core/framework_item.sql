-- One row per item of one framework or closed list.
select
    framework_code, item_code, parent_item_code, item_order, name_en, name_vi, valid_from_on, valid_to_on,
    confidence_code, citation, receipt_id
from staging.framework_item
