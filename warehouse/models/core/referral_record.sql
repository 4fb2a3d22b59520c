-- core.referral_record: the whole state of a server, so that a pull of changes leaves the same rows open as a full one.
-- Staged records stand. An earlier record stands too unless its person came in this pull without it (deleted, withdrawn or
-- rejected), or a complete listing was made and does not have it (purged). Countries and areas are looked up anew for
-- all of them, as of the day of the referral: a unit that moved keeps the records of before where it lay then.
with listing_made as (
  select instance_code from staging.referral_listing where enrollment_uid = '_LISTING'
),
earlier_record as (
  select c.*
  from core.referral_record_current c
  -- cardinality: each record has at most one person row, one listing row and one listing mark (unique in staging)
  anti join staging.tracked_entity t
    on t.instance_code = c.instance_code and t.tracked_entity_uid = c.tracked_entity_uid
  left join listing_made m on m.instance_code = c.instance_code
  left join staging.referral_listing l
    on l.instance_code = c.instance_code and l.enrollment_uid = c.enrollment_uid
  where m.instance_code is null or l.enrollment_uid is not null
),
record as (
  select
    instance_code, enrollment_uid, tracked_entity_uid, person_token, token_basis_code, key_id, sex_code, birth_year, nationality_code,
    migrant_status_code, migrant_basis_code, disease_code, direction_code, referred_on, from_org_unit_uid,
    to_org_unit_uid as to_facility_code, received_on, confirmed_on, treatment_started_on, outcome_code, outcome_on,
    updated_at, is_practice, receipt_id
  from staging.referral_record
  union all
  select
    instance_code, enrollment_uid, tracked_entity_uid, person_token, token_basis_code, key_id, sex_code, birth_year, nationality_code,
    migrant_status_code, migrant_basis_code, disease_code, direction_code, referred_on, from_org_unit_uid,
    to_facility_code, received_on, confirmed_on, treatment_started_on, outcome_code, outcome_on,
    updated_at, is_practice, receipt_id
  from earlier_record
)
select
  r.instance_code, r.enrollment_uid, r.tracked_entity_uid, r.person_token, r.token_basis_code, r.key_id, r.sex_code, r.birth_year,
  r.nationality_code, r.migrant_status_code, r.migrant_basis_code, r.disease_code, r.direction_code, r.referred_on,
  r.from_org_unit_uid,
  case when sender_then.org_unit_uid is null then sender.country_code else sender_then.country_code end as from_country_code,
  case when sender_then.org_unit_uid is null then sender.province_area_code else sender_then.province_area_code end
    as from_area_code,
  r.to_facility_code,
  case when receiver_then.org_unit_uid is null then receiver.country_code else receiver_then.country_code end
    as to_country_code,
  case when receiver_then.org_unit_uid is null then receiver.province_area_code else receiver_then.province_area_code end
    as to_area_code,
  r.received_on, r.confirmed_on, r.treatment_started_on, r.outcome_code, r.outcome_on, r.updated_at, r.is_practice,
  r.receipt_id
from record r
-- cardinality: n records to 1 unit each (org_unit is unique by instance and UID among open rows)
left join core.org_unit_current sender
  on sender.instance_code = r.instance_code and sender.org_unit_uid = r.from_org_unit_uid
left join core.org_unit_current receiver
  on receiver.instance_code = r.instance_code and receiver.org_unit_uid = r.to_facility_code
-- cardinality: at most one stay of a unit holds the day
left join core.org_unit_earlier_place_current sender_then
  on sender_then.instance_code = r.instance_code and sender_then.org_unit_uid = r.from_org_unit_uid
 and r.referred_on between sender_then.valid_from_on and sender_then.valid_to_on
left join core.org_unit_earlier_place_current receiver_then
  on receiver_then.instance_code = r.instance_code and receiver_then.org_unit_uid = r.to_facility_code
 and r.referred_on between receiver_then.valid_from_on and receiver_then.valid_to_on
