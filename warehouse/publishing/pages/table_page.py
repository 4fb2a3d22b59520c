"""The page of a regional table: the table with its notes, and its charts drawn from the same cells."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl
from markupsafe import Markup

from warehouse.catalogue.regional_catalogue import Chart, RegionalTable
from warehouse.publishing import wording
from warehouse.publishing.display import period_time
from warehouse.publishing.pages.charts import Point, Series, bar_chart, interval_chart, line_chart
from warehouse.publishing.pages.explanations import Explanations, anchor
from warehouse.publishing.pages.page import Page, Site, entries_of, is_part_of_a_year

_SERIES_SHOWN = 6


def pages(site: Site) -> Iterator[Page]:
    """One page per regional table, and one that explains its cells."""
    explained = Explanations(site.content, site.versions, site.language)
    for table in site.content.catalogue.regional.tables:
        view = table_view(site, table)
        yield Page(
            f"{table.code}.html", "table.html", f"{table.code} {view['title']}", view["summary"], {"table": view}
        )
        why = f"{site.say('why_title')} {table.code}"
        values = {"table": view, "sections": explained.of_table(table.code)}
        yield Page(f"{table.code}-why.html", "why.html", why, why, values)


def table_view(site: Site, table: RegionalTable) -> dict[str, Any]:
    """One regional table for its template."""
    lang = site.language
    part = site.content.regional.of_table(table.code)
    columns = list(part.columns.iter_rows(named=True))
    footnotes = {row["mark"]: row[f"text_{lang}"] for row in part.footnotes.iter_rows(named=True)}
    groups: list[dict[str, Any]] = []
    edges: set[str] = set()
    for column in columns:
        if not groups or groups[-1]["code"] != column["group_code"]:
            groups.append(
                {
                    "code": column["group_code"],
                    "label": column[f"group_label_{lang}"],
                    "unit": column[f"unit_{lang}"],
                    "columns": [],
                }
            )
            edges.add(column["column_code"])
        marks = site.marks(column["footnote_marks"].split(), footnotes)
        groups[-1]["columns"].append({"label": column[f"sub_label_{lang}"], "marks": marks})
    for group in groups:
        group["is_single"] = len(group["columns"]) == 1 and not group["columns"][0]["label"]
    entries = {entry.code: entry for entry in entries_of(site.content, table)}
    rows: dict[int, dict[str, Any]] = {}
    for cell in part.cells.iter_rows(named=True):
        entry = entries.get(cell["row_code"])
        row = rows.setdefault(
            cell["row_order"],
            {
                "label": cell[f"row_label_{lang}"],
                "css": " ".join(
                    [
                        *(["total"] if entry and entry.is_total else []),
                        *([f"indent{entry.indent}"] if entry and entry.indent else []),
                    ]
                ),
                "cells": [],
            },
        )
        row["cells"].append(
            replace(
                site.cell(
                    cell[f"display_{lang}"], cell["footnote_marks"].split(), footnotes, cell["column_code"] in edges
                ),
                why=f"{table.code}-why.html#{anchor(cell)}" if cell["indicator_code"] else "",
            )
        )
    return {
        "code": table.code,
        "title": table.title.in_language(lang),
        "summary": table.summary.in_language(lang),
        "scope": table.scope.in_language(lang),
        "units": table.units.in_language(lang),
        "heading": table.rows.heading.in_language(lang),
        "has_practice": bool(part.cells["is_practice"].any()),
        "charts": [chart_view(site, table, chart, f"{table.code}-{i}") for i, chart in enumerate(table.chart, start=1)],
        "groups": groups,
        "rows": [rows[order] for order in sorted(rows)],
        "footnotes": [{"mark": mark, "text": text} for mark, text in footnotes.items()],
        "notes": [note.in_language(lang) for note in table.notes],
        "sources": wording.sources_of(site.content, table.code, lang),
        "cards": [
            {"code": card.code, "name": site.name_of(card)}
            for code in table.indicators
            if (card := site.content.catalogue.card(code)) is not None and site.rows_of(code)
        ],
    }


def chart_view(site: Site, table: RegionalTable, chart: Chart, key: str) -> dict[str, Any]:
    """One chart of a table as SVG, drawn from the same cells as the table."""
    lang = site.language
    part = site.content.regional.of_table(table.code)
    columns = part.columns.filter(pl.col("group_code") == chart.column).sort("column_order")
    if columns.is_empty():
        return {"title": chart.title.in_language(lang), "subtitle": "", "svg": "", "has_practice": False}
    cells = part.cells.filter(pl.col("column_code").is_in(columns["column_code"].to_list()))
    if chart.rows:
        cells = cells.filter(pl.col("row_code").is_in(chart.rows))
    cells = cells.filter(~pl.col("row_code").is_in(chart.leave_out))
    title = chart.title.in_language(lang)
    last = columns.row(columns.height - 1, named=True)
    subtitle = last[f"unit_{lang}"]
    if chart.kind == "lines":
        labels = {c["column_code"]: c[f"sub_label_{lang}"] for c in columns.iter_rows(named=True)}
        order = list(dict.fromkeys(cells.sort("row_order")["row_code"].to_list()))
        order = [code for code in chart.rows if code in order] if chart.rows else order
        by_place = {(c["row_code"], c["column_code"]): c for c in cells.iter_rows(named=True)}
        series = tuple(
            Series(
                next(by_place[code, c][f"row_label_{lang}"] for c in labels),
                tuple(_point(site, by_place[code, c], label, {}) for c, label in labels.items()),
            )
            for code in order[:_SERIES_SHOWN]
        )
        svg = line_chart(series, title, lang, key) if series else ""
    else:
        entries = {entry.code: entry for entry in entries_of(site.content, table)}
        chosen = cells.filter(pl.col("column_code") == last["column_code"]).sort("row_order")
        points = [_point(site, c, c[f"row_label_{lang}"], entries) for c in chosen.iter_rows(named=True)]
        draw = interval_chart if chart.kind == "intervals" else bar_chart
        svg = draw(points, title, lang, key) if points else ""
        if last[f"sub_label_{lang}"]:
            subtitle = f"{subtitle} · {last[f'sub_label_{lang}']}" if subtitle else last[f"sub_label_{lang}"]
    return {
        "title": title,
        "subtitle": subtitle,
        "svg": Markup(svg),
        "has_practice": bool(cells["is_practice"].any()),
    }


def _point(site: Site, cell: Mapping[str, Any], label: str, entries: Mapping[str, Any]) -> Point:
    text = cell[f"display_{site.language}"]
    marks = [mark for mark in cell["footnote_marks"].split() if not mark.isupper()]
    entry = entries.get(cell["row_code"])
    return Point(
        label=label,
        value=None if is_part_of_a_year(cell) else cell["value"],
        text=" ".join([text, *marks]),
        lower=cell["lower"],
        upper=cell["upper"],
        at=period_time(cell["period_code"]),
        is_provisional="p" in marks,
        is_total=bool(entry and entry.is_total),
    )
