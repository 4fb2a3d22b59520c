"""Landed labour files -> frames of the staging tables, and how the core takes them.

Belongs here: naming of documents, frames in catalogue order, load modes. Does not belong here: reading (`read`), landing
(`fetch`), SQL.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from assets.labour.figures import Document, ReadResult
from assets.labour.periods import window_bounds
from assets.labour.read import read_landed
from assets.loading import Batch, Batches, TableLoad
from warehouse.landing import Landing, Receipt

LOADS = (
    TableLoad("core.labour_document", "delta"),
    TableLoad("core.labour_figure", "delta"),
    TableLoad("core.labour_contract", "delta"),
    TableLoad("core.labour_fault", "delta"),
)
"""Every load is a delta without deletions: a document that is no longer in the inbox was still published."""

IDENTITY = {
    "staging.labour_document": ("file_name",),
    "staging.labour_figure": ("series_code", "window_code", "period_code", "destination_code", "sex_code"),
    "staging.labour_contract": ("contract_token",),
}
"""What a record is about, whichever document says it: a corrected file replaces what was held of the first."""

_REJECTIONS = pl.List(pl.String)
DOCUMENT_SCHEMA: dict[str, Any] = {
    "document_code": pl.String, "title": pl.String, "agency_code": pl.String, "published_on": pl.Date,
    "source_url": pl.String, "kind_code": pl.String, "edition_code": pl.String, "is_practice": pl.Boolean,
    "published_on_basis_code": pl.String, "file_name": pl.String, "file_sha256": pl.String, "encoding_code": pl.String,
    "citation": pl.String,
    "receipt_id": pl.String, "pointer": pl.String, "rejections": _REJECTIONS,
}  # fmt: skip
FIGURE_SCHEMA: dict[str, Any] = {
    "series_code": pl.String, "window_code": pl.String, "period_code": pl.String, "destination_code": pl.String,
    "sex_code": pl.String, "document_code": pl.String, "published_on": pl.Date, "period_start_on": pl.Date,
    "period_end_on": pl.Date, "value": pl.Float64, "finality_code": pl.String, "precision_code": pl.String,
    "is_practice": pl.Boolean, "confidence_code": pl.String, "resolution": pl.Float64, "printed": pl.String,
    "destination_label": pl.String, "receipt_id": pl.String, "pointer": pl.String, "rejections": _REJECTIONS,
}  # fmt: skip
CONTRACT_SCHEMA: dict[str, Any] = {
    "contract_token": pl.String, "person_token": pl.String, "key_id": pl.String, "token_basis_code": pl.String,
    "enterprise_code": pl.String, "sex_code": pl.String, "birth_year": pl.Int32, "is_of_age_at_departure": pl.Boolean,
    "origin_area_code": pl.String, "destination_code": pl.String, "sector_code": pl.String,
    "contract_type_code": pl.String, "signed_on": pl.Date, "departed_on": pl.Date, "expected_end_on": pl.Date,
    "returned_on": pl.Date, "return_reason_code": pl.String, "wage_amount": pl.Float64, "wage_currency_code": pl.String,
    "fee_amount": pl.Float64, "fee_currency_code": pl.String, "has_orientation_certificate": pl.Boolean,
    "examined_on": pl.Date, "examination_result_code": pl.String, "document_code": pl.String, "published_on": pl.Date,
    "is_practice": pl.Boolean, "receipt_id": pl.String, "pointer": pl.String, "rejections": _REJECTIONS,
}  # fmt: skip
FAULT_SCHEMA: dict[str, Any] = {
    "document_code": pl.String, "fault_number": pl.Int32, "fault_code": pl.String, "severity_code": pl.String,
    "file_name": pl.String, "sheet_name": pl.String, "cell": pl.String, "found": pl.String, "expected": pl.String,
    "advice": pl.String, "receipt_id": pl.String, "pointer": pl.String, "rejections": _REJECTIONS,
}  # fmt: skip


def document_code(document: Document | None, result: ReadResult, sha256: str) -> str:
    """Name of one version of one document, the same for the same bytes wherever they were found."""
    if document is None:
        stem = re.sub(r"[^a-z0-9]+", "-", result.file.lower()).strip("-")[:40]
        return f"unread-{stem}-{sha256[:8]}"
    if document.kind_code == "register":
        return f"register-{document.published_on:%Y%m%d}-{sha256[:8]}"
    periods = sorted(
        figure.period_code
        for figure in result.figures
        if not figure.series_code.startswith("plan") and "_" not in figure.period_code
    ) or ["none"]
    return f"{document.kind_code}-{periods[-1]}-{document.published_on:%Y%m%d}-{sha256[:8]}"


def web_address(citation: str) -> str | None:
    """The first web address in a citation, or None: the name of a newspaper is no address, and none is made up from it."""
    found = re.search(r"https?://\S+", citation)
    return found.group(0).rstrip(".,;") if found else None


def stage_frames(receipts: Sequence[Receipt], landing: Landing) -> dict[str, pl.DataFrame]:
    """The staging frames of every landed labour file, in load order.

    *Rows* one document, figure or fault; `rejections` says why a row is to be quarantined. A file that cannot be read is one
    rejected document whose reasons are all its faults: nothing received disappears uncounted.
    """
    documents: list[dict[str, Any]] = []
    figures: list[dict[str, Any]] = []
    contracts: list[dict[str, Any]] = []
    faults: list[dict[str, Any]] = []
    for receipt in receipts:
        for path in landing.files(receipt):
            data = path.read_bytes()
            name = str(receipt.parameters.get("name") or path.name)
            sha256 = str(receipt.parameters.get("sha256") or hashlib.sha256(data).hexdigest())
            result = read_landed(data, path.name, name)
            _append(result, sha256, receipt, documents, figures, contracts, faults)
    return {
        "staging.labour_document": pl.DataFrame(documents, schema=DOCUMENT_SCHEMA, orient="row"),
        "staging.labour_figure": pl.DataFrame(figures, schema=FIGURE_SCHEMA, orient="row"),
        "staging.labour_contract": pl.DataFrame(contracts, schema=CONTRACT_SCHEMA, orient="row"),
        "staging.labour_fault": pl.DataFrame(faults, schema=FAULT_SCHEMA, orient="row"),
    }


def _append(
    result: ReadResult,
    sha256: str,
    receipt: Receipt,
    documents: list[dict[str, Any]],
    figures: list[dict[str, Any]],
    contracts: list[dict[str, Any]],
    faults: list[dict[str, Any]],
) -> None:
    document = result.document
    code = document_code(document, result, sha256)
    errors = [fault.message for fault in result.faults if fault.severity == "error"]
    documents.append(
        {
            "document_code": code,
            "title": document.title if document else None,
            "agency_code": document.agency_code if document else None,
            "published_on": document.published_on if document else None,
            "source_url": web_address(document.source_url) if document else None,
            "kind_code": document.kind_code if document else None,
            "edition_code": document.edition_code if document else None,
            "is_practice": document.is_practice if document else receipt.is_practice,
            "published_on_basis_code": document.published_on_basis_code if document else None,
            "file_name": result.file,
            "file_sha256": sha256,
            "encoding_code": result.encoding or None,
            "citation": (document.source_url or None) if document else None,
            "receipt_id": receipt.receipt_id,
            "pointer": result.file,
            "rejections": [] if document else errors or ["nothing in the file could be read"],
        }
    )
    for figure in result.figures:
        reasons = list(figure.rejections)
        start = end = None
        try:
            start, end = window_bounds(figure.window_code, figure.period_code)
        except (ValueError, KeyError):
            reasons.append(f"period {figure.period_code!r} does not fit window {figure.window_code!r}")
        if document is None:
            reasons.append("its document could not be identified")
        figures.append(
            {
                "series_code": figure.series_code,
                "window_code": figure.window_code,
                "period_code": figure.period_code,
                "destination_code": figure.destination_code,
                "sex_code": figure.sex_code,
                "document_code": code,
                "published_on": document.published_on if document else None,
                "period_start_on": start,
                "period_end_on": end,
                "value": figure.value,
                "finality_code": figure.finality_code,
                "precision_code": figure.precision_code,
                "is_practice": document.is_practice if document else receipt.is_practice,
                "confidence_code": figure.confidence_code,
                "resolution": figure.resolution,
                "printed": figure.printed or None,
                "destination_label": figure.destination_label or None,
                "receipt_id": receipt.receipt_id,
                "pointer": figure.pointer,
                "rejections": reasons,
            }
        )
    for contract in result.contracts:
        shared = {
            "document_code": code,
            "published_on": document.published_on if document else None,
            "is_practice": document.is_practice if document else receipt.is_practice,
            "receipt_id": receipt.receipt_id,
        }
        contracts.append({name: (contract | shared).get(name) for name in CONTRACT_SCHEMA})
    for number, fault in enumerate(result.faults, 1):
        faults.append(
            {
                "document_code": code,
                "fault_number": number,
                "fault_code": fault.code,
                "severity_code": fault.severity,
                "file_name": fault.file,
                "sheet_name": fault.sheet or None,
                "cell": fault.cell or None,
                "found": fault.found,
                "expected": fault.expected,
                "advice": fault.advice,
                "receipt_id": receipt.receipt_id,
                "pointer": f"{fault.sheet}!{fault.cell}" if fault.sheet else fault.cell,
                "rejections": [],
            }
        )


def batches(landing: Landing) -> Batches:
    """How `assets.loading.load_source` takes the pending receipts of this source: all in one batch."""

    def of_receipts(receipts: Sequence[Receipt]) -> Iterable[Batch]:
        yield Batch(tuple(receipts), {}, stage_frames(receipts, landing), LOADS, identity=IDENTITY)

    return of_receipts
