"""The pages of method: how to read the figures, and the dictionary of every column that is published."""

from collections.abc import Iterator
from typing import Any

from warehouse.catalogue.table_catalogue import tables
from warehouse.publishing import wording
from warehouse.publishing.pages.page import Page, Site

_PUBLISHED = (
    "release.observation",
    "release.regional_cell",
    "release.regional_column",
    "release.footnote",
    "release.claim",
)


def pages(site: Site) -> Iterator[Page]:
    """Methods and notes, and the dictionary."""
    say = site.say
    notes = {"note_keys": wording.NOTE_KEYS, "sources": site.all_sources(), "counts": site.counts()}
    yield Page("notes.html", "notes.html", say("methods"), say("about"), notes, nav="methods")
    yield Page(
        "dictionary.html", "dictionary.html", say("dictionary"), say("dictionary_about"), {"groups": dictionary()}
    )


def dictionary() -> list[dict[str, Any]]:
    """Every published table with its row and its columns: name, type, unit, meaning. Described in English, as in the data."""
    groups = []
    for name in _PUBLISHED:
        table = tables()[name]
        columns = [
            {"name": column.name, "type": column.type, "unit": column.unit or "", "meaning": column.description}
            for column in table.columns
        ]
        groups.append({"name": table.name.partition(".")[2], "row": table.row, "columns": columns})
    return groups
