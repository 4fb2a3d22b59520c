"""Register tables: small dated lists of facts with their citations, one CSV file per table.

Belongs here: which registers there are, and reading a file into the staging frame that the catalogue describes. Does not
belong here: figures (`series`), areas and memberships (`frames`), claims (`assets.reference.claims`), the facts themselves
(`registers/*.csv`).
"""

import csv
import io
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from warehouse.catalogue.table_catalogue import Table, tables
from warehouse.schema import POLARS_TYPES

FOLDER = Path(__file__).parent / "registers"

REGISTERS = (
    "age_band", "agency", "agency_role", "area_list", "area_title", "country", "event", "framework_item", "funding",
    "handbook", "instrument", "point_of_entry", "standard_population",
)  # fmt: skip
"""Tables of the register, each shipped as `registers/<name>.csv` and kept as `core.<name>`."""

_BOOLEANS = {"true": True, "false": False}


def staging_schema(table: Table) -> dict[str, Any]:
    """Columns of the staging frame of a table with their polars types, and `rejections`."""
    return {column.name: POLARS_TYPES[column.type] for column in table.columns} | {"rejections": pl.List(pl.String)}


def read_register(name: str, data: bytes, file: str, receipt_id: str) -> pl.DataFrame:
    """One register file as the staging frame of its table. A cell that its column cannot hold rejects the row with the
    reason; lists are separated by `|`; an empty cell is NULL. A header that is not the catalogue's rejects the file as one row."""
    table = tables()[f"staging.{name}"]
    wanted = [column.name for column in table.own_columns]
    reader = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
    schema = staging_schema(table)
    if list(reader.fieldnames or []) != wanted:
        reason = f"header: {','.join(reader.fieldnames or [])}; expected {','.join(wanted)}"
        fault = {"receipt_id": receipt_id, "pointer": f"{file}:1", "rejections": [reason]}
        return pl.DataFrame([fault], schema=schema, orient="row")
    rows = []
    for raw in reader:
        rejections: list[str] = []
        row: dict[str, Any] = {
            column.name: _cell(raw[column.name], column.name, column.type, rejections) for column in table.own_columns
        }
        rows.append(row | {"receipt_id": receipt_id, "pointer": f"{file}:{reader.line_num}", "rejections": rejections})
    return pl.DataFrame(rows, schema=schema, orient="row")


def _cell(text: str | None, column: str, kind: str, rejections: list[str]) -> Any:
    text = (text or "").strip()
    if not text:
        return None
    readers: dict[str, tuple[Callable[[str], Any], str]] = {
        "integer": (int, "a whole number"),
        "double": (float, "a number with a decimal point"),
        "date": (date.fromisoformat, "a date (YYYY-MM-DD)"),
        "boolean": (_BOOLEANS.__getitem__, "true or false"),
        "varchar[]": (lambda cell: [part.strip() for part in cell.split("|")], "a list"),
    }
    if kind not in readers:
        return text
    read, expected = readers[kind]
    try:
        return read(text)
    except (ValueError, KeyError):
        rejections.append(f"{column}: {text!r} is not {expected}")
        return None
