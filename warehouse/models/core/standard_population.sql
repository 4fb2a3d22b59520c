-- One row per age band of one standard population.
select
    standard_code, age_code, printed_percent,
    printed_percent / sum(printed_percent) over (partition by standard_code) as weight, confidence_code, citation,
    receipt_id
from staging.standard_population
