"""The page of quality: per indicator what is shown, hidden and missing and how old it is; and the quality indicators themselves."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from warehouse.publishing.content import IndicatorCard
from warehouse.publishing.display import period_order, period_text, value_text
from warehouse.publishing.pages.page import Page, Site
from warehouse.publishing.tables import cell_marks, display_text

_QUALITY = "DQ"
"""Indicators whose code begins so measure the reporting, not health."""


def pages(site: Site) -> Iterator[Page]:
    """The state of the figures."""
    cards = [card for card in site.content.catalogue.indicators if site.rows_of(card.code)]
    values = {
        "rows": [_indicator_row(site, card) for card in cards],
        "reporting": [_reporting(site, card) for card in cards if card.code.startswith(_QUALITY)],
        "protection": _protection(site),
        "counts": site.counts(),
        "problems": list(site.content.regional.problems) if site.language == "en" else [],
    }
    yield Page("quality.html", "quality.html", site.say("quality"), site.say("quality_about"), values, nav="quality")


def _indicator_row(site: Site, card: IndicatorCard) -> dict[str, Any]:
    rows = site.rows_of(card.code)
    states = Counter(_state(row) for row in rows)
    shown = [row["period_code"] for row in rows if row["value"] is not None]
    coverage = [
        row["coverage_share"] for row in rows if row["coverage_share"] is not None and row["area_code"] == "ASEAN"
    ]
    return {
        "code": card.code,
        "name": site.name_of(card),
        "shown": states["shown"],
        "hidden": states["hidden"],
        "missing": states["missing"],
        "latest": period_text(max(shown, key=period_order), site.language) if shown else "",
        "coverage": f"{value_text(100 * min(coverage), 0, site.language)} %" if coverage else "",
        "breaks": sum("B" in (row["obs_flags"] or []) for row in rows),
        "has_practice": any(row["is_practice"] for row in rows),
    }


def _state(row: Mapping[str, Any]) -> str:
    if row["obs_status"] == "Q":
        return "hidden"
    return "missing" if row["value"] is None else "shown"


def _reporting(site: Site, card: IndicatorCard) -> dict[str, Any]:
    """The newest national figures of a quality indicator."""
    totals = [row for row in site.rows_of(card.code) if "-" not in row["area_code"]]
    newest = max((row["period_code"] for row in totals if row["value"] is not None), key=period_order, default=None)
    chosen = sorted(
        (row for row in totals if row["period_code"] == newest),
        key=lambda row: (site.names.area_order(row["area_code"]), site.names.breakdown(row)),
    )
    return {
        "code": card.code,
        "name": site.name_of(card),
        "period": period_text(newest, site.language) if newest else "",
        "figures": [
            {
                "area": site.names.area(row["area_code"]),
                "breakdown": site.names.breakdown(row),
                "cell": site.cell(display_text(row, card.decimals, True, site.language), cell_marks(row, card), {}),
            }
            for row in chosen
        ],
    }


def _protection(site: Site) -> Sequence[tuple[str, int]]:
    """How many counts are hidden, and how wide the narrowest interval of a small one is, in multiples of what the policy asks."""
    audit = site.content.audit
    if audit.is_empty() or "required_width" not in audit.columns:
        return ()
    demanded = audit.filter(pl.col("required_width") > 0)
    failing = demanded.filter(pl.col("width") < pl.col("required_width")).height
    return (
        ("audit_counts", audit.height),
        ("audit_demanded", demanded.height),
        ("audit_failing", failing),
    )
