-- One number of departures from 1 January to the end of a month (serving that month) or of a year (serving the year).
-- Current document of a period: final over provisional, then the later publication, then agency over press; unverified never.
with published as (
    -- cardinality: one document per document_code
    select figure.*, document.kind_code
    from core.labour_figure_current as figure
    join core.labour_document_current as document using (document_code)
    where figure.series_code = 'deployments'
      and figure.window_code in ('cumulative', 'year')
      and figure.destination_code = '_T'
      and figure.sex_code = '_T'
      and figure.confidence_code <> 'unverified'
    qualify row_number() over (
        partition by figure.window_code, figure.period_code
        order by
            case figure.finality_code when 'final' then 0 else 1 end,
            figure.published_on desc,
            case document.kind_code when 'press' then 1 else 0 end,
            document_code desc
    ) = 1
)

select
    concat_ws(':', document_code, window_code, period_code) as event_code,
    'VNM' as area_code,
    case window_code when 'cumulative' then 'M' else 'A' end as period_type_code,
    -- A cumulative figure is placed in its last month.
    case window_code when 'cumulative' then date_trunc('month', period_end_on)::date else period_start_on end
        as period_start_on,
    period_end_on,
    sex_code,
    destination_code,
    value as quantity,
    case finality_code when 'provisional' then 'P' end as status_code,
    case
        when precision_code <> 'exact' then 'rounded_source'
        when finality_code = 'provisional' then 'provisional_source'
    end as footnote_code,
    'labour' as source_code,
    receipt_id,
    is_practice
from published
