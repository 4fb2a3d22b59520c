"""The first page: a card per regional table, the members of ASEAN as tile grids, downloads."""

from collections.abc import Iterator
from typing import Any

import polars as pl
from markupsafe import Markup

from warehouse.catalogue.regional_catalogue import RegionalTable
from warehouse.publishing.pages.asean_page import has_members
from warehouse.publishing.pages.charts import Point
from warehouse.publishing.pages.member_tiles import tile_grid
from warehouse.publishing.pages.page import Page, Site, entries_of


def pages(site: Site) -> Iterator[Page]:
    """The overview."""
    values = {"cards": table_cards(site), "tiles": tiles(site), "has_asean": has_members(site)}
    yield Page("index.html", "home.html", site.say("home"), site.say("about"), values, nav="home")


def table_cards(site: Site) -> list[dict[str, Any]]:
    """One card per table with its headline figure: the total row, else Viet Nam's, else the first row that has one."""
    return [_table_card(site, table) for table in site.content.catalogue.regional.tables]


def _table_card(site: Site, table: RegionalTable) -> dict[str, Any]:
    lang = site.language
    part = site.content.regional.of_table(table.code)
    totals = [entry.code for entry in entries_of(site.content, table) if entry.is_total]
    columns = part.columns.filter(pl.col("group_code") == table.chart[0].column)["column_code"].to_list()
    cells = part.cells.filter(pl.col("value").is_not_null() & pl.col("column_code").is_in(columns)).sort(
        [
            ~pl.col("row_code").is_in(totals),
            pl.col("row_code") != "VNM",
            -pl.col("column_order"),
            pl.col("row_order"),
        ]
    )
    card: dict[str, Any] = {
        "code": table.code,
        "title": table.title.in_language(lang),
        "summary": table.summary.in_language(lang),
        "figure": None,
        "what": "",
    }
    if cells.height:
        cell = cells.row(0, named=True)
        footnotes = {r["mark"]: r[f"text_{lang}"] for r in part.footnotes.iter_rows(named=True)}
        unit = part.columns.filter(pl.col("column_code") == cell["column_code"])[f"unit_{lang}"][0]
        card["figure"] = site.cell(
            cell[f"display_{lang}"].split(" ")[0],
            [m for m in cell["footnote_marks"].split() if not m.isupper()],
            footnotes,
        )
        card["what"] = f"{cell[f'column_label_{lang}']} · {cell[f'row_label_{lang}']}" + (f" · {unit}" if unit else "")
    return card


def tiles(site: Site) -> list[dict[str, Any]]:
    """One tile grid per column of the tables whose rows are the members of ASEAN, at most six."""
    lang = site.language
    ends = (site.say("lower_end"), site.say("higher_end"))
    tiles = []
    seen: set[str] = set()
    for table in site.content.catalogue.regional.tables:
        if table.rows.frame != "asean":
            continue
        part = site.content.regional.of_table(table.code)
        for column in part.columns.iter_rows(named=True):
            cells = part.cells.filter(pl.col("column_code") == column["column_code"])
            if column["indicator_code"] in seen or cells.filter(pl.col("value").is_not_null()).height < 3:
                continue
            seen.add(column["indicator_code"])
            title = f"{column[f'group_label_{lang}']}, {column[f'sub_label_{lang}']}".rstrip(", ")
            points = {
                c["row_code"]: Point(c[f"row_label_{lang}"], c["value"], c[f"display_{lang}"].split(" ")[0])
                for c in cells.iter_rows(named=True)
            }
            tiles.append(
                {
                    "table": table.code,
                    "title": title,
                    "unit": column[f"unit_{lang}"],
                    "has_practice": bool(cells["is_practice"].any()),
                    "svg": Markup(tile_grid(points, title, f"tile-{table.code}-{column['column_order']}", ends)),
                }
            )
    return tiles[:6]
