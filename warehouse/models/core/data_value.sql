-- core.data_value: values of the last pull; with is_deleted for pulls of changes.
select
  instance_code, data_element_uid, period_code, org_unit_uid, category_option_combo_uid, attribute_option_combo_uid,
  concept_code, category_code, value_text, value_number, period_type_code, period_start_on, period_end_on, updated_at,
  is_practice, receipt_id, is_deleted
from staging.data_value
