"""The page of an indicator: trend with interval, breakdowns, comparison of members, every figure, what was revised, sources."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from warehouse.publishing import wording
from warehouse.publishing.alternates import latest_totals
from warehouse.publishing.content import IndicatorCard
from warehouse.publishing.display import NOT_APPLICABLE, period_order, period_text, period_time, value_text
from warehouse.publishing.pages.charts import Point, Series, line_chart
from warehouse.publishing.pages.indicator_charts import breakdown_charts, member_chart
from warehouse.publishing.pages.page import Page, Site, is_part_of_a_year
from warehouse.publishing.pages.vintages import vintage_rows
from warehouse.publishing.tables import COVERED_BY_MARK, Letters, cell_marks, display_text

_ROWS_SHOWN = 300
"""Figures listed on an indicator page: keeps the largest page under 500 KB."""
_SERIES_SHOWN = 6
_YEAR = 4
"""Digits of the code of a year, which tell its type."""


def pages(site: Site) -> Iterator[Page]:
    """The list of indicators, and one page per indicator that has figures."""
    cards = [card for card in site.content.catalogue.indicators if site.rows_of(card.code)]
    listed = [{"code": card.code, "name": site.name_of(card)} for card in cards]
    say = site.say
    yield Page(
        "indicators.html", "indicators.html", say("indicators"), say("about"), {"cards": listed}, nav="indicators"
    )
    for card in cards:
        view = indicator_view(site, card)
        name = view["card"]["name"]
        yield Page(f"{card.code}.html", "indicator.html", f"{card.code} {name}", name, view)


def indicator_view(site: Site, card: IndicatorCard) -> dict[str, Any]:
    """One indicator for its template: definition, trend of the totals, figures, sources."""
    lang = site.language
    rows = sorted(
        site.rows_of(card.code),
        key=lambda r: (
            site.names.breakdown(r) != "",
            site.names.area_order(r["area_code"]),
            site.names.breakdown(r),
        ),
    )
    shown = sorted(rows, key=lambda r: period_order(r["period_code"]), reverse=True)
    is_cut = len(shown) > _ROWS_SHOWN
    used = site.sources[card.code]
    vi = lang == "vi"
    letters = Letters()
    return {
        "card": {
            "code": card.code,
            "name": site.name_of(card),
            "definition": card.definition_vi if vi else card.definition_en,
            "unit": card.unit_vi if vi else card.unit_en,
        },
        "has_practice": any(row["is_practice"] for row in rows),
        "chart": _trend(site, card, rows),
        "breakdowns": breakdown_charts(site, card, rows),
        "members": member_chart(site, card, rows),
        "vintages": vintage_rows(site, card),
        "is_cut": is_cut,
        "rows": [_figure_row(site, row, card, letters) for row in shown[:_ROWS_SHOWN]],
        "footnotes": [{"mark": mark, "text": vi_text if vi else en} for (en, vi_text), mark in letters.texts.items()],
        "facts": [
            ("numerator", card.numerator_vi if vi else card.numerator),
            ("denominator", card.denominator_vi if vi else card.denominator),
            ("method", card.method_vi if vi else card.method_en or card.method_code),
            ("definition_version", card.definition_version),
            ("official_codes", "; ".join(card.official_codes)),
            ("frameworks", "; ".join(card.frameworks)),
            ("definition_source", card.definition_source),
            ("caveats", "; ".join(card.caveats_vi if vi else card.caveats)),
        ],
        "tables": [
            {"code": table.code, "title": table.title.in_language(lang)}
            for table in site.content.catalogue.regional.tables
            if card.code in table.indicators
        ],
        "sources": [wording.source_line(site.content, code, lang) for code in used],
        "alternates": _alternates(site, card),
    }


def _alternates(site: Site, card: IndicatorCard) -> list[dict[str, str]]:
    """The latest totals on other populations, as finished texts."""
    if not card.alternates:
        return []
    return [
        {
            "area": site.names.area(row["area_code"]),
            "period": row["period_code"],
            "edition": row["edition"],
            "value": value_text(row["value"], card.decimals, site.language),
            # Zero on any population is zero: there is no difference in percent of it.
            "difference": NOT_APPLICABLE
            if row["difference_percent"] is None
            else value_text(row["difference_percent"], 1, site.language),
        }
        for row in latest_totals(site.alternates, card.code).iter_rows(named=True)
    ]


def _figure_row(site: Site, row: Mapping[str, Any], card: IndicatorCard, letters: Letters) -> dict[str, Any]:
    notes = [
        site.content.catalogue.regional.footnote(code)
        for code in row["footnote_codes"] or ()
        if code not in COVERED_BY_MARK
    ]
    footnotes = {letters.mark(note): note.in_language(site.language) for note in notes}
    return {
        "area": site.names.area(row["area_code"]),
        "breakdown": site.names.breakdown(row),
        "period": period_text(row["period_code"], site.language),
        "cell": site.cell(
            display_text(row, card.decimals, True, site.language), [*cell_marks(row, card), *footnotes], footnotes
        ),
    }


def _trend(site: Site, card: IndicatorCard, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Lines of the totals over years or the most frequent period type: Viet Nam, the region, then the areas with most figures.

    None when there are not two periods.
    """
    totals = [row for row in rows if site.names.is_total(row)]
    newest = max((row["definition_version"] for row in totals), default=None)
    totals = [row for row in totals if row["definition_version"] == newest]
    types = Counter(
        len(row["period_code"]) if row["period_code"].isdigit() else row["period_code"][4:5] for row in totals
    )
    if not types:
        return None
    # Years, unless another type has more than twice as many figures: a few scattered months are no trend.
    kind = max(types, key=lambda t: (types[t] * (2 if t == _YEAR else 1), str(t)))
    totals = [
        r for r in totals if (len(r["period_code"]) if r["period_code"].isdigit() else r["period_code"][4:5]) == kind
    ]
    with_figure = {row["period_code"] for row in totals if row["value"] is not None}
    periods = sorted(with_figure, key=period_order)[-24:]
    if len(periods) < 2:
        return None
    areas = Counter(row["area_code"] for row in totals if row["value"] is not None and row["period_code"] in periods)
    first = {"VNM": 0, "ASEAN": 1}
    chosen = sorted(areas, key=lambda a: (first.get(a, 2), -areas[a], site.names.area_order(a)))[:_SERIES_SHOWN]
    if not chosen:
        return None
    by_place = {(row["area_code"], row["period_code"]): row for row in totals}
    missing = {
        "value": None,
        "lower": None,
        "upper": None,
        "obs_status": "O",
        "obs_flags": ["O"],
        "conf_status": "F",
        "footnote_codes": [],
    }
    with_band = len(chosen) <= 2
    series = []
    for area in sorted(chosen, key=site.names.area_order):
        points = []
        for period in periods:
            row = by_place.get((area, period), missing)
            points.append(
                Point(
                    label=period_text(period, site.language),
                    at=period_time(period),
                    value=None if is_part_of_a_year(row) else row["value"],
                    text=display_text(row, card.decimals, False, site.language),
                    lower=row["lower"] if with_band else None,
                    upper=row["upper"] if with_band else None,
                    is_provisional="P" in (row["obs_flags"] or []),
                )
            )
        series.append(Series(site.names.area(area), tuple(points)))
    practice = any(row["is_practice"] for row in totals if row["area_code"] in chosen)
    svg = line_chart(tuple(series), site.name_of(card), site.language, f"trend-{card.code}")
    return {"svg": Markup(svg), "has_practice": practice}
