"""The page of claims: published statements beside the figures, those that the figures contradict first."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from warehouse.catalogue.table_catalogue import load_codelist
from warehouse.publishing.claims import VERDICT_ORDER, compared_text, computed_text, difference_text, statement_number
from warehouse.publishing.display import PRACTICE_MARK, period_text
from warehouse.publishing.pages.page import Page, Site

Row = Mapping[str, Any]


def pages(site: Site) -> Iterator[Page]:
    """The claims; no page for a release that was made without the ledger."""
    claims = site.content.context.claims
    if claims.is_empty():
        return
    verdicts = {code.code: code for code in load_codelist("claim_verdict")}
    groups = []
    for code in VERDICT_ORDER:
        rows = claims.filter(pl.col("verdict_code") == code).sort("claim_order")
        if rows.height:
            name = verdicts[code].name_vi if site.language == "vi" else verdicts[code].name_en
            groups.append({"code": code, "name": name, "rows": [_row(site, row) for row in rows.iter_rows(named=True)]})
    values = {"groups": groups, "has_practice": bool(claims["is_practice"].any())}
    yield Page("claims.html", "claims.html", site.say("claims"), site.say("claims_about"), values, nav="claims")


def _row(site: Site, row: Row) -> dict[str, Any]:
    lang = site.language
    value = row["compared_value"]
    return {
        "anchor": row["claim_code"],
        "statement": row[f"statement_{lang}"],
        "rows": ", ".join(row["checklist_rows"]),
        "stated": statement_number(row, lang),
        "period": period_text(row["period_code"], lang),
        "computed": computed_text(row, lang).removesuffix(f" {PRACTICE_MARK}"),
        "computed_period": "" if value is None else period_text(row["compared_period_code"] or "", lang),
        "mark": PRACTICE_MARK if row["is_practice"] else "",
        "difference": difference_text(row, lang),
        "with": compared_text(row, lang),
        "reason": row[f"reason_{lang}"] or "",
        "source": ", ".join(part for part in (row["citation"], row["edition"], row["stated_in"]) if part),
    }
