-- One row per contract: what the latest register says. A register that arrives late changes nothing that a newer one said.
with latest as (
    select *
    from staging.labour_contract
    qualify row_number() over (partition by contract_token order by published_on desc, document_code desc) = 1
)

select
    latest.contract_token,
    latest.person_token,
    latest.key_id,
    latest.token_basis_code,
    latest.enterprise_code,
    latest.sex_code,
    latest.birth_year,
    latest.is_of_age_at_departure,
    latest.origin_area_code,
    latest.destination_code,
    latest.sector_code,
    latest.contract_type_code,
    latest.signed_on,
    latest.departed_on,
    latest.expected_end_on,
    latest.returned_on,
    latest.return_reason_code,
    latest.wage_amount,
    latest.wage_currency_code,
    latest.fee_amount,
    latest.fee_currency_code,
    latest.has_orientation_certificate,
    latest.examined_on,
    latest.examination_result_code,
    latest.document_code,
    latest.published_on,
    latest.is_practice,
    latest.receipt_id,
    false as is_deleted
from latest
-- cardinality: at most one open row per contract
anti join core.labour_contract as known
  on known.contract_token = latest.contract_token
 and known.recorded_to = timestamp '9999-12-31'
 and (known.published_on, known.document_code) > (latest.published_on, latest.document_code)
