-- One published number of workers abroad at a date, from the document that is current for that date.
with published as (
    -- cardinality: one document per document_code
    select figure.*
    from core.labour_figure_current as figure
    join core.labour_document_current as document using (document_code)
    where figure.series_code = 'stock'
      and figure.confidence_code <> 'unverified'
      and figure.destination_code not like '%+%'
    qualify row_number() over (
        partition by figure.period_code, figure.destination_code, figure.sex_code
        order by figure.published_on desc, case document.kind_code when 'press' then 1 else 0 end, document_code desc
    ) = 1
)

select
    concat_ws(':', document_code, 'stock', period_code, destination_code, sex_code) as event_code,
    'VNM' as area_code,
    -- A stock stands at the last day of its period.
    period_end_on as period_start_on,
    period_end_on,
    sex_code,
    destination_code,
    value as quantity,
    case finality_code when 'provisional' then 'P' end as status_code,
    case when precision_code <> 'exact' then 'rounded_source' end as footnote_code,
    'labour' as source_code,
    receipt_id,
    is_practice
from published
