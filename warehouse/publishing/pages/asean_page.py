"""The overview of the region: for each indicator that most members have, the members side by side now and over the years."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from warehouse.publishing.content import IndicatorCard
from warehouse.publishing.display import MISSING, period_order, period_text, period_time, period_type
from warehouse.publishing.pages.charts import Point
from warehouse.publishing.pages.member_tiles import TILES, panel, tile_grid
from warehouse.publishing.pages.page import Page, Site, is_part_of_a_year
from warehouse.publishing.tables import cell_marks, display_text

LEAST_MEMBERS = 6
"""Members with a figure that an indicator needs to stand here: more than half of the eleven."""

Row = Mapping[str, Any]


def pages(site: Site) -> Iterator[Page]:
    """The overview; no page where no indicator covers most members."""
    sections = [
        section for card in site.content.catalogue.indicators if (section := member_section(site, card)) is not None
    ]
    if sections:
        values = {"sections": sections, "has_practice": any(section["has_practice"] for section in sections)}
        yield Page("asean.html", "asean.html", site.say("asean"), site.say("asean_about"), values, nav="asean")


def has_members(site: Site) -> bool:
    """Whether there is an overview to link to."""
    return any(member_section(site, card) is not None for card in site.content.catalogue.indicators)


def member_section(site: Site, card: IndicatorCard) -> dict[str, Any] | None:
    """One indicator: tiles and table of each member's newest year, and a panel per member; None where too few have it."""
    years = _years_by_member(site, card)
    if sum(any(row["value"] is not None for row in rows) for rows in years.values()) < LEAST_MEMBERS:
        return None
    members = sorted(TILES, key=site.names.area_order)
    newest = {member: _newest(years[member]) for member in members}
    name, lang = site.name_of(card), site.language
    tiles = {
        member: Point(site.names.area(member), row["value"], _told(site, card, row))
        if (row := newest[member])
        else Point(site.names.area(member), None, MISSING)
        for member in members
    }
    grid = tile_grid(tiles, name, f"tiles-{card.code}", (site.say("lower_end"), site.say("higher_end")))
    return {
        "code": card.code,
        "name": name,
        "unit": card.unit_vi if lang == "vi" else card.unit_en,
        "tiles": Markup(grid),
        "rows": [_table_row(site, card, member, newest[member]) for member in members],
        "panels": _panels(site, card, members, years),
        "has_practice": any(row["is_practice"] for rows in years.values() for row in rows),
    }


def _years_by_member(site: Site, card: IndicatorCard) -> dict[str, list[Row]]:
    """The yearly totals of each member in time order, newest definition, hidden ones included."""
    rows = [
        row
        for row in site.rows_of(card.code)
        if row["area_code"] in TILES and site.names.is_total(row) and period_type(row["period_code"]) == "year"
    ]
    definition = max((row["definition_version"] for row in rows), default=None)
    basis = _commonest([(row["migrant_status_code"], row["migrant_basis_code"]) for row in rows])
    years: dict[str, list[Row]] = {member: [] for member in TILES}
    for row in sorted(rows, key=lambda row: period_order(row["period_code"])):
        is_meant = (row["migrant_status_code"], row["migrant_basis_code"]) == basis
        if row["definition_version"] == definition and is_meant and not is_part_of_a_year(row):
            years[row["area_code"]].append(row)
    return years


def _commonest(found: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """The definition of migrants that most figures have, so that members are not compared across definitions."""
    return max(sorted(set(found)), key=found.count, default=None)


def _newest(rows: Sequence[Row]) -> Row | None:
    """The newest year with a figure or a hidden one; else the newest, which says why there is none."""
    told = [row for row in rows if row["value"] is not None or row["obs_status"] == "Q"]
    found = told or rows
    return found[-1] if found else None


def _told(site: Site, card: IndicatorCard, row: Row) -> str:
    return display_text(row, card.decimals, False, site.language)


def _table_row(site: Site, card: IndicatorCard, member: str, row: Row | None) -> dict[str, Any]:
    name = {"code": member, "area": site.names.area(member)}
    if row is None:
        return {**name, "period": "", "cell": site.cell(MISSING, (), {})}
    cell = site.cell(display_text(row, card.decimals, True, site.language), cell_marks(row, card), {})
    return {**name, "period": period_text(row["period_code"], site.language), "cell": cell}


def _panels(
    site: Site, card: IndicatorCard, members: Sequence[str], years: Mapping[str, Sequence[Row]]
) -> list[dict[str, Any]]:
    """A panel per member on shared axes; none where no member has two years."""
    shown = [row for rows in years.values() for row in rows if row["value"] is not None]
    times = [time for row in shown if (time := period_time(row["period_code"])) is not None]
    if not any(sum(row["value"] is not None for row in rows) > 1 for rows in years.values()) or not times:
        return []
    top = max(max(row["value"], row["upper"] or 0) for row in shown)
    return [
        {
            "area": site.names.area(member),
            "svg": Markup(
                panel(
                    [_point(site, card, row) for row in years[member]] or [Point("", None, MISSING)],
                    (min(times), max(times)),
                    top,
                    f"{site.name_of(card)}: {site.names.area(member)}",
                    site.language,
                    f"panel-{card.code}-{member}",
                )
            ),
        }
        for member in members
    ]


def _point(site: Site, card: IndicatorCard, row: Row) -> Point:
    return Point(
        label=period_text(row["period_code"], site.language),
        at=period_time(row["period_code"]),
        value=row["value"],
        text=_told(site, card, row),
        lower=row["lower"],
        upper=row["upper"],
        is_provisional="P" in (row["obs_flags"] or []),
    )
