"""The victims' store: data on trafficking in a file of their own, apart from the warehouse.

    victims/victims.duckdb     rows of the registers, held records, receipts: the whole of the source, in one transaction per load
    victims/landing/           the files as received
    victims/inbox/             where they arrive

Belongs here: where the store is, what of it other rooms get to see, its books beside those of the other sources, and moving
such data out of a warehouse that was built before they were apart. Does not belong here: reading registers
(`assets.programme`), loading (`warehouse.load`).

What leaves the store are the numbers that TP01 to TP03 rest on, read into memory while they are computed, and the books (which
file came when, how many rows, which checks held), without a row and without a held record. DuckDB writes to one attached
database per transaction, so the books follow in a second one; when a process dies between the two, the next load brings them.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from warehouse import schema
from warehouse.catalogue.table_catalogue import SHARED_SCHEMAS, Table, tables, tables_of
from warehouse.landing import Landing, Receipt
from warehouse.migrations import FOLDER as MIGRATIONS
from warehouse.migrations import steps
from warehouse.store import Warehouse

FOLDER = "victims"
FILE = "victims.duckdb"
SOURCE = "victims"
"""Source code of the registers that load into this store."""


def victims_warehouse(
    state: Path, *, patience_seconds: float = 0.0, memory_mb: int | None = None, most_memory_mb: int | None = None
) -> Warehouse:
    """The victims' store of the installation with this state folder."""
    return Warehouse(
        state / FOLDER / FILE,
        tables_of("victims"),
        steps=steps(MIGRATIONS / FOLDER),
        patience_seconds=patience_seconds,
        memory_mb=memory_mb,
        most_memory_mb=most_memory_mb,
    )


def victims_landing(state: Path) -> Landing:
    """Where the files of the store's registers are kept as received."""
    return Landing(state / FOLDER / "landing")


def held_records(connection: Any) -> str:
    """The relation of held records: those of the warehouse, and of the victims' store where the connection was shown them."""
    ((shown,),) = connection.execute(
        "select count(*) from duckdb_tables() where database_name = 'restricted' and table_name = 'held_record'"
    ).fetchall()
    return "(from quarantine.record union all by name from restricted.held_record)" if shown else "quarantine.record"


def copy_books(warehouse: Warehouse, victims: Warehouse) -> bool:
    """The warehouse's books say of the source what the victims' store says; True when anything had to be written.

    Receipts, loads, checks, marks and removals; no row of a register and no held record.
    """
    if not victims.exists:
        return False
    with warehouse.connect() as connection:
        connection.execute(f"attach {schema.quote_literal(str(victims.path))} as victims (read_only)")
        try:
            return _copied(connection)
        finally:
            connection.execute("detach victims")


def _copied(connection: Any) -> bool:
    is_change = False
    connection.execute("begin")
    try:
        for name, own in _own_lines().items():
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


def _own_lines() -> dict[str, str]:
    """Table of the books -> condition on the lines that are about this source."""
    apart = ", ".join(f"'{name}'" for name in _apart())
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


def _apart() -> dict[str, Table]:
    """The tables that stand in the victims' store and in no other."""
    return {name: table for name, table in tables_of("victims").items() if table.schema_name not in SHARED_SCHEMAS}


# An older warehouse ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moved:
    """What was moved: rows by table, and names of the files whose landing was."""

    rows: Mapping[str, int] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def move_out(warehouse: Warehouse, victims: Warehouse, landing: Landing, apart: Landing) -> Moved:
    """Rows, held records and landed files on trafficking that an older program kept in the warehouse stand in the victims' store.
    The migration that follows removes them from the warehouse.

    Rows keep their system times. Running it again ends a move that was cut off: what stands in the victims' store is not moved twice.
    """
    if not warehouse.exists:
        return Moved()
    moved: dict[str, int] = {}
    with victims.connect():
        pass  # built, so that there is something to move into
    with warehouse.connect_as_is() as connection:
        present = {
            f"{of}.{name}"
            for of, name in connection.execute("select schema_name, table_name from duckdb_tables()").fetchall()
        }
        names = sorted(_apart().keys() & present)
        if not names:
            return Moved()
        connection.execute(f"attach {schema.quote_literal(str(victims.path))} as victims")
        connection.execute("begin")
        try:
            for name in names:
                key = _apart()[name].key
                moved[name] = _moved(connection, name, (*key, *(["recorded_from"] if _apart()[name].history else [])))
            staged = ", ".join(f"'{name}'" for name in names)
            held = f"table_name in ({staged})"
            moved["quarantine.record"] = _moved(connection, "quarantine.record", ("quarantine_id",), held)
            decided = f"quarantine_id in (select quarantine_id from quarantine.record where {held})"
            key = ("quarantine_id", "decided_at", "decision_code")
            _moved(connection, "ops.quarantine_decision", key, decided)
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise
        receipts = {
            row[0]
            for name in names
            for row in connection.execute(
                f"select distinct receipt_id from {name} where receipt_id is not null"
            ).fetchall()
        } | {
            row[0]
            for row in connection.execute(f"select distinct receipt_id from quarantine.record where {held}").fetchall()
        }
        connection.execute("detach victims")
    files = []
    for source in landing.sources():
        for receipt in landing.receipts(source):
            if receipt.receipt_id in receipts:
                _land_apart(landing, apart, receipt)
                files.append(str(receipt.parameters.get("name", receipt.locator)))
    return Moved({name: count for name, count in moved.items() if count}, tuple(sorted(files)))


def _moved(connection: Any, name: str, key: tuple[str, ...], where: str = "true") -> int:
    columns = [
        row[0]
        for row in connection.execute(
            """select column_name from duckdb_columns() where database_name = current_database()
            and schema_name = ? and table_name = ? order by column_index""",
            name.split("."),
        ).fetchall()
    ]
    kept = [column for column in columns if column in tables()[name].column_names]
    same = " and ".join(f"there.{column} is not distinct from here.{column}" for column in key)
    ((count,),) = connection.execute(
        f"""insert into victims.{name} ({", ".join(kept)}) select {", ".join(kept)} from {name} here
        where {where} and not exists (select 1 from victims.{name} there where {same})"""
    ).fetchall()
    return int(count)


def _land_apart(landing: Landing, apart: Landing, receipt: Receipt) -> None:
    """The files of the receipt stand in the victims' landing under a receipt of that source, and nowhere else."""
    pull = apart.pull(
        SOURCE, receipt.part_code, datetime.fromisoformat(receipt.received_at), is_practice=receipt.is_practice
    )
    pull.restart()
    for path in landing.files(receipt):
        pull.write(path.name, path.read_bytes())
    pull.finish(receipt.kind_code, receipt.locator, receipt.parameters, receipt.record_count, agency=receipt.agency)
    shutil.rmtree(landing.root / receipt.path)


def is_in_warehouse(warehouse: Warehouse) -> bool:
    """True when an older program kept data on trafficking in the warehouse and nobody has moved them yet."""
    if not warehouse.exists:
        return False
    with warehouse.connect(read_only=True) as connection:
        ((found,),) = connection.execute(
            "select count(*) from duckdb_tables() where schema_name || '.' || table_name in "
            f"({', '.join(schema.quote_literal(name) for name in _apart())})"
        ).fetchall()
    return bool(found)
