"""The same work with what others would take: clients of DHIS2 for the pull, pandas for staging, Great Expectations on pandas.

Belongs here: each peer as its authors' examples use it, started by `benchmarks.measure.run` in the peers' own environment
(`make bench-peers` makes it), and this project's work beside it. A function that runs there imports nothing of this project but
`benchmarks.measure`. A peer that returns wrong or incomplete data has no seconds but a sentence.

The values that a pull returned are compared by number and sum with what the server was made to hold. None of the peers lands what it
received, hashes identifiers, resumes, or asks for deletions: `DataValueSets.get` of the toolbox has no way to ask, the others only by hand.
"""

import contextlib
import io
import time
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import PROJECT, Bench, Measured, Row, begin, row, run

PYTHON = PROJECT / "var" / "peers" / "bin" / "python"
USER, PASSWORD = "practice", "practice"
TOKEN = "practice-token"
YEARS = range(2021, 2026)
PULLS = {"toolbox": "openhexa.toolbox", "client": "dhis2-client", "plain": "requests and pandas"}
PANDAS, EXPECT = "stage with pandas", "Great Expectations on pandas"


def peers(size: int, bench: Bench) -> Iterator[Row]:
    """Every peer at `size` data values; nothing where the peers' environment was not made."""
    if not PYTHON.exists():
        bench.tell("no peers: `make bench-peers` installs them")
        return
    if not any(bench.wants(stage) for stage in (*(f"pull with {name}" for name in PULLS.values()), PANDAS, EXPECT)):
        return
    from benchmarks.data_values import bulk_server
    from practice.dhis2.bulk import Bulk

    folder, bulk = str(bench.folder), Bulk("khm", size)
    ours = partial(_ask, "benchmarks.data_values")
    theirs = partial(_ask, "benchmarks.peers", python=str(PYTHON))
    with bulk_server(size) as url:
        mine = [ours("pull", folder, url, size)]
        expected = (bulk.values, ours("landed_sum", folder).said["sum"])
        for function, name in PULLS.items():
            bench.tell(f"{size:,} data values: {name}")
            yield _judged(
                f"pull with {name}",
                size,
                lambda f=function: theirs(f, url, bulk.data_set_uid, bulk.root),
                mine,
                expected,
            )  # type: ignore[misc]
    bench.tell(f"{size:,} data values: pandas")
    files = [str(path) for path in sorted(Path(folder).glob("landing/dhis2_*/*/files/*.parquet"))]
    staged = [ours("stage", folder, size) for _ in range(bench.repetitions)]
    yield row(
        "stage with pandas",
        size,
        [theirs("stage", files) for _ in range(bench.repetitions)],
        staged,
        "parse and stage here",
    )
    bench.tell(f"{size:,} staged values: Great Expectations on pandas")
    checks = partial(_ask, "benchmarks.quality_checks")
    checks("build", folder, size)
    checks("as_parquet", folder)
    weighed = [checks("weigh", folder) for _ in range(bench.repetitions)]
    done = [theirs("expect", str(Path(folder) / "quality.parquet")) for _ in range(bench.repetitions)]
    yield row(
        "Great Expectations on pandas",
        size,
        done,
        weighed,
        f"{weighed[-1].said['rules']} rules weighed here, on DuckDB",
    )


def _ask(module: str, function: str, *arguments: Any, **options: Any) -> Measured:
    return run(f"{module}:{function}", *arguments, **options)


def _judged(stage: str, size: int, work: Any, mine: list[Measured], expected: tuple[int, int]) -> Row:
    """The row of a pull, or one without seconds that says what is wrong with what it returned."""
    floor_is = "pull and land here, of the same server"
    try:
        done = work()
    except RuntimeError as fault:
        sentence = str(fault).strip().splitlines()[-1][:300]
        return row(stage, size, [Measured(0.0, 0, {"wrong": sentence})], [], floor_is)
    found = (done.said["values"], done.said["sum"])
    if found != expected:
        wrong = f"{found[0]:,} of {expected[0]:,} values, sum {found[1]:,} instead of {expected[1]:,}"
        return row(stage, size, [Measured(0.0, 0, {**done.said, "wrong": wrong})], [], floor_is)
    return row(stage, size, [done], mine, floor_is)


# What runs in the peers' environment -------------------------------------------------------------------------------------


def toolbox(url: str, data_set: str, root: str) -> dict[str, Any]:
    """openhexa.toolbox, year by year as it splits by itself."""
    from openhexa.toolbox.dhis2 import DHIS2

    started = begin()
    with contextlib.redirect_stdout(io.StringIO()):
        server = DHIS2(url=url, username=USER, password=PASSWORD, cache_dir=None)
        values = server.data_value_sets.get(
            datasets=[data_set],
            org_units=[root],
            children=True,
            start_date=f"{YEARS[0]}-01-01",
            end_date=f"{YEARS[-1]}-12-31",
        )
    return _told(values, started, "openhexa.toolbox")


def client(url: str, data_set: str, root: str) -> dict[str, Any]:
    """dhis2-client, one request per year."""
    from dhis2_client import DHIS2Client

    started = begin()
    server, values = DHIS2Client(base_url=url, token=TOKEN, timeout=600), []
    for year in YEARS:
        values += server.get_data_value_set(
            {
                "dataSet": data_set,
                "orgUnit": root,
                "children": "true",
                "startDate": f"{year}-01-01",
                "endDate": f"{year}-12-31",
            }
        ).get("dataValues", [])
    return _told(values, started, "dhis2-client")


def plain(url: str, data_set: str, root: str) -> dict[str, Any]:
    """requests and pandas, one request per year, as the examples on the web do it."""
    import pandas as pd
    import requests

    started = begin()
    frames = []
    for year in YEARS:
        answer = requests.get(
            f"{url}/api/dataValueSets.json", headers={"Authorization": f"ApiToken {TOKEN}"}, timeout=600,
            params={"dataSet": data_set, "orgUnit": root, "children": "true", "startDate": f"{year}-01-01",
                    "endDate": f"{year}-12-31"},
        )  # fmt: skip
        answer.raise_for_status()
        frames.append(pd.DataFrame(answer.json().get("dataValues", [])))
    values = pd.concat(frames)
    seconds = time.perf_counter() - started
    total = int(pd.to_numeric(values["value"]).sum())
    return {"seconds": seconds, "values": len(values), "sum": total, "version": f"pandas {version('pandas')}"}


def _told(values: list[dict[str, Any]], started: float, package: str) -> dict[str, Any]:
    seconds = time.perf_counter() - started
    total = sum(int(one["value"]) for one in values)
    return {"seconds": seconds, "values": len(values), "sum": total, "version": version(package)}


def stage(files: list[str]) -> dict[str, Any]:
    """The landed files typed by pandas, nothing rejected, nothing named."""
    import pandas as pd

    started, rows = begin(), 0
    for file in files:
        frame = pd.read_parquet(file)
        frame["value_number"] = pd.to_numeric(frame["value"], errors="coerce")
        frame["period_start_on"] = pd.to_datetime(frame["period"], format="%Y%m", errors="coerce")
        frame["updated_at"] = pd.to_datetime(
            frame["last_updated"], format="%Y-%m-%dT%H:%M:%S.%f%z", errors="coerce", utc=True
        )
        frame["is_deleted"] = frame["deleted"].eq("true").fillna(False)
        rows += len(frame)
    return {"seconds": time.perf_counter() - started, "rows": rows, "version": version("pandas")}


def expect(file: str) -> dict[str, Any]:
    """Great Expectations on a pandas frame: columns that must be filled, a range, and the key."""
    import great_expectations as gx
    import pandas as pd

    frame = pd.read_parquet(file)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("pandas")
    batch = source.add_dataframe_asset("values").add_batch_definition_whole_dataframe("all")
    filled = ("instance_code", "data_element_uid", "period_code", "org_unit_uid", "category_option_combo_uid", "concept_code",
              "category_code", "is_deleted", "period_type_code", "period_start_on", "period_end_on", "receipt_id", "pointer")  # fmt: skip
    key = ["instance_code", "data_element_uid", "period_code", "org_unit_uid", "category_option_combo_uid",
           "attribute_option_combo_uid"]  # fmt: skip
    wanted: list[Any] = [gx.expectations.ExpectColumnValuesToNotBeNull(column=column) for column in filled]
    wanted.append(gx.expectations.ExpectColumnValuesToBeBetween(column="value_number", min_value=0))
    wanted.append(gx.expectations.ExpectCompoundColumnsToBeUnique(column_list=key))
    suite = gx.ExpectationSuite(name="values", expectations=wanted)
    started = begin()
    outcome = batch.get_batch({"dataframe": frame}).validate(suite)
    seconds = time.perf_counter() - started
    failed = sum(not result.success for result in outcome.results)
    return {
        "seconds": seconds,
        "rules": len(wanted),
        "failed": failed,
        "version": f"{gx.__version__}, pandas {version('pandas')}",
    }
