"""DHIS2 data values from server to core: each step, and the shortest script that does the same work with polars and DuckDB.

Belongs here: the work and its floors, each a function that `benchmarks.measure.run` starts in a process of its own. A floor knows
nothing of rejections, repeats, checks, history or resuming: it is what the bare engines take for the same bytes.
"""

import contextlib
import io
import shutil
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

AT = datetime(2026, 7, 6, 5, 0, tzinfo=UTC)
SERVER = "khm"
TOKEN = "practice-token"
CHANGED_SHARE = 0.01


def settings(url: str, values: int) -> dict[str, Any]:
    """The `[[dhis2]]` table of a server that has nothing but the bulk data set."""
    from practice.dhis2.bulk import Bulk

    bulk = Bulk(SERVER, values)
    return {
        "code": SERVER, "name": "Bulk server", "country": "KHM", "url": url, "credential_env": "BULK",
        "root_org_units": [bulk.root], "data_from": date(2021, 1, 1), "future_periods_days": 0, "data_set": [bulk.settings()],
    }  # fmt: skip


class _NoScales:
    """Weighs nothing: what loading costs without checks."""

    def checks_for(self, table: Any) -> list[Any]:
        return []

    def weigh(self, connection: Any, table: Any, context: Any) -> list[Any]:
        return []


def _mapping(values: int, url: str = "http://127.0.0.1") -> Any:
    from assets.dhis2.mapping import parse_instance

    return parse_instance(settings(url, values), is_practice=True)


def _load(folder: str, values: int, scales: Any, at: datetime, keep: bool = True) -> dict[str, Any]:
    from assets.dhis2.assets import batches
    from assets.loading import load_source
    from warehouse.landing import Landing
    from warehouse.store import Warehouse

    mapping, landing = _mapping(values), Landing(Path(folder) / "landing")
    store = Warehouse(Path(folder) / "warehouse.duckdb")
    with store.connect():
        pass  # the schema is made once in a store's life
    started = time.perf_counter()
    report = load_source(store, landing, scales, mapping.source_code, at, batches(mapping, landing))
    seconds = time.perf_counter() - started
    if report.fault is not None or report.load is None:
        raise RuntimeError(report.fault or "nothing was waiting")
    merged = report.load.history.get("core.data_value")
    return {
        "seconds": seconds,
        "inserted": merged.inserted if merged else 0,
        "changed": merged.changed if merged else 0,
    }


# The work -------------------------------------------------------------------------------------------------------------


def pull(folder: str, url: str, values: int) -> dict[str, Any]:
    """One full pull of the server, landed and waiting to be loaded."""
    from assets.dhis2.client import Credential, Dhis2Client
    from assets.dhis2.extract import pull_instance
    from methods.pseudonym import Pseudonymiser
    from warehouse.landing import Landing

    shutil.rmtree(Path(folder) / "landing", ignore_errors=True)
    mapping, landing = _mapping(values, url), Landing(Path(folder) / "landing")
    started = time.perf_counter()
    result = pull_instance(
        Dhis2Client(url, Credential(token=TOKEN), server=SERVER, max_parallel=2),
        mapping,
        lambda part: landing.pull(mapping.source_code, part, AT, is_practice=True),
        None,
        Pseudonymiser("a key that is long enough for a benchmark", "k"),
    )
    landing.note_pull(result.receipts, AT)
    return {"seconds": time.perf_counter() - started, "values": result.counts["data_values"]}


def load(folder: str, values: int) -> dict[str, Any]:
    """What waits is staged and merged into an empty core, without checks."""
    _fresh(folder)
    _wait_again(folder)
    return _load(folder, values, _NoScales(), AT)


def load_weighed(folder: str, values: int) -> dict[str, Any]:
    """The same with every suite of the tables, through Great Expectations."""
    from expectations.scales import GreatExpectationsScales

    _import_great_expectations()
    _fresh(folder)
    _wait_again(folder)
    return _load(folder, values, GreatExpectationsScales(), AT)


def load_nothing_new(folder: str, values: int) -> dict[str, Any]:
    """A full pull that says what the store says already."""
    from expectations.scales import GreatExpectationsScales

    _wait_again(folder)
    return _load(folder, values, GreatExpectationsScales(), AT + timedelta(days=7))


def load_changed(folder: str, values: int) -> dict[str, Any]:
    """An incremental pull in which one value in a hundred has moved."""
    from expectations.scales import GreatExpectationsScales

    _import_great_expectations()
    _land_changes(folder)
    return _load(folder, values, GreatExpectationsScales(), AT + timedelta(days=7))


# The floors -----------------------------------------------------------------------------------------------------------


def floor_pull(folder: str, url: str, values: int) -> None:
    """The same CSV answers, asked for year by year with plain requests and written to files."""
    import requests

    from practice.dhis2.bulk import FIRST_YEAR, YEARS, Bulk

    bulk = Bulk(SERVER, values)
    target = Path(folder) / "floor"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for year in range(FIRST_YEAR, FIRST_YEAR + YEARS):
        with requests.get(
            f"{url}/api/dataValueSets.csv",
            params={"dataSet": bulk.data_set_uid, "orgUnit": bulk.root, "children": "true", "startDate": f"{year}-01-01",
                    "endDate": f"{year}-12-31", "includeDeleted": "true"},
            headers={"Authorization": f"ApiToken {TOKEN}"}, stream=True, timeout=600,
        ) as answer, (target / f"{year}.csv").open("wb") as file:  # fmt: skip
            answer.raise_for_status()
            for block in answer.iter_content(1 << 20):
                file.write(block)


def floor_load(folder: str, values: int) -> dict[str, Any]:
    """The landed files, typed by polars and inserted into one DuckDB table."""
    import duckdb
    import polars as pl

    store = Path(folder) / "floor.duckdb"
    store.unlink(missing_ok=True)
    started = time.perf_counter()
    with duckdb.connect(str(store)) as connection:
        for number, path in enumerate(_landed(folder)):
            frame = pl.read_parquet(path).with_columns(
                pl.col("value").cast(pl.Float64, strict=False).alias("value_number"),
                pl.col("period").str.to_date("%Y%m", strict=False).alias("period_start_on"),
                pl.col("last_updated").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False).alias("updated_at"),
                pl.col("deleted").eq("true").fill_null(False).alias("is_deleted"),
            )
            connection.register("landed", frame.to_arrow())
            connection.execute(
                "insert into value select * from landed" if number else "create table value as from landed"
            )
        ((rows,),) = connection.execute("select count(*) from value").fetchall()
    return {"seconds": time.perf_counter() - started, "inserted": rows}


# What both need -------------------------------------------------------------------------------------------------------


def _landed(folder: str) -> list[Path]:
    """The landed value files of the one full pull."""
    found = sorted((Path(folder) / "landing").glob("dhis2_*/*/files/*.parquet"))
    if not found:
        raise RuntimeError(f"no landed value files below {folder}")
    return found


def _fresh(folder: str) -> None:
    for path in Path(folder).glob("warehouse.duckdb*"):
        path.unlink()


def _receipts(folder: str) -> list[Any]:
    from warehouse.landing import Landing

    return [
        receipt
        for receipt in Landing(Path(folder) / "landing").receipts(f"dhis2_{SERVER}")
        if receipt.watermark != "changes"
    ]


def _wait_again(folder: str) -> None:
    """The full pull waits once more. What an earlier load found there is not repeated: receipts are told by their bytes."""
    from warehouse.landing import Landing

    landing = Landing(Path(folder) / "landing")
    landing.settle_pulls(f"dhis2_{SERVER}")
    landing.note_pull(_receipts(folder), AT)


def _land_changes(folder: str) -> None:
    import polars as pl

    from warehouse.landing import Landing

    landing = Landing(Path(folder) / "landing")
    landing.settle_pulls(f"dhis2_{SERVER}")
    changed = []
    for receipt in _receipts(folder):
        if receipt.kind_code != "data_values":
            changed.append(receipt)
            continue
        again = landing.pull(receipt.source_code, receipt.part_code, AT + timedelta(days=7), is_practice=True)
        again.restart()
        count = 0
        for path in landing.files(receipt):
            rows = pl.read_parquet(path)
            moved = rows.head(max(1, int(rows.height * CHANGED_SHARE))).with_columns(
                (pl.col("value").cast(pl.Int64) + 1).cast(pl.String).alias("value"),
                pl.lit("2026-07-01T02:00:00.000+0000").alias("last_updated"),
            )
            body = io.BytesIO()
            moved.write_parquet(body)
            again.write(path.name, body.getvalue())
            count += moved.height
        changed.append(
            again.finish(
                receipt.kind_code, receipt.locator, {**receipt.parameters, "mode": "incremental"}, count,
                server_version=receipt.server_version, server_at=receipt.server_at, watermark="changes",
            )
        )  # fmt: skip
    landing.note_pull(changed, AT + timedelta(days=7))


def _import_great_expectations() -> None:
    """The import is paid before the clock starts: it is the same at every size."""
    with contextlib.redirect_stdout(io.StringIO()):
        import great_expectations  # noqa: F401
