"""Sources as readers see them: names in both languages, producer, citation.

Belongs here: the typed model of `sources.toml` and its loading. Does not belong here: how a source is read (`assets`), the
register of reference series (`assets/reference`).
"""

from functools import cache
from pathlib import Path

from warehouse.catalogue.regional_catalogue import Entry, Text
from warehouse.catalogue.table_catalogue import CATALOGUE, CatalogueError, read_entry


class SourceEntry(Entry):
    """One source: its code in observations, its name, who produces it and how to cite it."""

    code: str
    name: Text
    producer: str = ""
    citation: str = ""
    licence: str = ""


class _Sources(Entry):
    source: tuple[SourceEntry, ...]


def load_sources(path: Path | None = None) -> tuple[SourceEntry, ...]:
    """The sources in file order. Raises CatalogueError for a wrong file or a code listed twice."""
    path = path or CATALOGUE / "sources.toml"
    sources = read_entry(path, _Sources).source
    codes = [source.code for source in sources]
    if len(codes) != len(set(codes)):
        repeated = sorted({code for code in codes if codes.count(code) > 1})
        raise CatalogueError(f"{path.name}: sources listed twice: {repeated}.", file=path.name)
    return sources


@cache
def sources() -> tuple[SourceEntry, ...]:
    """The sources shipped with the code."""
    return load_sources()
