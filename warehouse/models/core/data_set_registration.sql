-- core.data_set_registration: every declaration of the last complete list.
select
  instance_code, data_set_uid, period_code, org_unit_uid, attribute_option_combo_uid, registered_at, is_completed,
  data_set_code, period_start_on, period_end_on, is_practice, receipt_id
from staging.data_set_registration
