-- The plan of one year (the upper bound where it is a range), standing beside the year and beside each of its months.
with plan as (
    -- cardinality: one document per document_code; one plan per year after the choice
    select figure.*
    from core.labour_figure_current as figure
    join core.labour_document_current as document using (document_code)
    where figure.series_code = 'plan'
      and figure.window_code = 'year'
      and figure.destination_code = '_T'
      and figure.sex_code = '_T'
      and figure.confidence_code <> 'unverified'
    qualify row_number() over (
        partition by figure.period_code
        order by figure.published_on desc, case document.kind_code when 'press' then 1 else 0 end, document_code desc
    ) = 1
),

placed as (
    select plan.*, 'A' as serves, period_start_on as starts_on, period_end_on as ends_on from plan
    union all
    -- cardinality: twelve months per plan
    select
        plan.*, 'M',
        (period_start_on + month_number * interval '1 month')::date,
        (period_start_on + (month_number + 1) * interval '1 month' - interval '1 day')::date
    from plan
    cross join (select unnest(range(12)) as month_number)
)

select
    concat_ws(':', document_code, 'plan', period_code, serves, starts_on) as event_code,
    'VNM' as area_code,
    serves as period_type_code,
    starts_on as period_start_on,
    ends_on as period_end_on,
    value as quantity,
    'labour' as source_code,
    receipt_id,
    is_practice
from placed
