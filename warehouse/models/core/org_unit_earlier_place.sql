-- core.org_unit_earlier_place: each stay of a unit at a place in the tree that it has left, from the versions of core.org_unit.
-- A stay ends with the day before the unit was first seen elsewhere; the first one holds for all time before.
with version as (
  select *,
    path is distinct from lag(path) over unit as begins_stay
  from core.org_unit
  window unit as (partition by instance_code, org_unit_uid order by recorded_from)
),
numbered as (
  -- one row per version, with the number of its stay
  select *, count(*) filter (where begins_stay) over unit as stay_number
  from version
  window unit as (partition by instance_code, org_unit_uid order by recorded_from rows unbounded preceding)
),
stay as (
  -- one row per unit and stay: what its last version says
  select
    instance_code, org_unit_uid, stay_number, path,
    min(recorded_from) over stay as seen_at,
    country_code, province_area_code, is_practice, receipt_id, recorded_from
  from numbered
  window stay as (partition by instance_code, org_unit_uid, stay_number)
  qualify row_number() over (partition by instance_code, org_unit_uid, stay_number order by recorded_from desc) = 1
),
dated as (
  select *,
    case when stay_number = 1 then date '0001-01-01' else seen_at::date end as valid_from_on,
    (lead(seen_at) over (partition by instance_code, org_unit_uid order by stay_number))::date - 1 as valid_to_on
  from stay
)
select
  instance_code, org_unit_uid, valid_from_on, valid_to_on, path, country_code, province_area_code, is_practice, receipt_id
from dated
where valid_to_on >= valid_from_on
