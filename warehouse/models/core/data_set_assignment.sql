-- core.data_set_assignment: every duty to report of the last complete list.
select
  instance_code, data_set_uid, org_unit_uid, data_set_code, period_type_code, timely_days, is_practice, receipt_id
from staging.data_set_assignment
