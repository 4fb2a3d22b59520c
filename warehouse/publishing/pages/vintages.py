"""The change table of an indicator page: figures that releases showed otherwise, and when."""

from typing import Any

from warehouse.publishing.content import KEY_COLUMNS, IndicatorCard
from warehouse.publishing.display import period_order, period_text
from warehouse.publishing.pages.page import Site
from warehouse.publishing.tables import display_text

_FIGURES_SHOWN = 20


def vintage_rows(site: Site, card: IndicatorCard) -> list[dict[str, Any]]:
    """One entry per figure of which releases showed more than one version, newest period first, each version with its span."""
    moved = site.moved.get(card.code)
    if moved is None:
        return []
    figures: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in moved.iter_rows(named=True):
        figures.setdefault(tuple(row[name] for name in KEY_COLUMNS), []).append(row)
    ordered = sorted(
        figures.values(),
        key=lambda versions: (not site.names.is_total(versions[0]), _newest_first(versions[0]["period_code"])),
    )
    return [_entry(site, card, versions) for versions in ordered[:_FIGURES_SHOWN]]


def _newest_first(period_code: str) -> tuple[int, int, str]:
    year, part, code = period_order(period_code)
    return -year, -part, code


def _entry(site: Site, card: IndicatorCard, versions: list[dict[str, Any]]) -> dict[str, Any]:
    first = versions[0]
    return {
        "area": site.names.area(first["area_code"]),
        "period": period_text(first["period_code"], site.language),
        "breakdown": site.names.breakdown(first),
        "versions": [
            {
                "since": f"{version['released_from']:%Y-%m-%d}",
                "text": display_text(version, card.decimals, False, site.language),
            }
            for version in versions
        ],
    }
