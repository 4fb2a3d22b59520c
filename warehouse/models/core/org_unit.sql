-- core.org_unit: every unit of the last complete list.
select
  instance_code, org_unit_uid, name, level, path, parent_uid, opening_on, closed_on, country_code, province_area_code,
  geometry_code, longitude_degrees, latitude_degrees, is_practice, receipt_id
from staging.org_unit
