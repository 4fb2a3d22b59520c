"""The page of referral corridors: who referred how many patients where, how many arrived, and how long it took."""

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from warehouse.publishing.display import period_order, period_text
from warehouse.publishing.pages.flow_chart import Flow, flow_chart
from warehouse.publishing.pages.page import Page, Site
from warehouse.publishing.tables import cell_marks, display_text

SENT = "TB10"
MEASURES = (SENT, "TB11", "TB12", "TB13")
"""Referrals initiated, the share that was completed, days to arrival, the share with an outcome."""
_OTHERS = ("sex_code", "age_code", "category_code")

Row = Mapping[str, Any]


def pages(site: Site) -> Iterator[Page]:
    """The corridors; no page where no referral is released."""
    corridors = [corridor_view(site, *corridor) for corridor in _corridors(site)]
    if corridors:
        values = {
            "corridors": corridors,
            "has_practice": any(corridor["has_practice"] for corridor in corridors),
            "cards": [
                {"code": card.code, "name": site.name_of(card)}
                for code in MEASURES
                if (card := site.content.catalogue.card(code)) is not None and site.rows_of(code)
            ],
        }
        yield Page(
            "corridors.html", "corridors.html", site.say("corridors"), site.say("corridors_about"), values, "corridors"
        )


def _corridor_rows(site: Site, code: str) -> list[Row]:
    """Figures of one pair of countries, not broken down further; by the country that refers and its provinces."""
    return [
        row
        for row in site.rows_of(code)
        if row["origin_code"] not in ("_T", "_Z")
        and row["destination_code"] not in ("_T", "_Z")
        and all(row[name] in ("_T", "_Z") for name in _OTHERS)
    ]


def _corridors(site: Site) -> list[tuple[str, str]]:
    return sorted({(row["origin_code"], row["destination_code"]) for row in _corridor_rows(site, SENT)})


def corridor_view(site: Site, origin: str, destination: str) -> dict[str, Any]:
    """One corridor: its newest complete year as flows from province to country, and its years as a table."""
    rows = [
        row
        for row in _corridor_rows(site, SENT)
        if (row["origin_code"], row["destination_code"]) == (origin, destination)
    ]
    name = f"{site.names.area(origin)} → {site.names.area(destination)}"
    periods = sorted({row["period_code"] for row in rows}, key=period_order)
    chosen = _newest_complete(rows, periods)
    card = site.content.catalogue.card(SENT)
    assert card is not None
    of_period = [row for row in rows if row["period_code"] == chosen]
    places = [row for row in of_period if row["area_code"] != origin] or of_period
    places.sort(key=lambda row: (row["value"] is None, -(row["value"] or 0), row["area_code"]))
    flows = [
        Flow(
            site.names.area(row["area_code"]),
            site.names.area(destination),
            row["value"],
            display_text(row, card.decimals, False, site.language),
        )
        for row in places
    ]
    title = f"{name}, {period_text(chosen, site.language)}"
    return {
        "name": name,
        "subtitle": f"{site.name_of(card)}, {period_text(chosen, site.language)}",
        "svg": Markup(flow_chart(flows, f"{site.name_of(card)}: {title}", f"flow-{origin}-{destination}")),
        "has_practice": any(row["is_practice"] for row in rows),
        "heads": [
            site.content.catalogue.card(code) and code for code in MEASURES if _measure(site, code, origin, destination)
        ],
        "rows": [_year(site, origin, destination, period) for period in reversed(periods)],
    }


def _newest_complete(rows: list[Row], periods: list[str]) -> str:
    """The newest period that is over; the newest of all where none is."""
    open_ones = {row["period_code"] for row in rows if "P" in (row["obs_flags"] or [])}
    return next((period for period in reversed(periods) if period not in open_ones), periods[-1])


def _measure(site: Site, code: str, origin: str, destination: str) -> list[Row]:
    return [
        row
        for row in _corridor_rows(site, code)
        if (row["origin_code"], row["destination_code"]) == (origin, destination) and "-" not in row["area_code"]
    ]


def _year(site: Site, origin: str, destination: str, period: str) -> dict[str, Any]:
    cells = []
    for code in MEASURES:
        rows = _measure(site, code, origin, destination)
        card = site.content.catalogue.card(code)
        if not rows or card is None:
            continue
        row = next((row for row in rows if row["period_code"] == period), None)
        if row is None:
            cells.append(site.cell("..", (), {}))
        else:
            text = display_text(row, card.decimals, True, site.language)
            cells.append(site.cell(text, cell_marks(row, card), {}))
    return {"period": period_text(period, site.language), "cells": cells}
