"""What history costs: rows loaded with their history, a batch of one in a hundred, the same batch again, a reading as of an instant.

Belongs here: the work and its floors on a table made for it, without sources and checks; each function is started by
`benchmarks.measure.run` in a process of its own. Does not belong here: real tables (`benchmarks.data_values`).
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Bench, Row, begin, compare, named_from, row, run

START = datetime(2026, 1, 5, tzinfo=UTC)
PERIODS = 100
BUILD, BATCH, AS_OF = "load into history", "a batch of 1 %", "read as of an instant"


def history_load(size: int, bench: Bench) -> Iterator[Row]:
    """`size` figures loaded with history, one in a hundred changed, and read as of a day before the change."""
    folder, work = str(bench.folder), partial(_ask, "benchmarks.history")
    if not any(bench.wants(stage) for stage in (BUILD, BATCH, AS_OF)):
        return
    bench.tell(f"{size:,} rows: history")
    builds, floors = compare(
        lambda: work("build", folder, size), lambda: work("floor_build", folder, size), bench.repetitions
    )
    yield row(BUILD, size, builds, floors, "DuckDB creates the table of the same rows")
    batch = [work("batch", folder, size)]
    yield row(BATCH, size, batch, builds, "building it anew", *named_from(10**7, size, 0.10, "10 % of building"))
    reads, floors = compare(
        lambda: work("read", folder, True), lambda: work("read", folder, False), max(3, bench.repetitions)
    )
    yield row(AS_OF, size, reads, floors, "the same aggregate of the current rows", 2.0, "2 x the current rows")


def _ask(module: str, function: str, *arguments: Any) -> Any:
    return run(f"{module}:{function}", *arguments)


def _figure() -> Any:
    from warehouse.catalogue.table_catalogue import Column, Table

    return Table(
        name="core.figure", row="one figure of the benchmark", description="A table made for the benchmark of history.",
        group="reference", owner="team:mhwg-data", key=("place", "period"), history=True,
        column=(
            Column(name="place", type="integer", description="first part of the key"),
            Column(name="period", type="integer", description="second part of the key"),
            Column(name="size", type="double", description="the value compared"),
        ),
    )  # fmt: skip


def _store(folder: str) -> Any:
    from warehouse.store import Warehouse

    store = Warehouse(Path(folder) / "history.duckdb")
    store.entries["core.figure"] = _figure()
    return store


def rows(count: int, changed: bool) -> str:
    """SQL of `count` figures; changed ones have another value."""
    return (
        f"select (i // {PERIODS})::integer as place, (i % {PERIODS})::integer as period, "
        f"(i * 0.5 + {int(changed)})::double as size, 'r' as receipt_id, false as is_deleted from range({count}) t(i)"
    )


def _load(folder: str, count: int, changed: bool, at: datetime) -> dict[str, Any]:
    from warehouse import history

    with _store(folder).connect() as connection:
        started = begin()
        connection.execute("begin")
        counts = history.load(connection, _figure(), rows(count, changed), at, mode="delta")
        connection.execute("commit")
        return {"seconds": time.perf_counter() - started, "inserted": counts.inserted, "changed": counts.changed}


def build(folder: str, count: int) -> dict[str, Any]:
    """`count` figures into an empty table with history."""
    for path in Path(folder).glob("history.duckdb*"):
        path.unlink()
    with _store(folder).connect():
        pass
    return _load(folder, count, False, START)


def batch(folder: str, count: int) -> dict[str, Any]:
    """One in a hundred of them has another value a week later."""
    return _load(folder, count // 100, True, START + timedelta(weeks=1))


def read(folder: str, as_of: bool) -> dict[str, Any]:
    """Mean seconds of an aggregate over all figures, now or as of a day before the batch."""
    source = f"core.figure_as_of(timestamp '{START + timedelta(days=3):%Y-%m-%d}')" if as_of else "core.figure_current"
    with _store(folder).connect() as connection:
        query = f"select place, sum(size) from {source} group by place"
        connection.execute(query).fetchall()
        started = begin()
        for _ in range(5):
            connection.execute(query).fetchall()
        return {"seconds": (time.perf_counter() - started) / 5, "mean_of": 5}


def floor_build(folder: str, count: int) -> dict[str, Any]:
    """The same rows in a plain table, with the two instants that a history needs."""
    import duckdb

    store = Path(folder) / "floor.duckdb"
    store.unlink(missing_ok=True)
    started = begin()
    with duckdb.connect(str(store)) as connection:
        connection.execute(
            f"create table figure as select *, timestamp '{START:%Y-%m-%d}' as recorded_from, null::timestamp as recorded_to "
            f"from ({rows(count, False)})"
        )
    seconds = time.perf_counter() - started
    store.unlink()
    return {"seconds": seconds}
