"""`python -m benchmarks [--sizes ...] [--only ...]`: runs the stages, prints one table, writes JSON and the growth plot.

Belongs here: which stages at which sizes, and the report. Does not belong here: the work of a stage.
"""

import argparse
import json
import os
import platform
import tempfile
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.measure import PROJECT, Measured, Row, compare, exponent, row, run

GROWTH_TARGET = 1.05
"""Exponent of time against size that the design allows."""


def data_values(size: int, repetitions: int, tell: Any) -> list[Row]:
    """Pull, load, check, change and repeat one bulk data set of `size` values."""
    from practice.clock import DEFAULT_SEED
    from practice.dhis2 import serve
    from practice.world.region import World

    at = datetime(2026, 7, 6, 5, 0, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        work, rows = partial(_ask, "benchmarks.data_values"), []
        with serve(World(DEFAULT_SEED, weekly_episodes=1), lambda: at, ("khm",), bulk_values=size) as servers:
            url = servers.urls["khm"]
            tell(f"{size:,} values: pull")
            pulled, bare = compare(
                lambda: work("pull", folder, url, size), lambda: work("floor_pull", folder, url, size), 1
            )
            rows.append(row("pull and land", size, pulled, bare, "the same CSV with plain requests"))
        tell(f"{size:,} values: load")
        loads, floors = compare(
            lambda: work("load", folder, size), lambda: work("floor_load", folder, size), repetitions
        )
        floor_is = "polars types the landed files, DuckDB takes them"
        rows.append(row("stage and merge into the core", size, loads, floors, floor_is, 1.5, "1.5 x floor"))
        tell(f"{size:,} values: load and weigh")
        weighed = [work("load_weighed", folder, size) for _ in range(repetitions)]
        rows.append(
            row(
                "the same, weighed by every suite",
                size,
                weighed,
                loads,
                "without the suites",
                1 / 0.7,
                "checks take 30 %",
            )
        )
        tell(f"{size:,} values: nothing new")
        nothing = [work("load_nothing_new", folder, size)]
        rows.append(row("a full pull with nothing new", size, nothing, weighed, "a full load"))
        tell(f"{size:,} values: one in a hundred changed")
        changed = [work("load_changed", folder, size)]
        rows.append(row("an increment of 1 %", size, changed, weighed, "a full load", 0.10, "10 % of a full load"))
    return rows


def whole(size: int, repetitions: int, tell: Any) -> list[Row]:
    """The practice ground from nothing, again, and what users type afterwards. `size` is not used: the ground has one."""
    rows = []
    ask = partial(_ask, "benchmarks.whole")
    with tempfile.TemporaryDirectory() as folder:
        state = str(Path(folder) / "var")
        tell("first refresh")
        first = [ask("mhwg", state, "refresh", "--json")]
        rows.append(row("mhwg refresh, first", 0, first, []))
        tell("refresh with nothing new")
        again = [ask("mhwg", state, "refresh", "--json") for _ in range(repetitions)]
        rows.append(row("mhwg refresh, nothing new", 0, again, first, "the first refresh", None, "15 s"))
        ask("mhwg", state, "practice", "advance")
        tell("a week later")
        rows.append(
            row("mhwg refresh, a week later", 0, [ask("mhwg", state, "refresh", "--json")], first, "the first refresh")
        )
        for words in (["--help"], ["status"], ["table", "RT01"]):
            works, floors = compare(
                partial(ask, "mhwg", state, *words), lambda: ask("bare_start", state), max(3, repetitions)
            )
            rows.append(row(f"mhwg {' '.join(words)}", 0, works, floors, "python with typer"))
        plain = [ask("analyst", state, "the rows of the table, plainly") for _ in range(repetitions)]
        for question in ("a regional table", "a regional table as of a date", "every observation"):
            warm = [ask("analyst", state, question) for _ in range(repetitions)]
            rows.append(row(f"analyst: {question}", 0, warm, plain, "the rows of the table, plainly", None, "20 ms"))
        cold = [ask("analyst_cold", state, "a regional table") for _ in range(max(3, repetitions))]
        rows.append(row("analyst: open the file and ask", 0, cold, plain, "the rows, file open"))
    return rows


STAGES = {"values": data_values, "whole": whole}


def _ask(module: str, function: str, *arguments: Any) -> Measured:
    return run(f"{module}:{function}", *arguments)


def machine() -> dict[str, Any]:
    """What the figures were measured on; nothing that names the machine."""
    names = ("duckdb", "polars", "pyarrow", "dagster", "great-expectations")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
    }


def show(rows: list[Row], console: Console) -> None:
    """The table for people."""
    table = Table(title="What it costs", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "size", "seconds", "±", "peak MiB", "floor s", "ratio", "target", "met"):
        table.add_column(name, justify="left" if name in ("stage", "target") else "right", no_wrap=name != "stage")
    for one in rows:
        met = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[one.is_met]
        table.add_row(
            one.stage, f"{one.size:,}" if one.size else "", f"{one.seconds:.3g}", f"{one.spread:.0%}", f"{one.peak_mib:,.0f}",
            f"{one.floor_seconds:.3g}" if one.floor_seconds else "", f"{one.ratio:.2f}" if one.ratio else "", one.target_is, met,
        )  # fmt: skip
    console.print(table)


def growth(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Exponent of seconds and of peak memory against size, for each stage that ran at several sizes."""
    found: dict[str, dict[str, float]] = {}
    for stage in dict.fromkeys(one.stage for one in rows):
        own = [one for one in rows if one.stage == stage and one.size]
        time = exponent([one.size for one in own], [one.seconds for one in own])
        memory = exponent([one.size for one in own], [one.peak_mib for one in own])
        if time is not None and memory is not None:
            found[stage] = {"time": round(time, 3), "memory": round(memory, 3)}
    return found


def plot(rows: list[Row], target: Path) -> None:
    """Seconds against size, both logarithmic, one line for each stage: the picture of growth."""
    import altair as alt
    import polars as pl
    import vl_convert

    frame = pl.DataFrame([{"stage": one.stage, "values": one.size, "seconds": one.seconds} for one in rows if one.size])
    chart = (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            alt.X("values:Q", scale=alt.Scale(type="log"), title="data values"),
            alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="seconds"),
            alt.Color("stage:N", title=None),
        )
        .properties(width=520, height=320)
    )
    target.write_text(vl_convert.vegalite_to_svg(chart.to_json()), encoding="utf-8")


def main() -> None:
    """Runs what was asked for; the report is on standard output and in the folder named by --to."""
    reader = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    reader.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000], help="numbers of data values")
    reader.add_argument("--repetitions", type=int, default=3)
    reader.add_argument("--only", choices=sorted(STAGES), nargs="+", default=sorted(STAGES))
    reader.add_argument("--to", type=Path, default=PROJECT / "var" / "benchmarks", help="folder of JSON and plot")
    asked = reader.parse_args()
    console, facts, rows = Console(width=max(120, Console().width)), machine(), []
    with console.status("measuring") as status:
        for name in asked.only:
            for size in asked.sizes if name == "values" else [0]:
                rows += STAGES[name](size, asked.repetitions, lambda words: status.update(f"measuring: {words}"))
    show(rows, console)
    exponents = growth(rows)
    for stage, found in exponents.items():
        console.print(
            f"growth of {stage}: time ~ size^{found['time']}, memory ~ size^{found['memory']}", highlight=False
        )
    asked.to.mkdir(parents=True, exist_ok=True)
    report = {"machine": facts, "rows": [one.as_json() for one in rows], "growth": exponents}
    (asked.to / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    if exponents:
        plot(rows, asked.to / "growth.svg")
    console.print(f"report: {asked.to / 'report.json'}", highlight=False)


if __name__ == "__main__":
    main()
