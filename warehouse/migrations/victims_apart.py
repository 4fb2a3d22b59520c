"""Data on trafficking that an older program kept in the warehouse, moved to the victims' store before step 0002 removes them.

Belongs here: the move, which no SQL of one step can do: it writes to another file and to the landing. Does not belong here: the
store itself (`warehouse.victims`), the backup taken before, the command (`pipelines.cli.backup`).
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from warehouse.catalogue.table_catalogue import tables
from warehouse.landing import Landing, Receipt
from warehouse.quarantine import moved_id
from warehouse.store import Warehouse
from warehouse.victims import SOURCE, own_lines, tables_apart, victims_beside


@dataclass(frozen=True)
class Moved:
    """What was moved: rows by table, and names of the files whose landing was."""

    rows: Mapping[str, int] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def move_out(warehouse: Warehouse, landing: Landing, apart: Landing) -> Moved:
    """Rows, held records, books and landed files on trafficking that an older program kept in the warehouse stand in the victims'
    store. The migration that follows removes them from the warehouse.

    Rows and books keep their system times; files, rows and held records become those of the source that they now belong to, so
    that a file that lies in the inbox is known and a held record can be settled. Running it again ends a move that was cut off.
    """
    if not is_in_warehouse(warehouse):
        return Moved()
    with victims_beside(warehouse).connect():
        pass  # built, so that there is something to move into
    with warehouse.connect_as_is() as connection, warehouse.victims_attached(connection, read_only=False):
        names = [name for name in sorted(tables_apart()) if name in _present(connection)]
        old = [found for source in landing.sources() for found in landing.receipts(source)]
        cited = _receipts_of(connection, names)
        receipts = {
            found.receipt_id: _landed_apart(landing, apart, found) for found in old if found.receipt_id in cited
        }
        connection.execute("begin")
        try:
            moved = _moved_rows(connection, names, receipts)
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise
    for found in old:
        if found.receipt_id in receipts:
            shutil.rmtree(landing.root / found.path)
    return Moved(moved, tuple(sorted(str(new.parameters.get("name", new.locator)) for new in receipts.values())))


def is_in_warehouse(warehouse: Warehouse) -> bool:
    """True when an older program kept data on trafficking in the warehouse and nobody has moved them yet."""
    if not warehouse.exists:
        return False
    with warehouse.connect(read_only=True) as connection:
        return bool(tables_apart().keys() & _present(connection))


def _present(connection: Any) -> set[str]:
    """The tables of the warehouse's own file."""
    found = "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
    return {f"{of}.{name}" for of, name in connection.execute(found).fetchall()}


def _receipts_of(connection: Any, names: list[str]) -> set[str]:
    """Receipts that the rows of these tables and their held records came from."""
    asked = [f"select receipt_id from {name}" for name in names]
    asked.append(f"select receipt_id from quarantine.record where {_about(names)}")
    return {row[0] for row in connection.execute(" union ".join(asked)).fetchall()}


def _about(names: list[str]) -> str:
    return f"table_name in ({', '.join(repr(name) for name in names)})"


def _landed_apart(landing: Landing, apart: Landing, receipt: Receipt) -> Receipt:
    """The receipt of the same files in the victims' landing; the same again when they stand there already."""
    pull = apart.pull(
        SOURCE, receipt.part_code, datetime.fromisoformat(receipt.received_at), is_practice=receipt.is_practice
    )
    pull.restart()
    for path in landing.files(receipt):
        pull.write(path.name, path.read_bytes())
    return pull.finish(
        receipt.kind_code, receipt.locator, receipt.parameters, receipt.record_count, agency=receipt.agency
    )


def _moved_rows(connection: Any, names: list[str], receipts: Mapping[str, Receipt]) -> dict[str, int]:
    """Rows by table that were moved, in the caller's transaction."""
    connection.execute("create or replace temp table moved_receipt (old_id varchar, new_id varchar, path varchar)")
    for old_id, new in receipts.items():
        connection.execute("insert into moved_receipt values (?, ?, ?)", [old_id, new.receipt_id, new.path])
    held = connection.execute(
        f"select quarantine_id, table_name, record from quarantine.record where {_about(names)}"
    ).fetchall()
    connection.execute("create or replace temp table moved_record (old_id varchar, new_id varchar)")
    for old_id, name, text in held:
        connection.execute("insert into moved_record values (?, ?)", [old_id, moved_id(tables()[name], SOURCE, text)])
    now = "(select any_value(new_id) from moved_{of} where old_id = here.{column})"
    receipt = "coalesce(" + now.format(of="receipt", column="receipt_id") + ", here.receipt_id) as receipt_id"
    record = now.format(of="record", column="quarantine_id") + " as quarantine_id"
    moved = {}
    for name in names:
        key = (*tables()[name].key, *(["recorded_from"] if tables()[name].history else []))
        moved[name] = _moved(connection, name, key, instead=receipt)
    moved["quarantine.record"] = _moved(
        connection,
        "quarantine.record",
        ("quarantine_id",),
        _about(names),
        f"{receipt}, {record}, '{SOURCE}' as source_code",
    )
    decided = "quarantine_id in (select old_id from moved_record)"
    key = tables()["ops.quarantine_decision"].key
    _moved(connection, "ops.quarantine_decision", key, decided, record)
    for name, own in own_lines().items():
        if "table_name" in tables()[name].column_names:
            _moved(connection, name, tables()[name].key, own)
    path = "(select any_value(path) from moved_receipt where old_id = here.receipt_id) as path"
    _moved(
        connection, "ops.receipt", ("receipt_id",), "receipt_id in (select old_id from moved_receipt)",
        f"{receipt}, {path}, '{SOURCE}' as source_code",
    )  # fmt: skip
    # One pull for each file, in the order of their coming: held records are read again pull by pull.
    connection.execute(
        f"""insert into victims.ops.pull by name
        select refresh_at, '{SOURCE}' as source_code, [receipt_id] as receipt_ids, false as is_retry,
          row_number() over (partition by refresh_at order by received_at, receipt_id) as pull_number
        from victims.ops.receipt r
        where source_code = '{SOURCE}' and not exists
          (select 1 from victims.ops.pull p where p.source_code = '{SOURCE}' and list_contains(p.receipt_ids, r.receipt_id))"""
    )
    connection.execute("drop table temp.moved_receipt; drop table temp.moved_record")
    return {name: count for name, count in moved.items() if count}


def _moved(connection: Any, name: str, key: tuple[str, ...], where: str = "true", instead: str = "") -> int:
    """How many rows of the table were not in the victims' store yet. `instead`: columns that are other there."""
    columns = ", ".join(column for column in tables()[name].column_names if column in _columns(connection, name))
    other = f" replace ({instead})" if instead else ""
    same = " and ".join(f"there.{column} is not distinct from moving.{column}" for column in key)
    ((count,),) = connection.execute(
        f"""insert into victims.{name} by name
        select {columns} from (select *{other} from {name} here where {where}) moving
        where not exists (select 1 from victims.{name} there where {same})"""
    ).fetchall()
    return int(count)


def _columns(connection: Any, name: str) -> set[str]:
    """Columns that the table of the older program has."""
    asked = "select column_name from duckdb_columns() where database_name = current_database() and schema_name = ? and table_name = ?"
    return {row[0] for row in connection.execute(asked, name.split(".")).fetchall()}
