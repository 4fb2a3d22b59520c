-- Waves as staged.
select
    survey_code,
    wave_code,
    title,
    producer,
    country_code,
    period_code,
    field_start_on,
    field_end_on,
    population,
    migrant_basis_code,
    stages,
    weight_kind_code,
    is_probability,
    lonely_policy_code,
    deff_reference_code,
    asked_columns,
    person_count,
    rejected_count,
    weight_sum,
    is_practice,
    receipt_id
from staging.survey_wave
