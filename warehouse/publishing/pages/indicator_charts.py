"""Charts of an indicator page besides the trend: breakdowns of the newest figures, and the members side by side."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from warehouse.publishing.content import IndicatorCard
from warehouse.publishing.display import period_order, period_text
from warehouse.publishing.pages.charts import Point, bar_chart, interval_chart
from warehouse.publishing.pages.page import Site
from warehouse.publishing.tables import display_text, status_marks

_BREAKDOWNS = ("sex_code", "age_code", "migrant_status_code", "origin_code", "destination_code", "category_code")
_TOTALS = ("_T", "_Z", None)
_BARS = 16
"""Bars of one chart: more of them are a table, and the table stands below."""
_CHARTS = 3

Row = Mapping[str, Any]


def member_chart(site: Site, card: IndicatorCard, rows: Sequence[Row]) -> dict[str, Any] | None:
    """The newest total of each member and of the region, in ASEAN order; None when fewer than three have one."""
    totals = [row for row in _newest_definition(rows) if site.names.is_total(row) and _is_country(row)]
    newest: dict[str, Row] = {}
    for row in sorted(totals, key=lambda row: period_order(row["period_code"])):
        if row["value"] is not None or row["obs_status"] == "Q":
            newest[row["area_code"]] = row
    chosen = sorted(newest.values(), key=lambda row: site.names.area_order(row["area_code"]))
    if sum(row["value"] is not None for row in chosen) < 3:
        return None
    latest = max((row["period_code"] for row in chosen), key=period_order)
    points = [
        _point(
            site, card, row, site.names.area(row["area_code"])
            + ("" if row["period_code"] == latest else f", {period_text(row['period_code'], site.language)}"),
            is_total=row["area_code"] == "ASEAN",
        )
        for row in chosen[: _BARS - 4]
    ]  # fmt: skip
    return _chart(
        site, card, points, site.say("members_compared"), period_text(latest, site.language), chosen, "members"
    )


def breakdown_charts(site: Site, card: IndicatorCard, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One chart per attribute by which the newest figures of the best covered area are broken down, at most three."""
    rows = _newest_definition(rows)
    charts = []
    for column in _BREAKDOWNS:
        parts = [row for row in rows if row[column] not in _TOTALS and _only(row, column)]
        # Hidden parts keep their place beside shown ones; where all are hidden there is nothing to draw.
        places = Counter((row["area_code"], row["period_code"]) for row in parts if row["value"] is not None)
        if not places:
            continue
        first = {"VNM": 2, "ASEAN": 1}
        area, period = max(
            places, key=lambda at: (places[at] > 1, first.get(at[0], 0), period_order(at[1]), places[at], at[0])
        )
        chosen = [row for row in parts if (row["area_code"], row["period_code"]) == (area, period)]
        if len(chosen) < 2:
            continue
        chosen.sort(
            key=lambda row: (-(row["value"] or 0), str(row[column])) if column in _BREAKDOWNS[3:] else (0, row[column])
        )
        points = [_point(site, card, row, site.names.breakdown(row)) for row in chosen[:_BARS]]
        where = f"{site.names.area(area)}, {period_text(period, site.language)}"
        charts.append(_chart(site, card, points, site.say(f"by_{column.removesuffix('_code')}"), where, chosen, column))
    return charts[:_CHARTS]


def _only(row: Row, column: str) -> bool:
    """True when the row is broken down by nothing but this attribute (migrant definitions apart)."""
    return all(row[other] in _TOTALS for other in _BREAKDOWNS if other != column)


def _is_country(row: Row) -> bool:
    return "-" not in row["area_code"]


def _newest_definition(rows: Iterable[Row]) -> list[Row]:
    found = list(rows)
    newest = max((row["definition_version"] for row in found), default=None)
    return [row for row in found if row["definition_version"] == newest]


def _point(site: Site, card: IndicatorCard, row: Row, label: str, *, is_total: bool = False) -> Point:
    text = display_text(row, card.decimals, False, site.language)
    return Point(
        label=label,
        value=row["value"],
        text=" ".join([text, *status_marks(row, card)]),
        lower=row["lower"],
        upper=row["upper"],
        is_provisional="P" in (row["obs_flags"] or []),
        is_total=is_total,
    )


def _chart(
    site: Site, card: IndicatorCard, points: Sequence[Point], title: str, where: str, rows: Iterable[Row], key: str
) -> dict[str, Any]:
    draw = interval_chart if any(point.lower is not None for point in points) else bar_chart
    return {
        "title": title,
        "subtitle": f"{where} · {card.unit_vi if site.language == 'vi' else card.unit_en}",
        "svg": Markup(draw(points, f"{site.name_of(card)}: {title}", site.language, f"{card.code}-{key}")),
        "has_practice": any(row["is_practice"] for row in rows),
    }
