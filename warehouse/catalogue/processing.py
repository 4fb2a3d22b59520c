"""The record of processing: what personal data the warehouse holds, why, on what ground, how long, and who receives it.

Belongs here: the typed model of `processing.toml` and the record as text and as data. Does not belong here: enforcing a
period (`warehouse.retention`), erasing a person (`warehouse.erasure`). Source: Law 91/2025/QH15 asks every controller for such a record.
"""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from warehouse.catalogue.regional_catalogue import Entry, Text
from warehouse.catalogue.table_catalogue import CATALOGUE, CatalogueError, Table, read_entry, tables

PERSONAL_CLASSES = ("personal", "sensitive", "restricted")
"""Data classes of columns that speak of people who could be found, alone or together."""


class Processing(Entry):
    """One purpose: the tables of one group that hold personal data."""

    group: str
    purpose: Text
    people: str
    origin: str
    minimisation: str
    recipients: str
    retention_days: int = Field(ge=1)
    retention_reason: str


class Record(Entry):
    """The whole record: the controller, the law, and one entry for each group of tables with personal data."""

    controller: str
    law: str
    note: str
    run_log_days: int = Field(ge=1)
    """How long Dagster's records of runs are kept: they hold counts and names of accounts, no persons."""
    audit_log_days: int = Field(ge=1)
    """How long it is kept who ran which command."""
    processing: tuple[Processing, ...]


@cache
def processing_record() -> Record:
    """The record shipped with the code. Raises CatalogueError when a group with personal columns has no entry, or an entry no group."""
    record = read_entry(CATALOGUE / "processing.toml", Record)
    described = [entry.group for entry in record.processing]
    held = {table.group for table in personal_tables()}
    if sorted(described) != sorted(held):
        raise CatalogueError(
            f"processing.toml: entries for {sorted(described)}, but personal data are held in groups {sorted(held)}; "
            "write one entry for each group.",
            file="processing.toml",
        )
    return record


def personal_tables() -> list[Table]:
    """Tables of the store with at least one column of a personal class that are not released, by name."""
    return [
        table
        for table in sorted(tables().values(), key=lambda entry: entry.name)
        if table.access != "public" and personal_columns(table)
    ]


def personal_columns(table: Table) -> dict[str, list[str]]:
    """Column names of a table by personal class; classes without a column are left out."""
    by_class = {
        kind: [column.name for column in table.columns if column.data_class == kind] for kind in PERSONAL_CLASSES
    }
    return {kind: names for kind, names in by_class.items() if names}


def as_data() -> dict[str, Any]:
    """The record for a program to read: purposes, and under each its tables with their personal columns."""
    record = processing_record()
    return {
        "controller": record.controller,
        "law": record.law,
        "note": record.note,
        "run_log_days": record.run_log_days,
        "audit_log_days": record.audit_log_days,
        "processing": [
            {
                **entry.model_dump(),
                "tables": {
                    table.name: personal_columns(table) for table in personal_tables() if table.group == entry.group
                },
            }
            for entry in record.processing
        ],
    }


def record_page() -> str:
    """docs/processing-record.md: the record for people to read."""
    record = as_data()
    lines = [
        "# Record of processing of personal data",
        "",
        f"Controller: {record['controller']}. Ground: {record['law']}.",
        "",
        record["note"],
        "",
        "Made from `warehouse/catalogue/processing.toml` and the data class of every column by `make docs`; for a program,",
        "`mhwg processing --json`. Purposes and periods are proposals until the controller has confirmed them.",
        "",
        "The weekly job `retention` enforces the periods (`mhwg retention --dry-run` shows what is due): a row is due when what it",
        "tells of was over longer ago than the period; it goes with all its versions and its landed lines, and the warehouse file is",
        "written anew. Figures of periods that began before that day stand as they were last computed. Backups are not reached by the",
        "job: keep none that is older than the shortest period allows.",
        "",
        "A person is erased on request by `mhwg erase`, with a proof, in every table, version and file, and is left out of later pulls",
        "and restores (docs/runbook.md). Survey respondents carry no pseudonym and cannot be found again.",
        "",
        f"Records of runs are kept for {record['run_log_days']} days, who ran which command for {record['audit_log_days']} days.",
        "",
    ]
    for entry in record["processing"]:
        years = entry["retention_days"] / 365
        lines += [
            f"## {entry['group']}",
            "",
            entry["purpose"]["en"],
            "",
            entry["purpose"]["vi"],
            "",
            "| | |",
            "|---|---|",
            f"| whose data | {entry['people']} |",
            f"| from where | {entry['origin']} |",
            f"| kept small by | {entry['minimisation']} |",
            f"| who receives it | {entry['recipients']} |",
            f"| kept for | {entry['retention_days']} days ({years:.0f} year{'s' if years != 1 else ''}): {entry['retention_reason']} |",
            "",
            "| table | personal | sensitive | restricted |",
            "|---|---|---|---|",
        ]
        for name, columns in entry["tables"].items():
            cells = " | ".join(", ".join(columns.get(kind, [])) or "–" for kind in PERSONAL_CLASSES)
            lines.append(f"| `{name}` | {cells} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def write_record(folder: Path) -> None:
    """`processing-record.md` in the folder says what the catalogue says."""
    (folder / "processing-record.md").write_text(record_page(), encoding="utf-8")


if __name__ == "__main__":
    write_record(Path(__file__).parents[2] / "docs")
