-- One published figure of the current edition of a reference series. Totals are the producer's own rows (_T).
with figure as (
    select
        series_code, edition_code, area_code, year, sex_code, age_code, origin_code, destination_code, category_code,
        value, lower, upper, receipt_id, is_practice
    from core.reference_value_current
    where is_current_edition
    union all
    -- The UN population comes by sex in age bands only; all ages of one sex are the two bands that cover every age.
    -- cardinality: one row per area, year and sex, where both bands are there
    select
        series_code, edition_code, area_code, year, sex_code, '_T', origin_code, destination_code, category_code,
        sum(value), null, null, max(receipt_id), bool_or(is_practice)
    from core.reference_value_current
    where is_current_edition and series_code = 'population_wpp' and sex_code in ('F', 'M') and age_code in ('Y0T14', 'Y_GE15')
    group by series_code, edition_code, area_code, year, sex_code, origin_code, destination_code, category_code
    having count(*) = 2
)

select
    concat_ws(':', series_code, edition_code, area_code, year, sex_code, age_code, origin_code, destination_code, category_code)
        as event_code,
    area_code,
    'A' as period_type_code,
    make_date(year, 1, 1) as period_start_on,
    make_date(year, 12, 31) as period_end_on,
    sex_code,
    age_code,
    origin_code,
    destination_code,
    category_code,
    value as quantity,
    lower,
    upper,
    case when lower is not null then 'published95' end as interval_code,
    -- The second edition of SPAR began in 2021 with other capacities: a break.
    case when series_code = 'ihr_capacity_spar2' and year = 2021 then 'B' end as status_code,
    series_code || '.' || edition_code as source_code,
    receipt_id,
    is_practice,
    series_code,
    edition_code
from figure
