"""The victims' store: data on trafficking in a file of their own, apart from the warehouse.

    victims/victims.duckdb     rows of the registers, held records, receipts: the whole of the source, in one transaction per load
    victims/landing/           the files as received
    victims/inbox/             where they arrive

Belongs here: where the store is, what of it other rooms get to see, its books beside those of the other sources. Does not belong
here: reading registers (`assets.programme`), loading (`warehouse.load`), a warehouse that was built before they were apart
(`warehouse.migrations.victims_apart`).

What leaves the store are the numbers that TP01 to TP03 rest on, read into memory while they are computed, and the books (which
file came when, how many rows, which checks held), without a row and without a held record. DuckDB writes to one attached
database per transaction, so the books follow in a second one; when a process dies between the two, the next load brings them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from warehouse.catalogue.table_catalogue import SHARED_SCHEMAS, Table, tables, tables_of
from warehouse.landing import Landing
from warehouse.load import system_time
from warehouse.migrations import FOLDER as MIGRATIONS
from warehouse.migrations import steps
from warehouse.store import VICTIMS_FILE, Warehouse

FOLDER = VICTIMS_FILE.parent.name
SOURCE = "victims"
"""Source code of the registers that load into this store."""


def victims_beside(warehouse: Warehouse) -> Warehouse:
    """The victims' store of the installation that has this warehouse, with the same patience and memory."""
    return Warehouse(
        warehouse.victims,
        tables_of("victims"),
        steps=steps(MIGRATIONS / FOLDER),
        patience_seconds=warehouse.patience_seconds,
        memory_mb=warehouse.memory_mb,
        most_memory_mb=warehouse.most_memory_mb,
    )


def victims_landing(state: Path) -> Landing:
    """Where the files of the store's registers are kept as received, below the state folder."""
    return Landing(state / FOLDER / "landing")


@contextmanager
def loading_apart(
    warehouse: Warehouse, _: Landing, recorded_at: datetime
) -> Iterator[tuple[Warehouse, Landing, datetime]]:
    """The victims' store and landing, and the system time of a load into them; at the end the warehouse has the books of it.

    The warehouse is opened first and must be kept open: whoever computes from both stores holds it too, so no figure is
    computed between the two, system time moves on over both, and nobody waits in a circle.
    """
    with warehouse.connect() as connection:
        at = system_time(connection, warehouse, recorded_at)
    victims = victims_beside(warehouse)
    with victims.kept_open():
        yield victims, victims_landing(warehouse.path.parent), at
    if copy_books(warehouse) and victims.written_at is not None:
        warehouse.written_at = victims.written_at  # this run's own: what it writes next is recorded at the same instant


def held_records(connection: Any) -> str:
    """The relation of held records: those of the warehouse, and of the victims' store where the connection was shown them."""
    ((shown,),) = connection.execute(
        "select count(*) from duckdb_tables() where database_name = 'restricted' and table_name = 'held_record'"
    ).fetchall()
    return "(from quarantine.record union all by name from restricted.held_record)" if shown else "quarantine.record"


def copy_books(warehouse: Warehouse) -> bool:
    """The warehouse's books say of the source what the victims' store says; True when anything had to be written.

    Receipts, loads, checks, marks and removals; no row of a register and no held record.
    """
    if not warehouse.victims.exists():
        return False
    with warehouse.connect() as connection, warehouse.victims_attached(connection):
        return _copied(connection)


def _copied(connection: Any) -> bool:
    is_change = False
    connection.execute("begin")
    try:
        for name, own in own_lines().items():
            theirs = f"select {', '.join(tables()[name].column_names)} from victims.{name} where {own}"
            ours = theirs.replace("victims.", "", 1)
            ((different,),) = connection.execute(
                f"select count(*) from ((({theirs}) except all ({ours})) union all (({ours}) except all ({theirs})))"
            ).fetchall()
            if different:
                is_change = True
                connection.execute(f"delete from {name} where {own}")
                connection.execute(f"insert into {name} by name {theirs}")
        connection.execute("commit" if is_change else "rollback")
    except BaseException:
        connection.execute("rollback")
        raise
    return is_change


def own_lines() -> dict[str, str]:
    """Table of the books -> condition on the lines that are about this source."""
    apart = ", ".join(f"'{name}'" for name in tables_apart())
    found = {}
    for name, table in tables_of("victims").items():
        if table.schema_name == "ops" and name != "ops.store_version":
            if "source_code" in table.column_names:
                # Removals are noted in ops.load under their cause.
                by_table = f" or table_name in ({apart})" if "table_name" in table.column_names else ""
                found[name] = f"(source_code = '{SOURCE}'{by_table})"
            elif "table_name" in table.column_names:
                found[name] = f"table_name in ({apart})"
    return found


def tables_apart() -> dict[str, Table]:
    """The tables that stand in the victims' store and in no other."""
    return {name: table for name, table in tables_of("victims").items() if table.schema_name not in SHARED_SCHEMAS}
