-- One reported number: concept x category x facility x period. Breakdowns come from the category, "sex=F:age=Y25T34".
select
    concat_ws(':', value.instance_code, value.data_element_uid, value.period_code, value.org_unit_uid,
        value.category_option_combo_uid, value.attribute_option_combo_uid) as event_code,
    -- The province of the period's last day: a facility that moved since keeps what it reported where it lay then.
    case
        when earlier.org_unit_uid is not null then coalesce(nullif(earlier.province_area_code, '_U'), earlier.country_code)
        else coalesce(nullif(unit.province_area_code, '_U'), unit.country_code)
    end as area_code,
    value.period_start_on,
    value.period_end_on,
    coalesce(nullif(regexp_extract(value.category_code, '(?:^|:)sex=([^:]+)', 1), ''), '_T') as sex_code,
    coalesce(nullif(regexp_extract(value.category_code, '(?:^|:)age=([^:]+)', 1), ''), '_T') as age_code,
    coalesce(nullif(regexp_extract(value.category_code, '(?:^|:)migrant_status=([^:]+)', 1), ''), '_T') as migrant_status_code,
    coalesce(nullif(regexp_extract(value.category_code, '(?:^|:)migrant_basis=([^:]+)', 1), ''), '_T') as migrant_basis_code,
    value.value_number as quantity,
    'dhis2' as source_code,
    value.receipt_id,
    value.is_practice,
    value.concept_code
from core.data_value_current as value
-- cardinality: one org unit per instance and UID
join core.org_unit_current as unit on unit.instance_code = value.instance_code and unit.org_unit_uid = value.org_unit_uid
-- cardinality: at most one stay holds a day
left join core.org_unit_earlier_place_current as earlier
  on earlier.instance_code = value.instance_code and earlier.org_unit_uid = value.org_unit_uid
 and value.period_end_on between earlier.valid_from_on and earlier.valid_to_on
where value.value_number is not null
