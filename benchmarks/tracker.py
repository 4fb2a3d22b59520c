"""Tracker entities from server to core: pulled at the size a practice server can play, loaded at any size.

Belongs here: the work and its floors, each a function that `benchmarks.measure.run` starts in a process of its own. A practice server
holds its entities in memory, 1.7 GiB for a hundred thousand, so no more are pulled; larger sizes are the landed pages of that pull,
copied with other identifiers as often as it takes, because what is measured there is reading, typing, weighing and merging.
"""

import contextlib
import io
import json
import shutil
import time
import tomllib
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.data_values import AT, SERVER, TOKEN, NoScales, pull_into
from benchmarks.measure import PROJECT, Bench, Row, begin, compare, row, run

PULLED_AT_MOST = 100_000
EPISODES_PER_ENTITY = 0.0084
"""Episodes a week for each entity that one server is to have by the practice ground's first instant."""
PER_PAGE = 1_000

PULL, LOAD, WEIGHED = "pull and land", "stage and merge into the core", "the same, weighed"


def tracker(size: int, bench: Bench) -> Iterator[Row]:
    """Pull (up to a hundred thousand), load and weigh `size` tracked entities with their enrollments and events."""
    pulls = min(size, PULLED_AT_MOST)
    base, folder = bench.folder.parent / f"tracker-base-{pulls}", str(bench.folder)
    work = partial(_ask, "benchmarks.tracker")
    if (size == pulls and bench.wants(PULL)) or not list((base / "landing").glob("dhis2_*/*/receipt.json")):
        bench.tell(f"{pulls:,} entities: the practice server makes them")
        base.mkdir(parents=True, exist_ok=True)
        with tracker_server(pulls) as url:
            work("floor_pull", str(base), url)  # the server makes its pages once
            pulled, floors = compare(
                lambda: work("pull", str(base), url),
                lambda: work("floor_pull", str(base), url),
                min(2, bench.repetitions),
            )
        if {run.said["tracker"] for run in floors} != {run.said["tracker"] for run in pulled}:
            raise RuntimeError(f"not the same entities: pulled {pulled[-1].said}, the floor {floors[-1].said}")
        if size == pulls and bench.wants(PULL):
            yield row(PULL, size, pulled, floors, "the same pages over the same loopback, written to files")
    if bench.wants(LOAD) or bench.wants(WEIGHED):
        bench.tell(f"{size:,} entities: copied")
        _multiply(base, Path(folder), size)
    if bench.wants(LOAD):
        bench.tell(f"{size:,} entities: {LOAD}")
        loads, floors = compare(lambda: work("load", folder), lambda: work("floor_load", folder), bench.repetitions)
        yield row(LOAD, size, loads, floors, "DuckDB reads the landed pages and unnests the events into one table")
    if bench.wants(WEIGHED):
        bench.tell(f"{size:,} entities: {WEIGHED}")
        weighed, without = compare(
            lambda: work("load_weighed", folder), lambda: work("load", folder), max(1, bench.repetitions - 1)
        )
        yield row(WEIGHED, size, weighed, without, "without the suites")


def _ask(module: str, function: str, *arguments: Any) -> Any:
    return run(f"{module}:{function}", *arguments)


@contextlib.contextmanager
def tracker_server(entities: int) -> Iterator[str]:
    """The address of a practice server, in this process, with some so many tracked entities."""
    from practice.clock import DEFAULT_SEED
    from practice.dhis2 import serve
    from practice.world.region import World

    with serve(
        World(DEFAULT_SEED, weekly_episodes=round(EPISODES_PER_ENTITY * entities)), lambda: AT, (SERVER,)
    ) as servers:
        yield servers.urls[SERVER]


def _mapping(url: str = "http://127.0.0.1") -> Any:
    from assets.dhis2.mapping import parse_instance

    told = tomllib.loads((PROJECT / "practice" / "mhwg.toml").read_text(encoding="utf-8"))
    ours = next(table for table in told["dhis2"] if table["code"] == SERVER)
    ours.pop("data_set", None)
    return parse_instance({**ours, "url": url}, is_practice=True)


# The work -------------------------------------------------------------------------------------------------------------


def pull(folder: str, url: str) -> dict[str, Any]:
    """One full pull of the server's tracker, identifiers hashed, landed and waiting to be loaded."""
    seconds, counts = pull_into(folder, url, _mapping(url))
    return {"seconds": seconds, **counts}


def load(folder: str) -> dict[str, Any]:
    """What waits is staged and merged into an empty core, without checks."""
    return _load(folder, NoScales())


def load_weighed(folder: str) -> dict[str, Any]:
    """The same with every suite of the tables, through Great Expectations."""
    from expectations.scales import GreatExpectationsScales

    with contextlib.redirect_stdout(io.StringIO()):
        import great_expectations  # noqa: F401
    return _load(folder, GreatExpectationsScales())


def _load(folder: str, scales: Any) -> dict[str, Any]:
    from assets.dhis2.assets import batches
    from assets.loading import load_source
    from warehouse.landing import Landing
    from warehouse.store import Warehouse

    for path in Path(folder).glob("warehouse.duckdb*"):
        path.unlink()
    mapping, landing = _mapping(), Landing(Path(folder) / "landing")
    landing.settle_pulls(mapping.source_code)
    landing.note_pull(landing.receipts(mapping.source_code), AT)
    store = Warehouse(Path(folder) / "warehouse.duckdb")
    with store.connect():
        pass  # the schema is made once in a store's life
    started = begin()
    report = load_source(store, landing, scales, mapping.source_code, AT, batches(mapping, landing))
    seconds = time.perf_counter() - started
    if report.fault is not None or report.load is None:
        raise RuntimeError(report.fault or "nothing was waiting")
    return {
        "seconds": seconds,
        **{name: counts.inserted for name, counts in report.load.history.items() if "referral" in name},
    }


# The floors -----------------------------------------------------------------------------------------------------------


def floor_pull(folder: str, url: str) -> dict[str, Any]:
    """The program's tracked entities, page by page with plain requests, written to files as they come."""
    import requests

    from assets.dhis2.referral import FIELDS

    mapping = _mapping(url)
    target = Path(folder) / "floor"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    entities = 0
    session = requests.Session()
    session.headers["Authorization"] = f"ApiToken {TOKEN}"
    page, pages = 1, 1
    while page <= pages:  # a short page does not end a listing
        answer = session.get(
            f"{url}/api/tracker/trackedEntities",
            params={"program": mapping.referral.program, "orgUnits": ",".join(mapping.root_org_units),
                    "orgUnitMode": "DESCENDANTS", "fields": FIELDS, "includeDeleted": "true", "totalPages": "true", "page": page,
                    "pageSize": mapping.page_size},
            timeout=600,
        )  # fmt: skip
        answer.raise_for_status()
        told = answer.json()
        entities, pages = entities + len(told["trackedEntities"]), told["pager"]["pageCount"]
        (target / f"{page}.json").write_bytes(answer.content)
        page += 1
    return {"tracker": entities}


def floor_load(folder: str) -> dict[str, Any]:
    """The landed pages, read by DuckDB, one row per event with its entity's attributes."""
    import duckdb

    store = Path(folder) / "floor.duckdb"
    store.unlink(missing_ok=True)
    pages = [str(path) for path in Path(folder).glob("landing/dhis2_*/*/files/tracker-*.jsonl") if path.stat().st_size]
    started = begin()
    with duckdb.connect(str(store)) as connection:
        connection.execute(
            """create table event as
            with entity as (select unnest(enrollments) as enrollment, * exclude (enrollments) from read_json(?)),
            step as (select unnest(enrollment.events) as event, * from entity)
            select tracked_entity, token, sex, nationality, migrant_status, birth_year, enrollment.enrollment, event.event,
              event.step, event.status, event.org_unit, try_cast(event.occurred_on as date) as occurred_on, event.values
            from step""",
            [pages],
        )
        ((rows,),) = connection.execute("select count(*) from event").fetchall()
    seconds = time.perf_counter() - started
    store.unlink()
    return {"seconds": seconds, "events": rows}


# What both need -------------------------------------------------------------------------------------------------------


def _multiply(base: Path, folder: Path, size: int) -> None:
    """`folder` has a landed pull of `size` entities: the base's, each as often as it takes, with identifiers of its own."""
    from warehouse.landing import Landing

    mapping, source, target = _mapping(), Landing(base / "landing"), Landing(folder / "landing")
    have = target.receipts(mapping.source_code)
    if any(receipt.kind_code == "tracker" and receipt.parameters.get("entities") == size for receipt in have):
        return
    shutil.rmtree(folder / "landing", ignore_errors=True)
    for receipt in source.receipts(mapping.source_code):
        pull = target.pull(receipt.source_code, receipt.part_code, AT, is_practice=True)
        pull.restart()
        parameters, count = dict(receipt.parameters), receipt.record_count
        if receipt.kind_code == "tracker":
            lines = [line for path in source.files(receipt) for line in path.read_text(encoding="utf-8").splitlines()]
            count = 0
            page: list[str] = []
            while count < size:
                line = lines[count % len(lines)]
                page.append(_another(line, count // len(lines)) if count >= len(lines) else line)
                count += 1
                if len(page) == PER_PAGE or count == size:
                    pull.write(f"tracker-{-(-count // PER_PAGE):06d}.jsonl", ("\n".join(page) + "\n").encode())
                    page = []
            parameters["entities"] = size
        else:
            for path in source.files(receipt):
                pull.write(path.name, path.read_bytes())
        pull.finish(
            receipt.kind_code, receipt.locator, parameters, count,
            server_version=receipt.server_version, server_at=receipt.server_at, watermark=receipt.watermark,
        )  # fmt: skip


def _another(line: str, copy: int) -> str:
    """The entity of a landed line with the identifiers of its copy."""
    entity = json.loads(line)
    entity["tracked_entity"] = _uid(entity["tracked_entity"], copy)
    if entity.get("token"):
        entity["token"] = sha256(f"{entity['token']} {copy}".encode()).hexdigest()[:40]
    for enrollment in entity["enrollments"]:
        enrollment["enrollment"] = _uid(enrollment["enrollment"], copy)
        for event in enrollment["events"]:
            event["event"] = _uid(event["event"], copy)
    return json.dumps(entity, ensure_ascii=False, separators=(",", ":"))


def _uid(uid: str, copy: int) -> str:
    """Another UID of the form that DHIS2 makes: a letter and ten letters or digits."""
    return "c" + sha256(f"{uid} {copy}".encode()).hexdigest()[:10]
