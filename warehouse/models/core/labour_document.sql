-- Documents only ever arrive: an empty inbox deletes nothing, so no row is marked deleted.
select
    document_code,
    title,
    agency_code,
    published_on,
    source_url,
    kind_code,
    edition_code,
    is_practice,
    published_on_basis_code,
    file_name,
    file_sha256,
    encoding_code,
    citation,
    receipt_id,
    false as is_deleted
from staging.labour_document
