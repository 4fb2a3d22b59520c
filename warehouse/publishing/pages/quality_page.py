"""The page of quality: the review's scores by domain with their trend, the quality indicators, and per indicator what is shown,
hidden and missing and how old it is."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from warehouse.catalogue.table_catalogue import load_codelist
from warehouse.publishing.content import IndicatorCard
from warehouse.publishing.display import period_order, period_text, value_text
from warehouse.publishing.pages.charts import Point, Series, line_chart
from warehouse.publishing.pages.page import Page, Site
from warehouse.publishing.tables import cell_marks, display_text

ALL = "_T"
DOMAINS = ("completeness", "timeliness", "internal", "external", "denominator")
"""Domains of the WHO data quality review, in its order."""
BY_MONTH = ("completeness", "timeliness")
_QUALITY = "DQ"
"""Indicators whose code begins so measure the reporting, not health."""


def pages(site: Site) -> Iterator[Page]:
    """The state of the figures."""
    cards = [card for card in site.content.catalogue.indicators if site.rows_of(card.code)]
    values = {
        "scores": _scores(site),
        "trends": [*_months(site), *_reviews(site)],
        "rows": [_indicator_row(site, card) for card in cards],
        "reporting": [_reporting(site, card) for card in cards if card.code.startswith(_QUALITY)],
        "protection": _protection(site),
        "counts": site.counts(),
        "problems": list(site.content.regional.problems) if site.language == "en" else [],
    }
    yield Page("quality.html", "quality.html", site.say("quality"), site.say("quality_about"), values, nav="quality")


def _scores(site: Site) -> list[dict[str, Any]]:
    """The newest score of each domain, measure and country, in the order of the review's domains."""
    whole = _newest(site).filter(pl.col("period_code") == ALL)
    order = {code: place for place, code in enumerate(DOMAINS)}
    rows = sorted(
        whole.iter_rows(named=True),
        key=lambda row: (
            order.get(row["dimension_code"], len(order)),
            row["measure_code"],
            _place(site, row["area_code"]),
        ),
    )
    return [
        {
            "domain": site.say(f"domain_{row['dimension_code']}"),
            "measure": site.say(f"measure_{row['measure_code']}"),
            "area": _where(site, row["area_code"]),
            "share": _percent(site, row),
            "looked_at": value_text(row["looked_at"], 0, site.language),
            "is_practice": row["is_practice"],
        }
        for row in rows
        if row["looked_at"]
    ]


def _months(site: Site) -> Iterator[dict[str, Any]]:
    """Reports received and in time, month by month, one line per country."""
    months = _newest(site).filter(pl.col("period_code") != ALL, pl.col("looked_at") > 0)
    for measure in ("reports_received", "reports_in_time"):
        lines: dict[str, list[Point]] = defaultdict(list)
        chosen = months.filter(pl.col("measure_code") == measure).sort("area_code", "period_code")
        for row in chosen.iter_rows(named=True):
            code = row["period_code"]
            at = int(code[:4]) + (int(code[4:]) - 1) / 12
            lines[row["area_code"]].append(_point(site, row, period_text(code, site.language), at))
        yield from _trend(site, measure, lines, chosen)


def _reviews(site: Site) -> Iterator[dict[str, Any]]:
    """Scores that belong to no month, review by review, one line per country or kind of comparison."""
    whole = site.content.context.quality.filter(
        pl.col("period_code") == ALL, pl.col("looked_at") > 0, ~pl.col("dimension_code").is_in(BY_MONTH)
    ).sort("reviewed_at")
    for domain in (domain for domain in DOMAINS if domain not in BY_MONTH):
        chosen = whole.filter(pl.col("dimension_code") == domain)
        lines: dict[str, list[Point]] = defaultdict(list)
        for row in chosen.iter_rows(named=True):
            day = row["reviewed_at"]
            name = row["area_code"] if row["area_code"] != ALL else row["measure_code"]
            at = day.year + (day.timetuple().tm_yday - 1) / 366
            lines[name].append(_point(site, row, f"{day:%d/%m/%Y}" if site.language == "vi" else f"{day:%Y-%m-%d}", at))
        yield from _trend(site, f"domain_{domain}", lines, chosen)


def _trend(site: Site, key: str, lines: Mapping[str, Sequence[Point]], rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """One chart, where a line has two points; a single review has no trend."""
    if max(map(len, lines.values()), default=0) < 2:
        return
    title = site.say(key if key.startswith("domain_") else f"measure_{key}")
    series = [Series(_line_name(site, name), tuple(points)) for name, points in lines.items()]
    yield {
        "title": title,
        "svg": Markup(line_chart(series, title, site.language, f"quality-{key.replace('_', '-')}")),
        "has_practice": bool(rows["is_practice"].any()),
    }


def _line_name(site: Site, name: str) -> str:
    """A country by its name, a kind of comparison by its short name: the long one stands in the table."""
    if name.isupper():
        return site.names.area(name)
    code = next(code for code in load_codelist("quality_measure") if code.code == name)
    return code.name_vi if site.language == "vi" else code.name_en


def _point(site: Site, row: Mapping[str, Any], label: str, at: float) -> Point:
    return Point(label, 100 * row["good"] / row["looked_at"], _percent(site, row), at=at)


def _percent(site: Site, row: Mapping[str, Any]) -> str:
    return f"{value_text(100 * row['good'] / row['looked_at'], 1, site.language)} %"


def _newest(site: Site) -> pl.DataFrame:
    quality = site.content.context.quality
    return quality.filter(pl.col("reviewed_at") == pl.col("reviewed_at").max())


def _where(site: Site, area_code: str) -> str:
    return site.say("between_sources") if area_code == ALL else site.names.area(area_code)


def _place(site: Site, area_code: str) -> Any:
    return site.names.area_order(area_code)


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
