"""Catalogue entries -> DDL and comments.

Belongs here: the SQL text that makes and documents a table, and the types of its columns in frames. Does not belong here:
running it (`warehouse.store`).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from warehouse.catalogue.table_catalogue import OPEN_END, Column, Table

POLARS_TYPES: Mapping[str, Any] = {
    "varchar": pl.String,
    "integer": pl.Int32,
    "bigint": pl.Int64,
    "double": pl.Float64,
    "boolean": pl.Boolean,
    "date": pl.Date,
    "timestamp": pl.Datetime("us"),
    "varchar[]": pl.List(pl.String),
    "json": pl.String,
}
"""The polars type of every catalogued column type."""


def quote_literal(text: str) -> str:
    """`text` as an SQL string literal; for comments and catalogue codes, never for data."""
    return "'" + text.replace("'", "''") + "'"


def column_comment(column: Column) -> str:
    """What the database says of a column: meaning, unit, code list, data class."""
    parts = [column.description.rstrip(".") + "."]
    if column.unit:
        parts.append(f"Unit: {column.unit}.")
    if column.codelist:
        parts.append(f"Codes: {column.codelist}.")
    parts.append(f"Data class: {column.data_class}.")
    return " ".join(parts)


def create_statement(table: Table) -> str:
    """`create table if not exists` for one entry. No primary key: on 10 M rows an index tripled the insert (9.2 s against
    2.9 s), so uniqueness is a check. NOT NULL as declared, but not in staging: there a missing value must reach the suite,
    which quarantines its row, and not abort the load of all the others."""
    is_staging = table.schema_name == "staging"
    columns = ",\n  ".join(
        f"{column.name} {column.type}{'' if is_staging or (column.nullable and column.name not in table.key) else ' not null'}"
        for column in table.columns
    )
    return f"create table if not exists {table.name} (\n  {columns}\n)"


def comment_statements(table: Table) -> list[str]:
    """Comments on the table and each of its columns."""
    statements = [
        f"comment on table {table.name} is "
        + quote_literal(f"One row is {table.row}. {table.description} Owner: {table.owner}.")
    ]
    statements.extend(
        f"comment on column {table.name}.{column.name} is {quote_literal(column_comment(column))}"
        for column in table.columns
    )
    return statements


def current_view_statement(table: Table) -> str:
    """The view of the open rows of a table with history."""
    columns = ", ".join(table.column_names)
    return (
        f"create or replace view {table.name}_current as\n"
        f"select {columns} from {table.name} where recorded_to = timestamp '{OPEN_END}'"
    )


def as_of_macro_statement(table: Table) -> str:
    """The table macro that reads a table with history as it stood at an instant: `core.referral_as_of(timestamp)`."""
    columns = ", ".join(table.column_names)
    return (
        f"create or replace macro {table.name}_as_of(instant) as table\n"
        f"select {columns} from {table.name}\n"
        f"where recorded_from <= instant::timestamp and recorded_to > instant::timestamp"
    )


def fingerprint(entries: Iterable[Table]) -> str:
    """A digest of everything the store is made of; equal digests need no DDL, so opening an unchanged store writes nothing."""
    text = "\n".join(
        statement
        for table in sorted(entries, key=lambda entry: entry.name)
        for statement in [create_statement(table), *comment_statements(table), str(table.history)]
    )
    return hashlib.sha256(text.encode()).hexdigest()
