"""`python -m benchmarks`: runs what was not measured yet, prints one table, keeps every line in one result file.

Belongs here: which stages at which sizes. Does not belong here: the work of a stage, the page made of the results
(`benchmarks.report`).

A run that was interrupted goes on where it stopped: the result file has what is done. `--again` measures anew.
"""

import argparse
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.data_values import data_values
from benchmarks.disclosure import disclosure
from benchmarks.history import history_load
from benchmarks.measure import PROJECT, Bench, Row
from benchmarks.peers import peers
from benchmarks.quality_checks import quality_checks
from benchmarks.results import Line, Results
from benchmarks.survey_estimation import survey_estimation
from benchmarks.tracker import tracker
from benchmarks.whole import whole

M = 10**6


@dataclass(frozen=True)
class Family:
    """Stages that are measured together: what their size counts, the sizes of the short and of the long run."""

    unit: str
    measure: Callable[[int, Bench], Iterator[Row]]
    short: Sequence[int]
    long: Sequence[int]


FAMILIES = {
    "whole": Family("", whole, (0,), (0,)),
    "values": Family("data values", data_values, (M // 10, M), (M // 10, M, 10 * M, 50 * M)),
    "history": Family("rows", history_load, (M // 10, M), (M // 10, M, 10 * M, 50 * M)),
    "checks": Family("staged values", quality_checks, (M // 10, M), (M // 10, M, 10 * M)),
    "entities": Family("tracker entities", tracker, (10_000,), (10_000, 100_000, M)),
    "survey": Family("respondents", survey_estimation, (M // 10,), (M // 10, M)),
    "disclosure": Family("figures", disclosure, (12_460,), (12_460, 32_375, 102_095)),  # 5, 13 and 41 whole programmes
    "peers": Family("data values", peers, (M // 10,), (M // 10, M)),
}


def repetitions(size: int, asked: int) -> int:
    """Fewer where one repetition takes minutes."""
    return asked if size <= M else min(asked, 2) if size <= 10 * M else 1


def run_family(name: str, size: int, results: Results, asked: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """The missing lines of one family at one size are measured and kept."""
    work = asked.to / "work" / f"{name}-{size}"
    work.mkdir(parents=True, exist_ok=True)

    def wants(stage: str) -> bool:
        return (not asked.stage or stage in asked.stage) and (asked.again or not results.has(name, stage, size))

    bench = Bench(repetitions(size, asked.repetitions), work, tell, wants)
    for row in FAMILIES[name].measure(size, bench):
        if wants(row.stage):
            results.add(name, row)
    if not asked.keep:
        shutil.rmtree(work, ignore_errors=True)


def show(lines: Sequence[Line], console: Console) -> None:
    """The table for people."""
    table = Table(title="What it costs", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "size", "seconds", "±", "peak MiB", "floor s", "ratio", "cpu ratio", "target", "met"):
        table.add_column(name, justify="left" if name in ("stage", "target") else "right", no_wrap=name != "stage")
    for line in lines:
        one, unit = line.row, FAMILIES[line.family].unit
        met = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[one.is_met]
        cells = [one.stage, f"{one.size:,} {unit}" if one.size else "", f"{one.seconds:.3g}", f"{one.spread:.0%}"]
        cells += [f"{one.peak_mib:,.0f}", f"{one.floor_seconds:.3g}" if one.floor_seconds else ""]
        cells += [f"{ratio:.2f}" if ratio else "" for ratio in (one.ratio, one.cpu_ratio)]
        table.add_row(*cells, one.target_is, met)
    console.print(table)


def main() -> None:
    """Runs what was asked for and is missing; the table is on standard output, the figures in the result file."""
    reader = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    reader.add_argument("--full", action="store_true", help="the long sizes: an hour and more")
    reader.add_argument("--sizes", type=int, nargs="+", help="these sizes instead")
    reader.add_argument("--only", choices=list(FAMILIES), nargs="+", default=list(FAMILIES))
    reader.add_argument("--stage", nargs="+", help="only these stages, by the name that the table shows")
    reader.add_argument("--repetitions", type=int, default=3)
    reader.add_argument("--again", action="store_true", help="measure anew what the result file has")
    reader.add_argument(
        "--keep", action="store_true", help="keep the work folders, for a further piece of the same size"
    )
    reader.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin no further size after so many minutes"
    )
    reader.add_argument("--to", type=Path, default=PROJECT / "var" / "benchmarks", help="folder of the result file")
    asked = reader.parse_args()
    console, results, begun = (
        Console(width=max(120, Console().width)),
        Results(asked.to / "results.json"),
        time.monotonic(),
    )
    with console.status("measuring") as status:
        for name in asked.only:
            family = FAMILIES[name]
            for size in asked.sizes if asked.sizes and family.unit else family.long if asked.full else family.short:
                if time.monotonic() - begun > 60 * asked.minutes:
                    console.print(f"the {asked.minutes:g} minutes are over before {name} {size:,}; run again to go on")
                    break
                run_family(name, size, results, asked, lambda words: status.update(f"measuring: {words}"))
    show(results.lines, console)
    for grown in results.as_json()["growth"]:
        console.print(
            f"growth of {grown['stage']} ({grown['family']}): processor time ~ size^{grown['processor']}, memory ~ size^{grown['memory']}",
            highlight=False,
        )
    console.print(
        f"figures: {results.path}; `python -m benchmarks.report` makes docs/performance.md of them", highlight=False
    )


if __name__ == "__main__":
    main()
