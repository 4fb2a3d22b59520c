"""One page, and what every page of one language needs of the release.

Belongs here: names, fixed words, cells with their marks. Does not belong here: the content of any page (one module per kind of
page), drawing (`charts`), templates.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from warehouse.catalogue.regional_catalogue import RegionalTable
from warehouse.publishing import wording
from warehouse.publishing.alternates import alternate_frame
from warehouse.publishing.content import KEY_COLUMNS, IndicatorCard, ReleaseContent
from warehouse.publishing.names import Names


@dataclass(frozen=True)
class Page:
    """A file of the site: its name, its template with the values for it, and its place in the navigation, if it has one.

    `nav` is the key of the words that the navigation shows; pages without it are reached from others.
    """

    name: str
    template: str
    title: str
    description: str
    values: Mapping[str, Any] = field(default_factory=dict)
    nav: str | None = None


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


class Site:
    """Everything the pages of one language need of the release."""

    def __init__(self, content: ReleaseContent, versions: pl.DataFrame, language: str) -> None:
        self.content = content
        self.versions = versions
        self.language = language
        self.names = Names(content.catalogue, language)
        self.symbols = [
            {"symbol": s.symbol, "meaning": s.meaning.in_language(language)} for s in content.catalogue.regional.symbols
        ]
        self._meaning = {s.symbol: s.meaning.in_language(language) for s in content.catalogue.regional.symbols}
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

    @cached_property
    def moved(self) -> dict[str, pl.DataFrame]:
        """Per indicator, the versions of the figures that releases showed in more than one."""
        moved = self.versions.filter(pl.len().over(list(KEY_COLUMNS)) > 1).sort([*KEY_COLUMNS, "released_from"])
        return {str(key[0]): part for key, part in moved.partition_by("indicator_code", as_dict=True).items()}

    @cached_property
    def alternates(self) -> pl.DataFrame:
        """Rates on the other populations of the registry."""
        return alternate_frame(self.content)

    @cached_property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """Per indicator, the codes of the sources behind its figures."""
        parts = self.content.observations.select("indicator_code", "source_codes").partition_by(
            "indicator_code", as_dict=True
        )
        return {str(key[0]): wording.source_codes_of(self.content, part) for key, part in parts.items()}

    def counts(self) -> dict[str, str]:
        """How many figures are published and how many suppressed."""
        frame = self.content.observations
        hidden = frame.filter(pl.col("obs_status") == "Q").height
        shown = frame.filter(pl.col("value").is_not_null()).height
        return {"published": f"{shown}", "suppressed": f"{hidden}"}

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


def entries_of(content: ReleaseContent, table: RegionalTable) -> tuple[Any, ...]:
    """The row entries of a table: of its frame, or its own."""
    if table.rows.frame is not None:
        return content.catalogue.regional.frame(table.rows.frame).entry
    return table.rows.entry


def is_part_of_a_year(row: Mapping[str, Any]) -> bool:
    """True for a count of ten or eleven months that stands for its year in a table: a line through it would show a fall."""
    return row.get("unit_code") == "persons" and any(
        code.startswith("year_to_date_") for code in row["footnote_codes"] or ()
    )
