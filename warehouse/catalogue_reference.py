"""The catalogue -> its own reference: every field with guidance and a bad example, and the data dictionary of the store.

Belongs here: text made from the catalogue. Does not belong here: pages of single indicators (`warehouse.indicator_reference`),
the dictionary inside a release (`warehouse.publishing.analyst_database`).
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from warehouse.catalogue import indicator_catalogue as models
from warehouse.catalogue.table_catalogue import CATALOGUE, Table, load_codelist, tables

SECTIONS: Mapping[str, tuple[str, type[BaseModel]]] = {
    "indicator": ("One indicator: `indicators/<code>.toml`", models.Indicator),
    "measure_use": ("`[numerator]`", models.MeasureUse),
    "denominator_use": ("`[denominator]`", models.DenominatorUse),
    "regional": ("`[regional]`", models.Regional),
    "plausible_range": ("`plausible`", models.PlausibleRange),
    "text": ("Texts", models.Bilingual),
    "measure": ("One measure: `measures.toml`", models.Measure),
    "denominator": ("One denominator: `denominators.toml`", models.Denominator),
}
"""Sections of fields.toml with their title and the model that they explain."""

DOCS = Path(__file__).parents[1] / "docs"


def field_guidance() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """Section -> field -> guidance and bad example."""
    found: dict[str, dict[str, dict[str, str]]] = tomllib.loads((CATALOGUE / "fields.toml").read_text(encoding="utf-8"))
    return found


def catalogue_page() -> str:
    """The reference of the catalogue: one table per kind of entry, fields in the order of the model."""
    guidance = field_guidance()
    lines = [
        "# The indicator catalogue: every field",
        "",
        "One TOML file per indicator in `warehouse/catalogue/indicators/`; adding one is the whole work of adding an indicator.",
        "Unknown keys are refused with the nearest known name. Made from `warehouse/catalogue/fields.toml` and the models: `make docs`.",
        "",
    ]
    for section, (title, model) in SECTIONS.items():
        lines += [f"## {title}", "", "| field | needed | guidance | bad example |", "|---|---|---|---|"]
        for name, field in model.model_fields.items():
            entry = guidance[section][name]
            needed = "yes" if field.is_required() else "no"
            lines.append(f"| `{name}` | {needed} | {entry['guidance']} | {entry['bad']} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def dictionary_page() -> str:
    """The data dictionary: every table of the store with every column, then every code list."""
    lines = [
        "# Data dictionary of the warehouse",
        "",
        "Every table and column, made from `warehouse/catalogue/tables/`: `make docs`. The analyst's file has its own, inside:",
        "`from dictionary` in `mhwg.duckdb`. Staging tables also have `receipt_id` and `pointer`, core tables `receipt_id`, tables",
        "with history `recorded_from` and `recorded_to`.",
        "",
    ]
    for table in tables().values():
        lines += _table(table)
    lines += ["# Code lists", ""]
    for path in sorted((CATALOGUE / "codelists").glob("*.csv")):
        lines += [f"## {path.stem}", "", "| code | English | tiếng Việt | |", "|---|---|---|---|"]
        for code in load_codelist(path.stem):
            lines.append(f"| `{code.code}` | {code.name_en} | {code.name_vi} | {code.description} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table) -> list[str]:
    history = ", with history" if table.history else ""
    apart = f". *Store:* {table.store}, a file of its own" if table.store != "warehouse" else ""
    lines = [
        f"## {table.name}",
        "",
        f"{table.description}",
        "",
        f"*Row:* {table.row}. *Key:* {', '.join(table.key) or 'none'}. *Access:* {table.access}{history}{apart}.",
        "",
        "| column | type | empty | class | meaning |",
        "|---|---|---|---|---|",
    ]
    for column in table.columns:
        if column.is_provenance:
            continue
        meaning = column.description + (f" Codes: {column.codelist}." if column.codelist else "")
        empty = "yes" if column.nullable else "no"
        lines.append(
            f"| `{column.name}` | {column.type} | {empty} | {column.data_class} | {meaning.replace('|', '/')} |"
        )
    return [*lines, ""]


PAGES = {"catalogue.md": catalogue_page, "data-dictionary.md": dictionary_page}


def write_pages(folder: Path = DOCS) -> None:
    """The generated pages stand in the folder."""
    for name, make in PAGES.items():
        (folder / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    write_pages()
