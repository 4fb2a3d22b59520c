-- One row per member and version of the membership.
select
    group_code, membership_version, area_code, valid_from_on, valid_to_on, member_since_on, member_since_mark, receipt_id
from staging.area_membership
