"""Public registers of a release: the dated lists of facts that leave as they are, read as of the release's instant.

Belongs here: which tables those are, and reading them. Does not belong here: the facts (`assets.reference.registers`),
figures and their protection.
"""

from datetime import datetime
from typing import Any

import polars as pl

from warehouse.catalogue.table_catalogue import Table, tables
from warehouse.history import as_naive_utc
from warehouse.schema import POLARS_TYPES
from warehouse.store import fetch_frame


def register_tables() -> tuple[Table, ...]:
    """Tables of the core that anybody may read: dated lists of facts with their citations."""
    return tuple(
        table
        for table in tables().values()
        if table.schema_name == "core" and table.group == "reference" and table.access == "public"
    )


def no_registers() -> dict[str, pl.DataFrame]:
    """Every public register without rows: what a release made aside from the store carries."""
    return {
        table.table_name: pl.DataFrame(schema={column.name: POLARS_TYPES[column.type] for column in table.own_columns})
        for table in register_tables()
    }


def release_registers(connection: Any, at: datetime) -> dict[str, pl.DataFrame]:
    """The rows of every public register as the store held them at the instant, by table name, in key order."""
    return {
        table.table_name: fetch_frame(
            connection,
            f"""select {", ".join(column.name for column in table.own_columns)}
            from {table.name}_as_of($at) order by {", ".join(table.key)}""",
            {"at": as_naive_utc(at)},
        )
        for table in register_tables()
    }
