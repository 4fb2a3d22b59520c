-- Faults belong to a version of a file and never change after it was read.
select
    document_code,
    fault_number,
    fault_code,
    severity_code,
    file_name,
    sheet_name,
    cell,
    found,
    expected,
    advice,
    receipt_id,
    false as is_deleted
from staging.labour_fault
