"""Dagster's event log in SQLite, without a new engine for each event.

Belongs here: one override of Dagster's own storage, named in `dagster.yaml`. Does not belong here: anything about events.

Dagster's class builds an engine, compiles its statements and opens and closes the file for every event; a refresh stores more than
1,100 (one planned and one evaluated event per check). Measured on a refresh with nothing new (2026-11-26, 2 cores): 11 s of 26 s of
processor time. With one engine per file the statements stay compiled and the file stays open. What Dagster hands over as a batch (the
planned events of a run: one per table and check, some 700) is one transaction per file instead of three per event. The files are the
same: Dagster's own class reads them, and other processes may.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import sqlalchemy as sa
from dagster import EventLogEntry, StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

KEPT_OPEN = 8
"""Files kept open: the index and the runs of late; a daemon that lives for months sees hundreds of runs."""

BUSY_SECONDS = 30
"""How long a connection waits for another process that writes; Dagster's own value."""


class KeptOpenEventLogStorage(SqliteEventLogStorage):
    """Dagster's SQLite event log under `home`/history/runs, its engines kept from event to event."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, sa.Engine] = {}
        self._tables: set[str] = set()
        self._batch = threading.local()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The one key: the folder that is DAGSTER_HOME."""
        return {"home": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "KeptOpenEventLogStorage":
        """The storage where Dagster's default one would be."""
        return cls(os.path.join(config_value["home"], "history", "runs"), inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """All of the events are stored, or none: one transaction per file."""
        with self._db_lock, ExitStack() as open_files:
            begun: dict[str, sa.Connection] = {}

            def connection(shard: str) -> sa.Connection:
                if shard not in begun:
                    begun[shard] = open_files.enter_context(self._begin(shard))
                return begun[shard]

            self._batch.connection = connection
            try:
                for event in events:
                    self.store_event(event)
            finally:
                del self._batch.connection

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        of_batch = getattr(self._batch, "connection", None)  # of this thread: others wait for the lock
        if of_batch is not None:
            yield of_batch(shard)
            return
        with self._db_lock, self._begin(shard) as connection:
            yield connection

    @contextmanager
    def _begin(self, shard: str) -> Iterator[sa.Connection]:
        """A transaction on a file, by who holds the lock."""
        engine = self._engines.pop(shard, None) or self._engine(shard)
        self._engines[shard] = engine  # the last used stands last
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        with engine.begin() as connection:
            yield connection
        while len(self._engines) > KEPT_OPEN:
            self._engines.pop(next(iter(self._engines))).dispose()

    def has_table(self, table_name: str) -> bool:
        """True when the index has the table. Asked for every check event; a table that is there does not go away."""
        if table_name not in self._tables:
            if not super().has_table(table_name):
                return False
            self._tables.add(table_name)
        return True

    def _engine(self, shard: str) -> sa.Engine:
        """An engine with one connection, which the lock hands from thread to thread."""
        engine = sa.create_engine(
            self.conn_string_for_shard(shard),
            poolclass=sa.pool.StaticPool,
            connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        )
        # In WAL mode a power cut may take the last events, never the file; the warehouse does not depend on them.
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("pragma synchronous = normal"))
        return engine

    def dispose(self) -> None:
        """The files are closed."""
        with self._db_lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()
        super().dispose()
