-- One published number of departures: month or year x destination x sex, from the document that is current for that period.
-- Current document of a period: final over provisional, then the later publication, then agency over press; unverified never.
-- Parts come from the same document as their total, so that two vintages are never mixed in one table.
-- A year without a figure of its own is shown by the latest cumulative one: provisional, and its note names the last month.
with published as (
    -- cardinality: one document per document_code
    select figure.*, document.kind_code
    from core.labour_figure_current as figure
    join core.labour_document_current as document using (document_code)
    where figure.series_code = 'deployments'
      and figure.window_code in ('month', 'year', 'cumulative')
      and figure.confidence_code <> 'unverified'
),

current_document as (
    -- One row per window and period: the document whose total is current.
    select window_code, period_code, document_code
    from published
    where destination_code = '_T' and sex_code = '_T'
    qualify row_number() over (
        partition by window_code, period_code
        order by
            case finality_code when 'final' then 0 else 1 end,
            published_on desc,
            case kind_code when 'press' then 1 else 0 end,
            document_code desc
    ) = 1
),

serving_document as (
    -- Months and years as they are; of a year without a figure of its own the latest cumulative one.
    select * from current_document where window_code in ('month', 'year')
    union all
    select window_code, period_code, document_code
    from current_document as part
    where window_code = 'cumulative'
      and not exists (
          select 1 from current_document as whole
          where whole.window_code = 'year' and whole.period_code = left(part.period_code, 4)
      )
    qualify row_number() over (partition by left(period_code, 4) order by period_code desc) = 1
),

current_figure as (
    -- cardinality: each figure belongs to at most one current document. Groups of countries (codes joined by +) stay in the
    -- core: they are no destination.
    select published.*
    from published
    join serving_document using (window_code, period_code, document_code)
    where published.destination_code not like '%+%'
),

remainder as (
    -- Other markets = total less the named ones, where the document names some and no figure of the sex is missing.
    select
        window_code, period_code, sex_code, document_code,
        max(value) filter (where destination_code = '_T') - sum(value) filter (where destination_code <> '_T') as value
    from current_figure as figure
    where precision_code = 'exact'
      and (
          figure.sex_code = '_T'
          or not exists (
              select 1 from current_figure as whole
              where whole.document_code = figure.document_code
                and whole.window_code = figure.window_code
                and whole.period_code = figure.period_code
                and whole.sex_code = '_T'
                and not exists (
                    select 1 from current_figure as part
                    where part.document_code = whole.document_code
                      and part.window_code = whole.window_code
                      and part.period_code = whole.period_code
                      and part.destination_code = whole.destination_code
                      and part.sex_code = figure.sex_code
                )
          )
      )
    group by window_code, period_code, sex_code, document_code
    having count(*) filter (where destination_code = '_T') = 1
       and count(*) filter (where destination_code = '_O') = 0
       and count(*) filter (where destination_code not in ('_T', '_O')) > 0
),

with_remainder as (
    select
        window_code, period_code, destination_code, sex_code, document_code, value, finality_code, precision_code,
        confidence_code, period_start_on, period_end_on, receipt_id, is_practice
    from current_figure
    union all
    -- cardinality: one total of both sexes per window, period and document
    select
        remainder.window_code, remainder.period_code, '_O', remainder.sex_code, remainder.document_code, remainder.value,
        whole.finality_code, 'exact', 'computed', whole.period_start_on, whole.period_end_on, whole.receipt_id,
        whole.is_practice
    from remainder
    join current_figure as whole
      on whole.window_code = remainder.window_code and whole.period_code = remainder.period_code
     and whole.document_code = remainder.document_code
     and whole.destination_code = '_T' and whole.sex_code = '_T'
    where remainder.value >= 0
),

with_men as (
    select * from with_remainder
    union all
    -- Men = both less women, where both are exact. cardinality: one figure of women per figure of both sexes
    select
        both_sexes.window_code, both_sexes.period_code, both_sexes.destination_code, 'M', both_sexes.document_code,
        both_sexes.value - women.value, both_sexes.finality_code, 'exact', 'computed', both_sexes.period_start_on,
        both_sexes.period_end_on, both_sexes.receipt_id, both_sexes.is_practice
    from with_remainder as both_sexes
    join with_remainder as women
      on women.window_code = both_sexes.window_code and women.period_code = both_sexes.period_code
     and women.destination_code = both_sexes.destination_code and women.document_code = both_sexes.document_code
     and women.sex_code = 'F'
    where both_sexes.sex_code = '_T'
      and both_sexes.precision_code = 'exact' and women.precision_code = 'exact'
      and both_sexes.value >= women.value
)

select
    concat_ws(':', document_code, window_code, period_code, destination_code, sex_code) as event_code,
    'VNM' as area_code,
    case window_code when 'month' then 'M' else 'A' end as period_type_code,
    period_start_on,
    case window_code when 'cumulative' then make_date(year(period_end_on), 12, 31) else period_end_on end as period_end_on,
    sex_code,
    destination_code,
    value as quantity,
    case when finality_code = 'provisional' or window_code = 'cumulative' then 'P' end as status_code,
    case
        when window_code = 'cumulative' then 'year_to_date_' || strftime(period_end_on, '%m')
        when precision_code <> 'exact' then 'rounded_source'
        when finality_code = 'provisional' then 'provisional_source'
    end as footnote_code,
    'labour' as source_code,
    receipt_id,
    is_practice
from with_men
