"""The whole command as its users meet it: refreshes of the practice ground, start-up, and an analyst's queries on a release.

Belongs here: work that `benchmarks.measure.run` starts in a process of its own. Each returns its own seconds.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Bench, Row, begin, compare, row, run

REPEATS = 200
FIRST, AGAIN, LATER = "mhwg refresh, first", "mhwg refresh, nothing new", "mhwg refresh, a week later"
COMMANDS = {"--help": 0.3, "status": 1.0, "table RT01": None}
"""Command -> seconds that it may take."""
PLAIN = "the rows of the table, plainly"


def whole(_: int, bench: Bench) -> Iterator[Row]:
    """The practice ground from nothing, again, a week later, its parts, and what users type afterwards."""
    ask, state = partial(_ask, "benchmarks.whole"), str(bench.folder / "var")
    is_made = (Path(state) / "release" / "current").exists()
    first: list[Any] = []
    if bench.wants(FIRST) or not is_made:
        bench.tell("the first refresh")
        shutil.rmtree(state, ignore_errors=True)
        first = [ask("mhwg", state, "refresh", "--json")]
        yield row(FIRST, 0, first)
    if bench.wants(AGAIN):
        bench.tell("a refresh with nothing new")
        again = [ask("mhwg", state, "refresh", "--json") for _ in range(bench.repetitions)]
        yield row(AGAIN, 0, again, first, "the first refresh" if first else "", 15.0, "15 s", "seconds")
    if bench.wants(LATER):
        bench.tell("a week later")
        ask("mhwg", state, "practice", "advance")
        yield row(LATER, 0, [ask("mhwg", state, "refresh", "--json")], first, "the first refresh" if first else "")
    yield from _parts(state, ask, bench)
    for command, bound in COMMANDS.items():
        if bench.wants(f"mhwg {command}"):
            bench.tell(f"mhwg {command}")
            works, floors = compare(
                lambda command=command: ask("mhwg", state, *command.split()),  # type: ignore[misc]
                lambda: ask("bare_start", state), max(5, bench.repetitions),
            )  # fmt: skip
            told = f"{bound} s" if bound else ""
            yield row(f"mhwg {command}", 0, works, floors, "the interpreter with typer", bound, told, "seconds")
    yield from _questions(state, ask, bench)


def _parts(state: str, ask: Any, bench: Bench) -> Iterator[Row]:
    """The two steps that need the whole warehouse: computing every indicator, and making a release."""
    if bench.wants("compute every indicator"):
        bench.tell("indicators")
        done, floors = compare(
            lambda: ask("indicators", state), lambda: ask("floor_indicators", state), bench.repetitions
        )
        yield row(
            "compute every indicator",
            0,
            done,
            floors,
            "DuckDB runs the compiled statements: no intervals, regions, flags",
        )
    if bench.wants("protect and write a release"):
        bench.tell("release")
        done, floors = compare(lambda: ask("release", state), lambda: ask("floor_release", state), bench.repetitions)
        yield row(
            "protect and write a release",
            0,
            done,
            floors,
            "polars writes the same figures as one Parquet and one CSV file",
        )


def _questions(state: str, ask: Any, bench: Bench) -> Iterator[Row]:
    """What analysts ask of the current release's database, warm and from a closed file."""
    plain, table = [ask("analyst", state, PLAIN) for _ in range(bench.repetitions)], []
    for question in QUESTIONS:
        stage = f"analyst: {question}"
        if question == PLAIN or not bench.wants(stage):
            continue
        bench.tell(stage)
        warm = [ask("analyst", state, question) for _ in range(bench.repetitions)]
        if question == "a regional table":
            table = warm
            yield row(stage, 0, warm, plain, PLAIN, 0.020, "20 ms", "seconds")
        elif question == "a regional table as of a date":
            table = table or [ask("analyst", state, "a regional table") for _ in range(bench.repetitions)]
            yield row(stage, 0, warm, table, "the table of today", 2.0, "2 x the table of today")
        else:
            yield row(stage, 0, warm, plain, PLAIN)
    for question in ("a regional table", "every observation"):
        stage = f"analyst, cold: {question}"
        if bench.wants(stage):
            cold = [ask("analyst_cold", state, question) for _ in range(max(3, bench.repetitions))]
            yield row(stage, 0, cold)


def _ask(module: str, function: str, *arguments: Any) -> Any:
    return run(f"{module}:{function}", *arguments)


def mhwg(state: str, *arguments: str) -> dict[str, Any]:
    """One `mhwg` command on the practice ground, with its state in `state`. Raises RuntimeError when it fails."""
    environment = {**os.environ, "MHWG_STATE": state, "NO_COLOR": "1"}
    environment.pop("DAGSTER_HOME", None)
    started = begin()
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments], env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"mhwg {' '.join(arguments)} ended {done.returncode}: {done.stderr[-500:]}")
    return {"seconds": seconds}


def bare_start(_: str) -> dict[str, Any]:
    """The floor of a start: the interpreter with typer and nothing else."""
    started = begin()
    subprocess.run([sys.executable, "-c", "import typer"], check=True)
    return {"seconds": time.perf_counter() - started}


def analyst(state: str, question: str) -> dict[str, Any]:
    """Mean seconds of a question to the current release's database, the file open and warm."""
    import duckdb

    with duckdb.connect(str(Path(state) / "release" / "current" / "mhwg.duckdb"), read_only=True) as connection:
        connection.execute(QUESTIONS[question]).fetchall()
        started = begin()
        for _ in range(REPEATS):
            connection.execute(QUESTIONS[question]).fetchall()
        return {"seconds": (time.perf_counter() - started) / REPEATS, "mean_of": REPEATS}


def analyst_cold(state: str, question: str) -> dict[str, Any]:
    """Seconds from a closed file to the first answer."""
    import duckdb

    started = begin()
    with duckdb.connect(str(Path(state) / "release" / "current" / "mhwg.duckdb"), read_only=True) as connection:
        connection.execute(QUESTIONS[question]).fetchall()
        return {"seconds": time.perf_counter() - started}


def _warehouse(state: str) -> Any:
    from warehouse.store import Warehouse

    return Warehouse(Path(state) / "warehouse.duckdb")


def indicators(state: str) -> dict[str, Any]:
    """Every indicator of the catalogue from the core, with intervals, regional values and flags."""
    from warehouse.catalogue.indicator_catalogue import indicator_catalogue
    from warehouse.indicator_engine import compute_with_findings
    from warehouse.reporting_delay import reporting_delays  # noqa: F401  (imports are not the work)

    store, entries = _warehouse(state), list(indicator_catalogue().indicators.values())
    at = store.last_refresh_at()
    with store.showing_victims(), store.connect(read_only=True) as connection:
        started = begin()
        made = compute_with_findings(connection, entries, at.replace(tzinfo=UTC))
        return {"seconds": time.perf_counter() - started, "observations": made.observations.height}


def floor_indicators(state: str) -> dict[str, Any]:
    """The compiled statements, one after the other, their cells fetched."""
    from warehouse.catalogue.indicator_catalogue import indicator_catalogue
    from warehouse.indicator_sql import compile_sql

    store, catalogue = _warehouse(state), indicator_catalogue()
    at = store.last_refresh_at().replace(tzinfo=UTC)
    statements = [compile_sql(entry, at, catalogue) for entry in catalogue.indicators.values()]
    with store.showing_victims(), store.connect(read_only=True) as connection:
        started = begin()
        cells = sum(len(connection.execute(statement).fetchall()) for statement in statements)
        return {"seconds": time.perf_counter() - started, "cells": cells}


def release(state: str) -> dict[str, Any]:
    """The observations protected, audited and written as a release to an empty shelf, as the step `publish_release` does."""
    from assets.reference.read import source_cards
    from warehouse.catalogue.disclosure import load_policy
    from warehouse.publishing import inputs
    from warehouse.publishing.content import ReleaseContext, Source
    from warehouse.publishing.protection import protect
    from warehouse.publishing.registers import release_registers
    from warehouse.publishing.release import build_release
    from warehouse.publishing.release_catalogue import release_catalogue
    from warehouse.publishing.sampling_errors import sampling_errors_at
    from warehouse.store import code_version

    store = _warehouse(state)
    at = store.last_refresh_at().replace(tzinfo=UTC)
    with tempfile.TemporaryDirectory() as shelf, store.connect(read_only=True) as connection:
        started = begin()
        protected = protect(
            inputs.observations_at(connection, at), load_policy(), areas=inputs.area_links(connection, at)
        )
        protecting = time.perf_counter() - started
        catalogue = release_catalogue(
            inputs.release_areas(connection, at),
            reference_sources=[
                Source(is_practice=False, **card) for card in source_cards(inputs.reference_editions(connection, at))
            ],
            practice_sources=("dhis2", "survey", "programme"),
        )
        used = protected.frame["receipt_ids"].explode().drop_nulls().unique()
        context = ReleaseContext(
            at, code_version(), inputs.release_receipts(connection, used), sampling_errors_at(connection, at, protected.frame),
            inputs.other_denominators(connection, at), registers=release_registers(connection, at),
        )  # fmt: skip
        made = build_release(protected, catalogue, context, Path(shelf))
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "of which protecting": round(protecting, 3), "files": made.file_count,
                "figures": protected.frame.height}  # fmt: skip


def floor_release(state: str) -> dict[str, Any]:
    """The figures of the current release, written by polars."""
    import duckdb
    import polars as pl

    with duckdb.connect(str(Path(state) / "release" / "current" / "mhwg.duckdb"), read_only=True) as connection:
        frame = pl.from_arrow(connection.sql("from observation").to_arrow_table())
    with tempfile.TemporaryDirectory() as folder:
        started = begin()
        frame.write_parquet(Path(folder) / "observation.parquet")
        flat = frame.with_columns(pl.col(pl.List(pl.String)).list.join(" "))
        flat.write_csv(Path(folder) / "observation.csv")
        return {"seconds": time.perf_counter() - started}


QUESTIONS = {
    "a regional table": "from regional_table('RT01')",
    "a regional table as of a date": "from regional_table_as_of('RT01', timestamp '2026-12-31')",
    "explain a cell": "from explain('RT01', '_T', 'LM01.2023')",
    "every observation": "select count(value), sum(value) from observation",
    PLAIN: "from regional_cell where table_code = 'RT01'",
}
"""What analysts ask. The last is the floor of the others."""
