"""What history costs: a one-percent batch against rebuilding, and a reading as of an instant against the current one.

Run by hand: `.venv/bin/python benchmarks/history.py [--rows 10000000]`. Targets: the batch at most 10 % of rebuilding, the
as-of reading at most twice the current one. Times are of this machine; the ratios are what counts.
"""

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from warehouse import history
from warehouse.catalogue.table_catalogue import Column, Table
from warehouse.store import Warehouse

START = datetime(2026, 1, 5, tzinfo=UTC)
FIGURE = Table(
    name="core.figure", row="one figure of the benchmark", description="A table made for the benchmark of history.",
    group="reference", owner="team:mhwg-data", key=("place", "period"), history=True,
    column=(
        Column(name="place", type="integer", description="first part of the key"),
        Column(name="period", type="integer", description="second part of the key"),
        Column(name="size", type="double", description="the value compared"),
    ),
)  # fmt: skip
PERIODS = 100


def rows(count: int, changed: bool) -> str:
    """SQL of `count` figures; changed ones have another value."""
    return (
        f"select (i // {PERIODS})::integer as place, (i % {PERIODS})::integer as period, "
        f"(i * 0.5 + {int(changed)})::double as size, 'r' as receipt_id, false as is_deleted from range({count}) t(i)"
    )


def measured(what, repeat: int = 1) -> float:
    """Seconds of the fastest of `repeat` runs."""
    best = float("inf")
    for _ in range(repeat):
        began = time.perf_counter()
        what()
        best = min(best, time.perf_counter() - began)
    return best


def main() -> None:
    """Print the two ratios with the times behind them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        store = Warehouse(Path(folder) / "warehouse.duckdb")
        store.entries[FIGURE.name] = FIGURE
        with store.connect() as connection:

            def load(number: int, changed: bool, at: datetime) -> None:
                connection.execute("begin")
                history.load(connection, FIGURE, rows(number, changed), at, mode="delta")
                connection.execute("commit")

            build = measured(lambda: load(count, False, START))
            batch = measured(lambda: load(count // 100, True, START + timedelta(weeks=1)))

            def read(source: str) -> None:
                connection.execute(f"select place, sum(size) from {source} group by place").fetchall()

            middle = f"timestamp '{START + timedelta(days=3):%Y-%m-%d}'"
            current = measured(lambda: read("core.figure_current"), 5)
            as_of = measured(lambda: read(f"core.figure_as_of({middle})"), 5)
    print(f"{count:,} rows: built in {build:.2f} s; a batch of {count // 100:,} in {batch:.2f} s: {batch / build:.1%}")
    print(f"current read {current * 1000:.0f} ms, as-of read {as_of * 1000:.0f} ms: {as_of / current:.2f} times")


if __name__ == "__main__":
    main()
