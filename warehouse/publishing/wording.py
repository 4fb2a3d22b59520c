"""The fixed words of pages, workbook and terminal in both languages, and sentences made from them.

Belongs here: interface words and source lines. Does not belong here: titles, notes and labels of tables
(`catalogue/regional`), names of indicators (`catalogue/indicators`).
"""

import tomllib
from functools import cache
from pathlib import Path

import polars as pl

from warehouse.publishing.content import ReleaseContent

NOTE_KEYS = (
    "about",
    "rounding_note",
    "missing_note",
    "suppression_note",
    "interval_note",
    "regional_note",
    "practice_note",
)
"""General notes, in the order in which they are printed."""


@cache
def _words() -> dict[str, dict[str, str]]:
    path = Path(__file__).parent / "wording.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def text(key: str, language: str) -> str:
    """The words for a key in `en` or `vi`. KeyError for a key that wording.toml lacks."""
    return _words()[key][language]


def sources_of(content: ReleaseContent, table_code: str, language: str) -> tuple[str, ...]:
    """One line per source that the table's figures rest on: name, producer, citation, edition, access date, terms."""
    cells = content.regional.of_table(table_code).cells
    return tuple(source_line(content, code, language) for code in source_codes_of(content, cells))


def source_codes_of(content: ReleaseContent, figures: pl.DataFrame) -> tuple[str, ...]:
    """Codes of the sources behind figures; `reference` is replaced by the series that the figure's indicator reads."""
    codes: set[str] = set()
    pairs = figures.select("indicator_code", "source_codes").explode("source_codes").drop_nulls().unique()
    for indicator, source in pairs.iter_rows():
        card = content.catalogue.card(indicator)
        codes.update(card.series_codes if card and source == "reference" and card.series_codes else [source])
    return tuple(sorted(codes))


def source_line(content: ReleaseContent, code: str, language: str) -> str:
    """How a source is cited; a source without an entry is named by its code, so that no figure is without source."""
    known = {source.source_code: source for source in content.catalogue.sources}
    # Observations name a reference series with its edition (`population_wpp.wpp2024`), the register cites it by its code.
    source = known.get(code) or known.get(f"reference:{code}") or known.get(f"reference:{code.partition('.')[0]}")
    if source is None:
        return code
    name = source.name_vi if language == "vi" else source.name_en
    parts = [name]
    citation = "" if source.citation == f"{source.producer}: {source.name_en}" else source.citation
    parts += [part for part in (source.producer, citation, source.edition) if part]
    if source.accessed_on:
        parts.append(f"{text('accessed', language)} {source.accessed_on}")
    if source.licence:
        parts.append(f"{text('terms', language)}: {source.licence}")
    if source.is_practice:
        parts.append(text("practice_source", language))
    return ". ".join(part.rstrip(".") for part in parts) + "."
