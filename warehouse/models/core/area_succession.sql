-- One row per province of the 63 with the one of the 34 that holds it.
select old_area_code, new_area_code, effective_on, kind_code, legal_basis, receipt_id
from staging.area_succession
