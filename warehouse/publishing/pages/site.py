"""The static site of a release: one folder per language, each page whole in itself, no request to anywhere.

Belongs here: putting finished cells, charts and words into templates. Does not belong here: drawing (`charts`), words
(`wording`), choosing or rounding figures (`tables`, `display`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from warehouse.catalogue.regional_catalogue import Chart, RegionalTable
from warehouse.change_log import CELL_KEY
from warehouse.publishing import wording
from warehouse.publishing.alternates import alternate_frame, latest_totals
from warehouse.publishing.change_log import cause_counts, cause_words
from warehouse.publishing.content import KEY_COLUMNS, IndicatorCard, ReleaseContent
from warehouse.publishing.display import NOT_APPLICABLE, period_order, period_text, period_time, value_text
from warehouse.publishing.names import Names
from warehouse.publishing.pages.charts import Point, Series, bar_chart, interval_chart, line_chart, tile_grid
from warehouse.publishing.pages.explanations import Explanations, anchor
from warehouse.publishing.tables import COVERED_BY_MARK, Letters, cell_marks, display_text

LANGUAGES = ("en", "vi")
_TEMPLATES = Path(__file__).parent / "templates"
_ROWS_SHOWN = 300
"""Figures listed on an indicator page: keeps the largest page under 500 KB."""
_CHANGES_SHOWN = 250
_SERIES_SHOWN = 6


@dataclass(frozen=True)
class Mark:
    """One mark beside a figure and its meaning in words."""

    text: str
    meaning: str
    is_letter: bool


@dataclass(frozen=True)
class ShownCell:
    """One cell as the templates need it: number and interval apart, marks with their meaning, symbol in words."""

    number: str
    interval: str
    symbol_meaning: str
    marks: tuple[Mark, ...]
    is_edge: bool = False
    why: str = ""
    """Where the cell is explained; empty for a cell that stands for no figure."""


def write_pages(content: ReleaseContent, observation_versions: pl.DataFrame, folder: Path) -> None:
    """`folder` holds index.html, en/ and vi/ with the overview, a page per table and per indicator, changes and notes."""
    environment = _environment()
    css, js = (Markup((_TEMPLATES / name).read_text(encoding="utf-8")) for name in ("style.css", "site.js"))
    door = environment.get_template("door.html")
    _write(
        folder / "index.html",
        door.render(css=css, content=content, text=wording.text, tables=content.catalogue.regional.tables),
    )
    changes = list_changes(content, observation_versions)
    for language in LANGUAGES:
        (folder / language).mkdir()
        site = _Site(content, language)

        def page(template: str, name: str, title: str, description: str, site: "_Site" = site, **more: Any) -> None:
            text = environment.get_template(template).render(
                css=css,
                js=js,
                content=content,
                language=site.language,
                other="en" if site.language == "vi" else "vi",
                page=name,
                title=title,
                description=description,
                released_on=site.released_on,
                say=site.say,
                symbols=site.symbols,
                **more,
            )
            _write(folder / site.language / name, text)

        say = site.say
        explained = Explanations(content, observation_versions, language)
        page("home.html", "index.html", say("home"), say("about"), cards=site.table_cards(), tiles=site.tiles())
        for table in content.catalogue.regional.tables:
            view = site.table_view(table)
            page("table.html", f"{table.code}.html", f"{table.code} {view['title']}", view["summary"], table=view)
            why = f"{say('why_title')} {table.code}"
            page("why.html", f"{table.code}-why.html", why, why, table=view, sections=explained.of_table(table.code))
        cards = [card for card in content.catalogue.indicators if site.rows_of(card.code)]
        listed = [{"code": card.code, "name": site.name_of(card)} for card in cards]
        page("indicators.html", "indicators.html", say("indicators"), say("about"), cards=listed)
        for card in cards:
            view = site.indicator_view(card)
            page(
                "indicator.html",
                f"{card.code}.html",
                f"{card.code} {view['card']['name']}",
                view["card"]["name"],
                **view,
            )
        page("changes.html", "changes.html", say("changes"), say("about"), changes=site.changes_view(changes))
        page(
            "notes.html", "notes.html", say("methods"), say("about"),
            note_keys=wording.NOTE_KEYS, sources=site.all_sources(), counts=site.counts(),
        )  # fmt: skip


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def list_changes(content: ReleaseContent, versions: pl.DataFrame) -> list[dict[str, Any]]:
    """What this release changed against the one before, by key: kind, observation before, observation now. Empty for the first."""
    now_at = content.recorded_at
    if versions.filter(pl.col("released_from") < now_at).is_empty():
        return []
    before = {
        tuple(r[k] for k in KEY_COLUMNS): r
        for r in versions.filter(pl.col("released_to") == now_at).iter_rows(named=True)
    }
    after = {
        tuple(r[k] for k in KEY_COLUMNS): r
        for r in versions.filter(pl.col("released_from") == now_at).iter_rows(named=True)
    }
    changes = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        changes.append({"kind": _change_kind(old, new), "before": old, "after": new, "any": new or old})
    return changes


def _change_kind(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    if old is None:
        return "new"
    if new is None:
        return "withdrawn"
    if new["obs_status"] == "Q" and old["obs_status"] != "Q":
        return "hidden"
    if old["obs_status"] == "Q" and new["obs_status"] != "Q":
        return "shown"
    return "revised" if new["value"] != old["value"] else "status"


class _Site:
    """Everything the pages of one language need of the release."""

    def __init__(self, content: ReleaseContent, language: str) -> None:
        self.content = content
        self.language = language
        self.names = Names(content.catalogue, language)
        self.symbols = [
            {"symbol": s.symbol, "meaning": s.meaning.in_language(language)} for s in content.catalogue.regional.symbols
        ]
        self._meaning = {s.symbol: s.meaning.in_language(language) for s in content.catalogue.regional.symbols}
        self._alternate_rows = alternate_frame(content)
        self._rows: dict[str, list[dict[str, Any]]] = {}
        for row in content.observations.iter_rows(named=True):
            self._rows.setdefault(row["indicator_code"], []).append(row)

    def say(self, key: str) -> str:
        """The fixed words for a key."""
        return wording.text(key, self.language)

    @property
    def released_on(self) -> str:
        """The release date as the language writes it."""
        at = self.content.recorded_at
        return f"{at.day}/{at.month}/{at.year}" if self.language == "vi" else self.content.recorded_on

    def rows_of(self, code: str) -> list[dict[str, Any]]:
        """All observations of an indicator."""
        return self._rows.get(code, [])

    def name_of(self, card: IndicatorCard) -> str:
        """Name of the indicator."""
        return card.name_vi if self.language == "vi" else card.name_en

    def all_sources(self) -> list[str]:
        """One line per source that any figure rests on."""
        codes = wording.source_codes_of(self.content, self.content.observations)
        return [wording.source_line(self.content, code, self.language) for code in codes]

    def counts(self) -> dict[str, str]:
        """How many figures are published and how many suppressed."""
        frame = self.content.observations
        hidden = frame.filter(pl.col("obs_status") == "Q").height
        shown = frame.filter(pl.col("value").is_not_null()).height
        return {"published": f"{shown}", "suppressed": f"{hidden}"}

    # Cells

    def cell(
        self, display: str, marks: Iterable[str], footnotes: Mapping[str, str], is_edge: bool = False
    ) -> ShownCell:
        """A finished cell taken apart for the template; its text is not changed."""
        number, _, interval = display.partition(" ")
        symbol = self._meaning.get(number, "") if not interval else ""
        return ShownCell(number, interval, symbol, self.marks(marks, footnotes), is_edge)

    def marks(self, marks: Iterable[str], footnotes: Mapping[str, str]) -> tuple[Mark, ...]:
        """Marks with what they mean: a footnote's text, or the symbol key's."""
        return tuple(Mark(m, footnotes.get(m) or self._meaning.get(m, m), m in footnotes) for m in marks)

    # Table pages

    def table_view(self, table: RegionalTable) -> dict[str, Any]:
        """One regional table for its template."""
        lang = self.language
        part = self.content.regional.of_table(table.code)
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
            marks = self.marks(column["footnote_marks"].split(), footnotes)
            groups[-1]["columns"].append({"label": column[f"sub_label_{lang}"], "marks": marks})
        for group in groups:
            group["is_single"] = len(group["columns"]) == 1 and not group["columns"][0]["label"]
        entries = {entry.code: entry for entry in _entries(self.content, table)}
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
                    self.cell(
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
            "charts": [
                self.chart_view(table, chart, f"{table.code}-{i}") for i, chart in enumerate(table.chart, start=1)
            ],
            "groups": groups,
            "rows": [rows[order] for order in sorted(rows)],
            "footnotes": [{"mark": mark, "text": text} for mark, text in footnotes.items()],
            "notes": [note.in_language(lang) for note in table.notes],
            "sources": wording.sources_of(self.content, table.code, lang),
            "cards": [
                {"code": card.code, "name": self.name_of(card)}
                for code in table.indicators
                if (card := self.content.catalogue.card(code)) is not None and self.rows_of(code)
            ],
        }

    def chart_view(self, table: RegionalTable, chart: Chart, key: str) -> dict[str, Any]:
        """One chart of a table as SVG, drawn from the same cells as the table."""
        lang = self.language
        part = self.content.regional.of_table(table.code)
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
                    tuple(self._point(by_place[code, c], label, {}) for c, label in labels.items()),
                )
                for code in order[:_SERIES_SHOWN]
            )
            svg = line_chart(series, title, lang, key) if series else ""
        else:
            entries = {entry.code: entry for entry in _entries(self.content, table)}
            chosen = cells.filter(pl.col("column_code") == last["column_code"]).sort("row_order")
            points = [self._point(c, c[f"row_label_{lang}"], entries) for c in chosen.iter_rows(named=True)]
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

    def _point(self, cell: Mapping[str, Any], label: str, entries: Mapping[str, Any]) -> Point:
        text = cell[f"display_{self.language}"]
        marks = [mark for mark in cell["footnote_marks"].split() if not mark.isupper()]
        entry = entries.get(cell["row_code"])
        return Point(
            label=label,
            value=None if _is_part_of_a_year(cell) else cell["value"],
            text=" ".join([text, *marks]),
            lower=cell["lower"],
            upper=cell["upper"],
            at=period_time(cell["period_code"]),
            is_provisional="p" in marks,
            is_total=bool(entry and entry.is_total),
        )

    # Overview

    def table_cards(self) -> list[dict[str, Any]]:
        """One card per table with its headline figure: the total row, else Viet Nam's, else the first row that has one."""
        return [self._table_card(table) for table in self.content.catalogue.regional.tables]

    def _table_card(self, table: RegionalTable) -> dict[str, Any]:
        lang = self.language
        part = self.content.regional.of_table(table.code)
        totals = [entry.code for entry in _entries(self.content, table) if entry.is_total]
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
            card["figure"] = self.cell(
                cell[f"display_{lang}"].split(" ")[0],
                [m for m in cell["footnote_marks"].split() if not m.isupper()],
                footnotes,
            )
            card["what"] = f"{cell[f'column_label_{lang}']} · {cell[f'row_label_{lang}']}" + (
                f" · {unit}" if unit else ""
            )
        return card

    def tiles(self) -> list[dict[str, Any]]:
        """One tile grid per column of the tables whose rows are the members of ASEAN, at most six."""
        lang = self.language
        tiles = []
        seen: set[str] = set()
        for table in self.content.catalogue.regional.tables:
            if table.rows.frame != "asean":
                continue
            part = self.content.regional.of_table(table.code)
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
                        "svg": Markup(tile_grid(points, title, f"tile-{table.code}-{column['column_order']}")),
                    }
                )
        return tiles[:6]

    # Indicator pages

    def indicator_view(self, card: IndicatorCard) -> dict[str, Any]:
        """One indicator for its template: definition, trend of the totals, figures, sources."""
        lang = self.language
        rows = sorted(
            self.rows_of(card.code),
            key=lambda r: (
                self.names.breakdown(r) != "",
                self.names.area_order(r["area_code"]),
                self.names.breakdown(r),
            ),
        )
        shown = sorted(rows, key=lambda r: period_order(r["period_code"]), reverse=True)
        is_cut = len(shown) > _ROWS_SHOWN
        used = wording.source_codes_of(
            self.content, self.content.observations.filter(pl.col("indicator_code") == card.code)
        )
        vi = lang == "vi"
        letters = Letters()
        return {
            "card": {
                "code": card.code,
                "name": self.name_of(card),
                "definition": card.definition_vi if vi else card.definition_en,
                "unit": card.unit_vi if vi else card.unit_en,
            },
            "has_practice": any(row["is_practice"] for row in rows),
            "chart": self._trend(card, rows),
            "is_cut": is_cut,
            "rows": [self._figure_row(row, card, letters) for row in shown[:_ROWS_SHOWN]],
            "footnotes": [
                {"mark": mark, "text": vi_text if vi else en} for (en, vi_text), mark in letters.texts.items()
            ],
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
                for table in self.content.catalogue.regional.tables
                if card.code in table.indicators
            ],
            "sources": [wording.source_line(self.content, code, lang) for code in used],
            "alternates": self._alternates(card),
        }

    def _alternates(self, card: IndicatorCard) -> list[dict[str, str]]:
        """The latest totals on other populations, as finished texts."""
        if not card.alternates:
            return []
        return [
            {
                "area": self.names.area(row["area_code"]),
                "period": row["period_code"],
                "edition": row["edition"],
                "value": value_text(row["value"], card.decimals, self.language),
                # Zero on any population is zero: there is no difference in percent of it.
                "difference": NOT_APPLICABLE
                if row["difference_percent"] is None
                else value_text(row["difference_percent"], 1, self.language),
            }
            for row in latest_totals(self._alternate_rows, card.code).iter_rows(named=True)
        ]

    def _figure_row(self, row: Mapping[str, Any], card: IndicatorCard, letters: Letters) -> dict[str, Any]:
        notes = [
            self.content.catalogue.regional.footnote(code)
            for code in row["footnote_codes"] or ()
            if code not in COVERED_BY_MARK
        ]
        footnotes = {letters.mark(note): note.in_language(self.language) for note in notes}
        return {
            "area": self.names.area(row["area_code"]),
            "breakdown": self.names.breakdown(row),
            "period": period_text(row["period_code"], self.language),
            "cell": self.cell(
                display_text(row, card.decimals, True, self.language), [*cell_marks(row, card), *footnotes], footnotes
            ),
        }

    def _trend(self, card: IndicatorCard, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """Lines of the totals over the most frequent period type: Viet Nam, the region, then the areas with most figures.

        None when there are not two periods.
        """
        totals = [row for row in rows if self.names.is_total(row)]
        newest = max((row["definition_version"] for row in totals), default=None)
        totals = [row for row in totals if row["definition_version"] == newest]
        types = Counter(
            len(row["period_code"]) if row["period_code"].isdigit() else row["period_code"][4:5] for row in totals
        )
        if not types:
            return None
        kind = max(types, key=lambda t: (types[t], str(t)))
        totals = [
            r
            for r in totals
            if (len(r["period_code"]) if r["period_code"].isdigit() else r["period_code"][4:5]) == kind
        ]
        with_figure = {row["period_code"] for row in totals if row["value"] is not None}
        periods = sorted(with_figure, key=period_order)[-24:]
        if len(periods) < 2:
            return None
        areas = Counter(
            row["area_code"] for row in totals if row["value"] is not None and row["period_code"] in periods
        )
        first = {"VNM": 0, "ASEAN": 1}
        chosen = sorted(areas, key=lambda a: (first.get(a, 2), -areas[a], self.names.area_order(a)))[:_SERIES_SHOWN]
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
        for area in sorted(chosen, key=self.names.area_order):
            points = []
            for period in periods:
                row = by_place.get((area, period), missing)
                points.append(
                    Point(
                        label=period_text(period, self.language),
                        at=period_time(period),
                        value=None if _is_part_of_a_year(row) else row["value"],
                        text=display_text(row, card.decimals, False, self.language),
                        lower=row["lower"] if with_band else None,
                        upper=row["upper"] if with_band else None,
                        is_provisional="P" in (row["obs_flags"] or []),
                    )
                )
            series.append(Series(self.names.area(area), tuple(points)))
        practice = any(row["is_practice"] for row in totals if row["area_code"] in chosen)
        svg = line_chart(tuple(series), self.name_of(card), self.language, f"trend-{card.code}")
        return {"svg": Markup(svg), "has_practice": practice}

    def changes_view(self, changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The change list for its template, revised figures first."""
        order = ("revised", "hidden", "shown", "withdrawn", "status", "new")
        counts = Counter(change["kind"] for change in changes)
        causes = cause_words(self.content.changes, self.language)
        ranked = sorted(changes, key=lambda change: order.index(change["kind"]))
        rows = []
        for change in ranked[:_CHANGES_SHOWN]:
            row = change["any"]
            card = self.content.catalogue.card(row["indicator_code"])
            decimals = card.decimals if card else 2
            rows.append(
                {
                    "code": row["indicator_code"],
                    "area": self.names.area(row["area_code"]),
                    "period": period_text(row["period_code"], self.language),
                    "breakdown": self.names.breakdown(row),
                    "change": self.say(f"change_{change['kind']}"),
                    "cause": causes.get(tuple(row[k] for k in CELL_KEY), ""),
                    "before": display_text(change["before"], decimals, False, self.language)
                    if change["before"]
                    else "",
                    "after": display_text(change["after"], decimals, False, self.language) if change["after"] else "",
                }
            )
        return {
            "rows": rows,
            "is_cut": len(changes) > _CHANGES_SHOWN,
            "counts": [(self.say(f"change_{kind}"), counts[kind]) for kind in order if counts[kind]],
            "causes": cause_counts(self.content.changes, self.language),
        }


def _is_part_of_a_year(row: Mapping[str, Any]) -> bool:
    """True for a count of ten or eleven months that stands for its year in a table: a line through it would show a fall."""
    return row.get("unit_code") == "persons" and any(
        code.startswith("year_to_date_") for code in row["footnote_codes"] or ()
    )


def _entries(content: ReleaseContent, table: RegionalTable) -> tuple[Any, ...]:
    if table.rows.frame is not None:
        return content.catalogue.regional.frame(table.rows.frame).entry
    return table.rows.entry
