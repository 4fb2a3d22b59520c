-- One reported number: concept x category x facility x period. Breakdowns come from the category, "sex=F:age=Y25T34".
select
    concat_ws(':', value.instance_code, value.data_element_uid, value.period_code, value.org_unit_uid,
        value.category_option_combo_uid, value.attribute_option_combo_uid) as event_code,
    coalesce(nullif(unit.province_area_code, '_U'), unit.country_code) as area_code,
    null::varchar as period_type_code,
    value.period_start_on,
    value.period_end_on,
    coalesce(nullif(regexp_extract(value.category_code, '(?:^|:)sex=([^:]+)', 1), ''), '_T') as sex_code,
    coalesce(nullif(regexp_extract(value.category_code, '(?:^|:)age=([^:]+)', 1), ''), '_T') as age_code,
    coalesce(nullif(regexp_extract(value.category_code, '(?:^|:)migrant_status=([^:]+)', 1), ''), '_T') as migrant_status_code,
    coalesce(nullif(regexp_extract(value.category_code, '(?:^|:)migrant_basis=([^:]+)', 1), ''), '_T') as migrant_basis_code,
    '_T' as origin_code,
    '_T' as destination_code,
    '_T' as category_code,
    value.value_number as quantity,
    null::double as lower,
    null::double as upper,
    null::double as se,
    null::varchar as interval_code,
    null::bigint as records,
    true as is_observed,
    null::varchar as status_code,
    null::varchar as footnote_code,
    'dhis2' as source_code,
    value.receipt_id,
    value.is_practice,
    value.concept_code
from core.data_value_current as value
-- cardinality: one org unit per instance and UID
join core.org_unit_current as unit on unit.instance_code = value.instance_code and unit.org_unit_uid = value.org_unit_uid
where value.value_number is not null
