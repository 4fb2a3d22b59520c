-- core.metadata_object: every definition of the last complete reading.
select
  instance_code, kind_code, object_uid, object_code, name, value_type_code, parent_uid, detail, is_practice, receipt_id
from staging.metadata_object
