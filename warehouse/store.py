"""The restricted warehouse file: opened by one writer, built from the catalogue, never left half-written.

Belongs here: connections, schema bootstrap, reading what the store says of itself. Does not belong here: loading rows
(`warehouse.load`), history, publishing.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import duckdb
import polars as pl

from warehouse import migrations, schema
from warehouse.catalogue.correction_ledger import Correction
from warehouse.catalogue.table_catalogue import Table, tables_of

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Asked = ParamSpec("Asked")

CONFIGURATION = {
    # A missing extension must fail at once, not after a download attempt of seconds.
    "autoinstall_known_extensions": "false",
    # Without this a misspelt table name resolves silently to a local Python variable.
    "python_enable_replacements": "false",
}

MEMORY_MB = 256
"""What DuckDB may take unasked: what is larger spills to disk beside the store. Ten million data values were pulled, weighed and
merged with it below 1 GiB for the whole process; left alone, DuckDB takes four fifths of the machine."""
_WIDENED = 4
"""How many times as much a piece of work gets that did not fit."""

RETRY_SECONDS = 0.1

VICTIMS_FILE = Path("victims") / "victims.duckdb"
"""Where the victims' store stands beside a warehouse."""

_NOT_DAMAGED = ("permission denied", "read-only file system", "no space left on device")
"""What DuckDB quotes from the system when it is the account or the disk, and a backup would not help."""


class StoreError(Exception):
    """The warehouse cannot be opened or was built by other code; the message says which and what to do."""


class StoreLocked(StoreError):
    """Another process is writing; another attempt may help."""


def code_version() -> str:
    """Version of the installed code."""
    try:
        return version("mhwg-warehouse")
    except PackageNotFoundError:
        return "unknown"


class OutOfMemory(StoreError):
    """A query needs more memory than the settings allow; the message says which setting and what it is."""


def half_of_machine_mb() -> int:
    """Half of the memory that this process may have: of the machine, or of its container (cgroup v2) when that has less."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.exists() else "max"
    if text.isdigit():
        found = min(found, int(text))
    return found // 2 // 2**20


class Warehouse:
    """The restricted warehouse `warehouse.duckdb`. Each `connect` opens and closes the file; within `kept_open` they share one
    opening."""

    def __init__(
        self,
        path: Path,
        entries: Mapping[str, Table] | None = None,
        *,
        steps: tuple[migrations.Step, ...] | None = None,
        patience_seconds: float = 0.0,
        corrections: Sequence[Correction] = (),
        memory_mb: int | None = None,
        most_memory_mb: int | None = None,
    ) -> None:
        self.path = path
        self.memory_mb = memory_mb or MEMORY_MB
        """What DuckDB may take in the next connection; grows when work did not fit (`with_room`)."""
        self.most_memory_mb = max(self.memory_mb, most_memory_mb or half_of_machine_mb())
        self.corrections = tuple(corrections)
        """Entries of the corrections ledger that loads apply."""
        self.entries = dict(entries if entries is not None else tables_of("warehouse"))
        self.steps = steps if steps is not None else migrations.steps()
        self.patience_seconds = patience_seconds
        """How long `connect` waits for another process that has the file: the sources' runs take turns as writers."""
        self.written_at: datetime | None = None
        """System time of the last commit through this object: one run, one system time (`warehouse.load`)."""
        self._is_kept_open = False
        self._shows_victims = False
        self._kept: duckdb.DuckDBPyConnection | None = None

    @property
    def victims(self) -> Path:
        """File of the victims' store that belongs to this warehouse; `warehouse.victims` has what is told of it."""
        return self.path.parent / VICTIMS_FILE

    @property
    def exists(self) -> bool:
        """True when a refresh has built the store."""
        return self.path.exists()

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection in UTC, closed at the end whatever happens. The writer's connection finds every table of the catalogue.

        Raises StoreLocked when another process has the file, StoreError when it is not a warehouse or is missing.
        """
        with self._opened(read_only) as connection:
            if not read_only:
                self._bootstrap(connection)
            yield connection

    def with_room(self, work: Callable[[], Result]) -> Result:
        """What `work` returns. Where a query of it does not fit into the memory limit and cannot spill, `work` is done again
        with four times as much, up to `most_memory_mb`; what it had begun must be undone when it raises, as a transaction is.

        Raises OutOfMemory when even that is too little.
        """
        while True:
            try:
                return work()
            except duckdb.OutOfMemoryException as fault:
                if self.memory_mb >= self.most_memory_mb:
                    raise OutOfMemory(
                        f"{self.path.name}: a query needs more than {self.most_memory_mb} MiB of memory and cannot be done in pieces; "
                        "raise most_memory_mb in [warehouse] of the settings, or run on a machine with more memory. "
                        "The last good data stay in place."
                    ) from fault
                self.memory_mb = min(self.most_memory_mb, self.memory_mb * _WIDENED)
                log.warning("%s: a query did not fit; done again with %d MiB", self.path.name, self.memory_mb)

    @contextmanager
    def connect_as_is(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The only writer's connection on an existing store, whatever its version: for backups and upgrades, which must not
        change a store by looking at it."""
        if not self.exists:
            raise StoreError(f"{self.path} does not exist yet; run `mhwg refresh` first.")
        with self._opened(read_only=False) as connection:
            yield connection

    @contextmanager
    def _opened(self, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        if read_only and not self.exists:
            raise StoreError(f"{self.path} does not exist yet; run `mhwg refresh` first.")
        connection = self._shared() if self._is_kept_open else self._opened_anew(read_only)
        try:
            connection.execute("set TimeZone = 'UTC'")
            # Not in CONFIGURATION: two connections of one process must open the file with the same one.
            connection.execute(f"set memory_limit = '{self.memory_mb}MiB'")
            yield connection
        except BaseException:
            self._let_go()  # a fault may have left the engine unusable
            raise
        finally:
            connection.close()

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Every `connect` within the block shares one opening of the file, as the writer; it is opened when first asked for.

        A step asks the store for many small things, and opening and closing took 24 ms each: 2 s of a refresh that finds
        nothing new (2026-11-26). Not around work that waits for a server: meanwhile no other process can read the store.
        """
        if self._is_kept_open:
            yield
            return
        self._is_kept_open = True
        try:
            yield
        finally:
            self._is_kept_open = False
            self._let_go()

    @contextmanager
    def showing_victims(self) -> Iterator[None]:
        """Within the block, connections read the registers of the victims' store as `restricted.*`, and its held records as
        `restricted.held_record`: copies in memory, made at each opening. Nothing of them is written to this store's file.

        The copy is made at opening, because a transaction can write to one database only, and DuckDB's is this store's.
        """
        self._let_go()
        self._shows_victims = True
        try:
            yield
        finally:
            self._shows_victims = False
            self._let_go()

    def _shared(self) -> duckdb.DuckDBPyConnection:
        if self._kept is None:
            self._kept = self._opened_anew(read_only=False)
        return self._kept.cursor()

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _opened_anew(self, read_only: bool) -> duckdb.DuckDBPyConnection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not self.exists
        connection = self._open(read_only)
        if is_new:
            os.chmod(self.path, 0o600)
        if self._shows_victims:
            try:
                self._show_victims(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _show_victims(self, connection: duckdb.DuckDBPyConnection) -> None:
        # A database called `restricted`, so that `restricted.victim_count` means the same here as in the victims' store.
        connection.execute("attach ':memory:' as restricted (read_write)")
        apart = [table for name, table in tables_of("victims").items() if table.schema_name == "restricted"]
        record = tables_of("victims")["quarantine.record"]
        for table in apart:
            connection.execute(schema.create_statement(table))
            connection.execute(schema.current_view_statement(table))
            connection.execute(schema.as_of_macro_statement(table))
        connection.execute(schema.create_statement(record).replace(record.name, "restricted.held_record", 1))
        if self.victims.exists():
            with self.victims_attached(connection):
                for table in apart:
                    connection.execute(f"insert into {table.name} by name from victims.{table.name}")
                connection.execute("insert into restricted.held_record by name from victims.quarantine.record")

    @contextmanager
    def victims_attached(self, connection: duckdb.DuckDBPyConnection, *, read_only: bool = True) -> Iterator[None]:
        """Within the block the connection has the victims' store as the database `victims`; another process that has it is waited
        for. Raises StoreLocked when it does not end in time."""
        self._attach_victims(connection, "read_only" if read_only else "read_write")
        try:
            yield
        finally:
            connection.execute("detach victims")

    def _attach_victims(self, connection: duckdb.DuckDBPyConnection, mode: str) -> None:
        until = time.monotonic() + self.patience_seconds
        while True:
            try:
                connection.execute(f"attach {schema.quote_literal(str(self.victims))} as victims ({mode})")
                return
            except duckdb.IOException as fault:
                if "could not set lock" not in str(fault).lower() or time.monotonic() >= until:
                    raise StoreLocked(
                        f"{self.victims} cannot be read: {_first_line(fault)}. If it is in use, wait for the refresh to end; "
                        "if it is damaged, go back to a backup: `mhwg restore FILE --replace`."
                    ) from fault
                time.sleep(RETRY_SECONDS)

    def _open(self, read_only: bool) -> duckdb.DuckDBPyConnection:
        """The file, opened; while another process has it, another attempt every now and then."""
        until = time.monotonic() + self.patience_seconds
        while True:
            try:
                return duckdb.connect(str(self.path), read_only=read_only, config=dict(CONFIGURATION))
            except (duckdb.OutOfMemoryException, duckdb.PermissionException):
                raise
            except duckdb.Error as fault:  # a header whose checksum differs is a plain duckdb.Error, not an IOException
                text = str(fault).lower()
                if any(words in text for words in _NOT_DAMAGED):
                    raise StoreError(f"{self.path} may not be opened by this account: {_first_line(fault)}.") from fault
                if "could not set lock" not in text:  # "lock" alone is in "block", and in many a path
                    raise StoreError(
                        f"{self.path} cannot be opened as a warehouse: {_first_line(fault)}. "
                        "Go back to a backup: `mhwg restore FILE --replace`."
                    ) from fault
                if time.monotonic() >= until:
                    holder = re.search(r"PID (\d+)", str(fault))
                    who = f"process {holder[1]}" if holder else "another process"
                    raise StoreLocked(
                        f"{self.path.name} is in use by {who} (a refresh or a materialisation); wait for it to end."
                    ) from fault
                time.sleep(RETRY_SECONDS)

    @property
    def schema_version(self) -> int:
        """The schema version that this program builds."""
        return migrations.FIRST_VERSION + len(self.steps)

    def pending_steps(self) -> tuple[migrations.Step, ...]:
        """Migrations that the store still needs; none for a store that does not exist yet."""
        if not self.exists:
            return ()
        with self.connect(read_only=True) as connection:
            version = migrations.stored_version(connection)
        return () if version is None else migrations.pending(version, self.steps)

    def upgrade(self) -> tuple[migrations.Step, ...]:
        """The store is of this program's schema version; returns the steps that were run. All of them or none.

        The caller takes a backup first (`mhwg upgrade` does). Raises StoreError when the store is newer than the program.
        """
        with self.connect_as_is() as connection:
            version = migrations.stored_version(connection)
            self._refuse_newer(version)
            needed = () if version is None else migrations.pending(version, self.steps)
            self._apply(connection, needed)
        return needed

    def bring_up_to_date(self) -> None:
        """An existing store has every table of the catalogue, so that readers of newer code find theirs. Nothing is written
        when it has; a store that does not exist is left so."""
        if not self.exists:
            return
        with self.connect(read_only=True) as connection:
            is_current = stored_fingerprint(connection) == schema.fingerprint(self.entries.values())
        if not is_current:
            with self.connect():
                pass

    def _bootstrap(self, connection: duckdb.DuckDBPyConnection) -> None:
        if stored_fingerprint(connection) == schema.fingerprint(self.entries.values()):
            return
        version = migrations.stored_version(connection)
        self._refuse_newer(version)
        if version is not None and migrations.pending(version, self.steps):
            raise StoreError(
                f"{self.path.name} is of schema version {version}, this program needs {self.schema_version}; "
                "run `mhwg upgrade`, which takes a backup first."
            )
        self._apply(connection, ())

    def _refuse_newer(self, version: int | None) -> None:
        if version is not None and version > self.schema_version:
            raise StoreError(
                f"{self.path.name} is of schema version {version}, newer than this program ({self.schema_version}); install "
                "the version that wrote it, or go back to a backup with `mhwg restore FILE --replace`."
            )

    def _apply(self, connection: duckdb.DuckDBPyConnection, needed: tuple[migrations.Step, ...]) -> None:
        wanted = schema.fingerprint(self.entries.values())
        connection.execute("begin")
        try:
            migrations.run(connection, needed)
            apply_catalogue(connection, self.entries)
            connection.execute("delete from ops.store_version")
            connection.execute(
                "insert into ops.store_version (fingerprint, code_version, schema_version) values (?, ?, ?)",
                [wanted, code_version(), self.schema_version],
            )
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise

    def read(self, query: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """The result of a query on the store as a frame, read-only."""

        def ask() -> pl.DataFrame:
            with self.connect(read_only=True) as connection:
                return fetch_frame(connection, query, parameters)

        return self.with_room(ask)

    def row_counts(self, names: Iterable[str]) -> dict[str, int]:
        """Rows of each table, of tables with history the open ones; empty for a store that does not exist yet."""
        if not self.exists:
            return {}
        with self.connect(read_only=True) as connection:
            return {
                name: connection.execute(
                    f"select count(*) from {name}{'_current' if self.entries[name].history else ''}"
                ).fetchall()[0][0]
                for name in names
            }

    def changed_at(self, names: Iterable[str]) -> dict[str, datetime]:
        """When each of these tables last changed a row with history; a table that never did, or has none, is left out."""
        if not self.exists:
            return {}
        found = self.read(
            """select table_name, max(refresh_at) as changed_at from ops.load where list_contains($names, table_name)
            and coalesce(inserted, 0) + coalesce(changed, 0) + coalesce(closed, 0) > 0 group by table_name""",
            {"names": sorted(names)},
        )
        return dict(found.iter_rows())

    def rewrite(self) -> None:
        """The file holds what its tables hold and nothing else: blocks of deleted rows, which DuckDB keeps until they are
        used again, are gone with the old file. Readers that have it open keep the old one until they close it."""
        fresh = self.path.with_name(f".{self.path.name}.rewriting")
        fresh.unlink(missing_ok=True)
        with self.connect_as_is() as connection:
            connection.execute("checkpoint")
            ((name,),) = connection.execute("select current_database()").fetchall()
            connection.execute(f"attach {schema.quote_literal(str(fresh))} as rewritten")
            os.chmod(fresh, 0o600)
            connection.execute(f'copy from database "{name}" to rewritten')
            connection.execute("checkpoint rewritten")
            with fresh.open("rb") as stream:
                os.fsync(stream.fileno())
            # While both files are open, and so locked: a writer that waits finds the new one, and nothing it writes is lost.
            os.replace(fresh, self.path)

    def last_refresh_at(self) -> datetime | None:
        """System time of the last refresh that wrote anything; None for a new store."""
        if not self.exists:
            return None
        with self.connect(read_only=True) as connection:
            ((latest,),) = connection.execute("select max(refresh_at) from ops.load").fetchall()
        return latest if isinstance(latest, datetime) else None


def fetch_frame(connection: Any, query: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """The result of a query on a live connection as a polars frame."""
    relation = connection.sql(query, params=dict(parameters) if parameters else None)
    frame = pl.from_arrow(relation.to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def stored_fingerprint(connection: Any) -> str | None:
    """The catalogue digest the store was built from; None for an empty file."""
    ((found,),) = connection.execute(
        "select count(*) from duckdb_tables() where schema_name = 'ops' and table_name = 'store_version'"
    ).fetchall()
    if not found:
        return None
    rows = connection.execute("select fingerprint from ops.store_version").fetchall()
    return rows[0][0] if rows else None


def apply_catalogue(connection: Any, entries: Mapping[str, Table]) -> None:
    """Every table of the catalogue exists with its columns and comments. Columns that are new in the catalogue are added.

    Raises StoreError when a column changed its type or vanished from the catalogue: that needs a migration, not a guess.
    """
    for name in sorted({table.schema_name for table in entries.values()}):
        connection.execute(f"create schema if not exists {name}")
    for table in entries.values():
        connection.execute(schema.create_statement(table))
        _add_missing_columns(connection, table)
        for statement in schema.comment_statements(table):
            connection.execute(statement)
        if table.history:
            connection.execute(schema.current_view_statement(table))
            connection.execute(schema.as_of_macro_statement(table))


def _add_missing_columns(connection: Any, table: Table) -> None:
    present = dict(
        connection.execute(
            "select column_name, lower(data_type) from duckdb_columns() where schema_name = ? and table_name = ?",
            [table.schema_name, table.table_name],
        ).fetchall()
    )
    for column in table.columns:
        if column.name not in present:
            connection.execute(f"alter table {table.name} add column {column.name} {column.type}")
        elif present[column.name] != column.type:
            raise StoreError(
                f"{table.name}.{column.name} is {present[column.name]} in the store and {column.type} in the catalogue, "
                "and no migration leads there; use the program version that built the store (`mhwg backup` keeps it)."
            )
    gone = sorted(set(present) - set(table.column_names))
    if gone:
        raise StoreError(
            f"{table.name} has columns that the catalogue no longer knows: {gone}, and no migration removes "
            "them; use the program version that built the store (`mhwg backup` keeps it)."
        )


def _first_line(fault: Exception) -> str:
    return str(fault).splitlines()[0][:200] if str(fault) else type(fault).__name__


def given_room(
    work: Callable[Concatenate[Warehouse, Asked], Result],
) -> Callable[Concatenate[Warehouse, Asked], Result]:
    """The function, done with `Warehouse.with_room` of the store that is its first argument."""

    @wraps(work)
    def roomy(warehouse: Warehouse, /, *args: Asked.args, **kwargs: Asked.kwargs) -> Result:
        return warehouse.with_room(lambda: work(warehouse, *args, **kwargs))

    return roomy
