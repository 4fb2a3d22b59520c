"""DHIS2 data values from server to core: each step, and the shortest script that does the same work with polars and DuckDB.

Belongs here: the work and its floors, each a function that `benchmarks.measure.run` starts in a process of its own. A floor knows
nothing of rejections, repeats, checks, history or resuming: it is what the bare engines take for the same bytes.
"""

import contextlib
import io
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Bench, Row, begin, compare, named_from, row, run

AT = datetime(2026, 7, 6, 5, 0, tzinfo=UTC)
SERVER = "khm"
TOKEN = "practice-token"
CHANGED_SHARE = 0.01
FLOOR_AT_MOST = 10**7
"""Values that the script of the floor can hold: it keeps a year's JSON as objects, at 50 million more than 10 GiB of them."""


def settings(url: str, values: int) -> dict[str, Any]:
    """The `[[dhis2]]` table of a server that has nothing but the bulk data set."""
    from practice.dhis2.bulk import Bulk

    bulk = Bulk(SERVER, values)
    return {
        "code": SERVER, "name": "Bulk server", "country": "KHM", "url": url, "credential_env": "BULK",
        "root_org_units": [bulk.root], "data_from": date(2021, 1, 1), "future_periods_days": 0, "data_set": [bulk.settings()],
    }  # fmt: skip


PULL, STAGE, LOAD, WEIGHED = "pull and land", "parse and stage", "stage and merge into the core", "the same, weighed"
NOTHING, CHANGED, CURRENT, AS_OF = (
    "a full pull with nothing new",
    "an increment of 1 %",
    "read the current rows",
    "read as of a date",
)
END = "pull, land, type and load"
STAGES = (PULL, END, STAGE, LOAD, WEIGHED, NOTHING, CHANGED, AS_OF)


def data_values(size: int, bench: Bench) -> Iterator[Row]:
    """Pull, load, check, repeat and change one bulk data set of `size` values. The landed files stay in the bench's folder."""
    folder, work = str(bench.folder), partial(_ask, "benchmarks.data_values")

    def told(stage: str) -> bool:
        bench.tell(f"{size:,} data values: {stage}")
        return True

    wanted = [stage for stage in STAGES if bench.wants(stage)]
    if {PULL, END} & set(wanted) or (wanted and not _is_landed(folder)):
        told(PULL)
        # The server is of Python and on the same machine: by the clock it is most of a pull. Its processor time is not counted.
        with bulk_server(size) as url:
            pulled, floors = compare(
                lambda: work("pull", folder, url, size),
                (lambda: work("floor_pull", folder, url, size)) if PULL in wanted else None,
                1 if size > 10**6 else bench.repetitions,
            )
            if PULL in wanted:
                floor_is = "the same answers over the same loopback, written to files"
                yield row(PULL, size, pulled, floors, floor_is, 1024, "1 GiB", "peak_mib")
            if END in wanted and told(END):
                whole, floors = compare(
                    lambda: work("pull_and_load", folder, url, size),
                    (lambda: work("floor_json", folder, url, size)) if size <= FLOOR_AT_MOST else None,
                    1 if size > 10**6 else bench.repetitions,
                )
                floor_is = "requests asks for JSON, polars types it, DuckDB takes it" if floors else ""
                target = named_from(10**6, size, 1.5, "1.5 x floor") if floors else (None, "")
                yield row(END, size, whole, floors, floor_is, *target)
    if STAGE in wanted and told(STAGE):
        done, floors = compare(
            lambda: work("stage", folder, size), lambda: work("floor_stage", folder), bench.repetitions
        )
        yield row(STAGE, size, done, floors, "polars types the landed files")
    loads: list[Any] = []
    if LOAD in wanted and told(LOAD):
        loads, floors = compare(
            lambda: work("load", folder, size), lambda: work("floor_load", folder), bench.repetitions
        )
        yield row(LOAD, size, loads, floors, "polars types the landed files, DuckDB takes them")
    weighed: list[Any] = []
    if {WEIGHED, NOTHING, CHANGED, AS_OF} & set(wanted) and told(WEIGHED):
        weighed, without = compare(
            lambda: work("load_weighed", folder, size),
            lambda: work("load", folder, size),
            max(1, bench.repetitions - 1),
        )
        if WEIGHED in wanted:
            yield row(
                WEIGHED,
                size,
                weighed,
                without,
                "without the suites",
                *named_from(10**7, size, 1 / 0.7, "checks take 30 %"),
            )
    if NOTHING in wanted and told(NOTHING):
        yield row(NOTHING, size, [work("load_nothing_new", folder, size)], weighed, "a full load, weighed")
    if CHANGED in wanted and told(CHANGED):
        work("land_changes", folder)  # in a process of its own: it holds whole files, 3 GiB at 50 million values
        changed = [work("load_changed", folder, size)]
        yield row(
            CHANGED,
            size,
            changed,
            weighed,
            "a full load, weighed",
            *named_from(10**7, size, 0.10, "10 % of a full load"),
        )
    if AS_OF in wanted and told(AS_OF):
        read, floors = compare(
            lambda: work("read_history", folder, "core.data_value_as_of(timestamp '2026-07-08')"),
            lambda: work("read_history", folder, "core.data_value_current"),
            max(3, bench.repetitions),
        )
        yield row(AS_OF, size, read, floors, CURRENT, 2.0, "2 x the current rows")


def _ask(module: str, function: str, *arguments: Any) -> Any:
    return run(f"{module}:{function}", *arguments)


@contextlib.contextmanager
def bulk_server(values: int) -> Iterator[str]:
    """The address of a practice server, in this process, that has a data set of that many values."""
    from practice.clock import DEFAULT_SEED
    from practice.dhis2 import serve
    from practice.world.region import World

    world = World(DEFAULT_SEED, weekly_episodes=1)
    with serve(world, lambda: AT, (SERVER,), bulk_values=values) as servers:
        yield servers.urls[SERVER]


def _is_landed(folder: str) -> bool:
    landed = list((Path(folder) / "landing").glob("dhis2_*/*/files/*.parquet"))
    return bool(landed) and bool(_receipts(folder))


class NoScales:
    """Weighs nothing: what loading costs without checks."""

    def checks_for(self, table: Any) -> list[Any]:
        return []

    def weigh(self, connection: Any, table: Any, context: Any) -> list[Any]:
        return []


def _mapping(values: int, url: str = "http://127.0.0.1") -> Any:
    from assets.dhis2.mapping import parse_instance

    return parse_instance(settings(url, values), is_practice=True)


def _load(folder: str, values: int, scales: Any, at: datetime, is_whole: bool = False) -> dict[str, Any]:
    from assets.dhis2.assets import batches
    from assets.loading import load_source
    from warehouse.landing import Landing
    from warehouse.store import Warehouse

    mapping, landing = _mapping(values), Landing(Path(folder) / "landing")
    store = Warehouse(Path(folder) / "warehouse.duckdb")
    with store.connect():
        pass  # the schema is made once in a store's life
    started = time.perf_counter() if is_whole else begin()
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


def pull(folder: str, url: str, values: int, is_whole: bool = False) -> dict[str, Any]:
    """One full pull of the server, landed and waiting to be loaded."""
    seconds, counts = pull_into(folder, url, _mapping(values, url), is_whole)
    return {"seconds": seconds, "values": counts["data_values"]}


def pull_into(folder: str, url: str, mapping: Any, is_whole: bool = False) -> tuple[float, dict[str, int]]:
    """What the mapping names is landed in the emptied `folder/landing` and waits; seconds and counts. `is_whole`: part of a longer
    work that began before."""
    from assets.dhis2.client import Credential, Dhis2Client
    from assets.dhis2.extract import pull_instance
    from methods.pseudonym import Pseudonymiser
    from warehouse.landing import Landing

    shutil.rmtree(Path(folder) / "landing", ignore_errors=True)
    landing = Landing(Path(folder) / "landing")
    started = time.perf_counter() if is_whole else begin()
    result = pull_instance(
        Dhis2Client(url, Credential(token=TOKEN), server=SERVER, max_parallel=2),
        mapping,
        lambda part: landing.pull(mapping.source_code, part, AT, is_practice=True),
        None,
        Pseudonymiser("a key that is long enough for a benchmark", "k"),
    )
    landing.note_pull(result.receipts, AT)
    return time.perf_counter() - started, dict(result.counts)


def stage(folder: str, values: int) -> dict[str, Any]:
    """The landed files are read, typed and named as staging rows, none of them kept."""
    from assets.dhis2.payload import stage_frames
    from warehouse.landing import Landing

    started = begin()
    staged = stage_frames(_receipts(folder), Landing(Path(folder) / "landing"), _mapping(values))
    rows = 0
    for frames in staged.frames.values():
        for frame in [frames] if hasattr(frames, "height") else frames:
            rows += frame.height
    return {"seconds": time.perf_counter() - started, "rows": rows}


def read_history(folder: str, source: str) -> dict[str, Any]:
    """Mean seconds of one reading of the bulk rows, the file open and warm."""
    from warehouse.store import Warehouse

    with Warehouse(Path(folder) / "warehouse.duckdb").connect(read_only=True) as connection:
        query = f"select data_element_uid, count(*), sum(value_number) from {source} group by data_element_uid"
        connection.execute(query).fetchall()
        started = begin()
        for _ in range(5):
            connection.execute(query).fetchall()
        return {"seconds": (time.perf_counter() - started) / 5, "mean_of": 5}


def pull_and_load(folder: str, url: str, values: int) -> dict[str, Any]:
    """From the server into an empty core, without checks."""
    # As in the floor, imports are not the work.
    import assets.dhis2.assets
    import assets.dhis2.client
    import assets.dhis2.extract
    import assets.loading  # noqa: F401
    from warehouse.store import Warehouse

    _fresh(folder)
    with Warehouse(Path(folder) / "warehouse.duckdb").connect():
        pass  # the schema is made once in a store's life
    started = begin()
    pull(folder, url, values, is_whole=True)
    loaded = _load(folder, values, NoScales(), AT, is_whole=True)
    return {**loaded, "seconds": time.perf_counter() - started}


def load(folder: str, values: int) -> dict[str, Any]:
    """What waits is staged and merged into an empty core, without checks."""
    _fresh(folder)
    _wait_again(folder)
    return _load(folder, values, NoScales(), AT)


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


def _typed(path: Path) -> Any:
    """One landed file with its types."""
    import polars as pl

    return pl.read_parquet(path).with_columns(
        pl.col("value").cast(pl.Float64, strict=False).alias("value_number"),
        pl.col("period").str.to_date("%Y%m", strict=False).alias("period_start_on"),
        pl.col("last_updated").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False).alias("updated_at"),
        pl.col("deleted").eq("true").fill_null(False).alias("is_deleted"),
    )


def floor_stage(folder: str) -> dict[str, Any]:
    """The landed files, typed by polars."""
    import polars as pl  # noqa: F401  (the import is not the work)

    started = begin()
    rows = sum(_typed(path).height for path in _landed(folder))
    return {"seconds": time.perf_counter() - started, "rows": rows}


def landed_sum(folder: str) -> dict[str, Any]:
    """Sum of the landed values, for holding other clients' answers against."""
    return {"sum": int(sum(_typed(path)["value_number"].sum() for path in _landed(folder)))}


def floor_load(folder: str) -> dict[str, Any]:
    """The landed files, typed by polars and inserted into one DuckDB table."""
    import duckdb
    import polars as pl  # noqa: F401

    store = Path(folder) / "floor.duckdb"
    store.unlink(missing_ok=True)
    started = begin()
    with duckdb.connect(str(store)) as connection:
        for number, path in enumerate(_landed(folder)):
            connection.register("landed", _typed(path).to_arrow())
            connection.execute(
                "insert into value select * from landed" if number else "create table value as from landed"
            )
        ((rows,),) = connection.execute("select count(*) from value").fetchall()
    seconds = time.perf_counter() - started
    store.unlink()
    return {"seconds": seconds, "inserted": rows}


def floor_json(folder: str, url: str, values: int) -> dict[str, Any]:
    """What most scripts do: the values as JSON, year by year, a polars frame of each, one DuckDB table."""
    import json

    import duckdb
    import polars as pl
    import requests

    from practice.dhis2.bulk import FIRST_YEAR, YEARS, Bulk

    bulk, store = Bulk(SERVER, values), Path(folder) / "floor.duckdb"
    store.unlink(missing_ok=True)
    started = begin()
    with duckdb.connect(str(store)) as connection:
        for number, year in enumerate(range(FIRST_YEAR, FIRST_YEAR + YEARS)):
            answer = requests.get(
                f"{url}/api/dataValueSets.json",
                params={"dataSet": bulk.data_set_uid, "orgUnit": bulk.root, "children": "true", "startDate": f"{year}-01-01",
                        "endDate": f"{year}-12-31", "includeDeleted": "true"},
                headers={"Authorization": f"ApiToken {TOKEN}"}, timeout=3600,
            )  # fmt: skip
            answer.raise_for_status()
            frame = pl.DataFrame(json.loads(answer.content)["dataValues"]).with_columns(
                pl.col("value").cast(pl.Float64, strict=False).alias("value_number"),
                pl.col("period").str.to_date("%Y%m", strict=False).alias("period_start_on"),
                pl.col("lastUpdated").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False).alias("updated_at"),
            )
            connection.register("landed", frame.to_arrow())
            connection.execute(
                "insert into value select * from landed" if number else "create table value as from landed"
            )
        ((rows,),) = connection.execute("select count(*) from value").fetchall()
    seconds = time.perf_counter() - started
    store.unlink()
    return {"seconds": seconds, "inserted": rows}


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


def land_changes(folder: str) -> None:
    """A pull waits in which one value in a hundred has moved."""
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
