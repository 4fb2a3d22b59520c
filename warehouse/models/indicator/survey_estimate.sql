-- One design-based estimate of one wave. What the reliability policy withholds has no quantity and says why.
with placed as (
    select
        *,
        left(period_code, 4)::integer as year,
        case when period_code like '____Q_' then 'Q' when length(period_code) = 6 then 'M' else 'A' end as serves
    from estimate.survey_estimate_current
    -- One wave speaks for a cell: a probability sample before another, then the larger, then the later.
    qualify row_number() over (
        partition by measure_code, area_code, period_code, sex_code, age_code, migrant_status_code, migrant_basis_code,
            origin_code, destination_code, category_code
        order by is_probability desc, n_unweighted desc, wave_code desc, survey_code
    ) = 1
),

dated as (
    select
        *,
        case serves
            when 'Q' then make_date(year, 3 * right(period_code, 1)::integer - 2, 1)
            when 'M' then make_date(year, right(period_code, 2)::integer, 1)
            else make_date(year, 1, 1)
        end as starts_on,
        case serves when 'Q' then interval '3 months' when 'M' then interval '1 month' else interval '1 year' end as width,
        reliability_code in ('shown', 'bracketed', 'unreliable') as is_shown
    from placed
)

select
    concat_ws(':', survey_code, wave_code, measure_code, area_code, sex_code, age_code, migrant_status_code,
        migrant_basis_code, origin_code, destination_code, category_code) as event_code,
    area_code,
    serves as period_type_code,
    starts_on as period_start_on,
    (starts_on + width - interval '1 day')::date as period_end_on,
    sex_code,
    age_code,
    migrant_status_code,
    migrant_basis_code,
    origin_code,
    destination_code,
    category_code,
    case when is_shown then value end as quantity,
    case when is_shown then lower end as lower,
    case when is_shown then upper end as upper,
    case when is_shown then se end as se,
    case when is_shown then interval_code end as interval_code,
    n_unweighted::bigint as records,
    case reliability_code
        when 'bracketed' then 'U'
        when 'unreliable' then 'U'
        when 'suppressed' then 'Q'
        when 'not_published' then 'Q'
        else case when not is_probability then 'U' end
    end as status_code,
    case reliability_code
        when 'bracketed' then 'bracketed_small_sample'
        when 'unreliable' then 'estimate_unreliable'
        when 'suppressed' then 'sample_too_small'
        when 'not_published' then 'estimate_not_published'
        else case when not is_probability then 'not_a_probability_sample' end
    end as footnote_code,
    'survey' as source_code,
    receipt_id,
    is_practice,
    measure_code,
    survey_code
from dated
