"""What ten million data values cost: pulled from a practice server, landed, staged, weighed and merged into the core.

Belongs here: the measurement, printed: seconds and peak memory of the whole process tree of the pipeline, by step. The server
runs in a process of its own and does not count. Run with `python benchmarks/dhis2_pull.py [values]`; 10 million by default. It
fails when the peak is above 1 GiB: the promise of docs/dhis2.md.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psutil

from practice.clock import DEFAULT_SEED
from practice.dhis2 import serve
from practice.dhis2.bulk import Bulk
from practice.world.region import World

AT = datetime(2026, 7, 6, 5, 0, tzinfo=UTC)
BUDGET_MIB = 1024


def settings(url: str, bulk: Bulk) -> dict[str, Any]:
    """The `[[dhis2]]` table of a server that has nothing but the bulk data set."""
    return {
        "code": "khm", "name": "Bulk server", "country": "KHM", "url": url, "credential_env": "BULK",
        "root_org_units": [bulk.root], "data_from": date(2021, 1, 1), "future_periods_days": 0, "data_set": [bulk.settings()],
    }  # fmt: skip


def work(url: str, values: int, folder: Path) -> None:
    """The pipeline's part: one full pull and its load, telling each step's end on standard output."""
    from assets.dhis2.assets import batches
    from assets.dhis2.client import Credential, Dhis2Client
    from assets.dhis2.extract import pull_instance
    from assets.dhis2.mapping import parse_instance
    from assets.loading import load_source
    from expectations.scales import GreatExpectationsScales
    from methods.pseudonym import Pseudonymiser
    from warehouse.landing import Landing
    from warehouse.store import Warehouse

    mapping = parse_instance(settings(url, Bulk("khm", values)), is_practice=True)
    landing, store = Landing(folder / "landing"), Warehouse(folder / "warehouse.duckdb")

    def pull(watermark: str | None) -> Any:
        client = Dhis2Client(url, Credential(token="practice-token"), server="khm", max_parallel=2)
        result = pull_instance(
            client,
            mapping,
            lambda part: landing.pull(mapping.source_code, part, AT, is_practice=True),
            watermark,
            Pseudonymiser("a key that is long enough for a benchmark", "k"),
        )
        landing.note_pull(result.receipts, AT)
        return result

    print(json.dumps({"step": "start"}), flush=True)
    result = pull(None)
    print(json.dumps({"step": "pull and land", "rows": result.counts["data_values"]}), flush=True)
    report = load_source(store, landing, GreatExpectationsScales(), mapping.source_code, AT, batches(mapping, landing))
    assert report.fault is None, report.fault
    assert report.load is not None
    print(
        json.dumps({"step": "stage, weigh, load", "rows": report.load.history["core.data_value"].inserted}), flush=True
    )


def tree_memory(process: psutil.Process) -> int:
    """Resident bytes of a process and all its children."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def main(values: int) -> int:
    """Prints seconds and peak of each step; 1 when the peak is above the budget."""
    with (
        tempfile.TemporaryDirectory() as place,
        serve(World(DEFAULT_SEED, weekly_episodes=1), lambda: AT, ("khm",), bulk_values=values) as running,
    ):
        worker = subprocess.Popen(
            [sys.executable, __file__, "--work", running.urls["khm"], str(values), place], stdout=subprocess.PIPE, text=True
        )  # fmt: skip
        assert worker.stdout is not None
        os.set_blocking(worker.stdout.fileno(), False)
        process, peak, highest, begun = psutil.Process(worker.pid), 0, 0, time.perf_counter()
        while worker.poll() is None:
            try:
                peak = max(peak, tree_memory(process))
            except psutil.NoSuchProcess:
                break
            for line in worker.stdout.readlines():
                told = json.loads(line)
                rows, seconds = told.get("rows", 0), time.perf_counter() - begun
                print(
                    f"{told['step']:<20} {rows:>12,} rows  {seconds:8.1f} s  peak {peak / 2**20:6.0f} MiB", flush=True
                )
                highest, peak, begun = max(highest, peak), 0, time.perf_counter()
            time.sleep(0.05)
        for line in worker.stdout.readlines():
            told = json.loads(line)
            print(
                f"{told['step']:<20} {told.get('rows', 0):>12,} rows  {time.perf_counter() - begun:8.1f} s  peak {peak / 2**20:6.0f} MiB"
            )
        highest = max(highest, peak)
        landed = sum(path.stat().st_size for path in Path(place, "landing").rglob("*") if path.is_file())
        stored = Path(place, "warehouse.duckdb").stat().st_size
    print(
        f"landed {landed / 2**20:.0f} MiB, warehouse {stored / 2**20:.0f} MiB, peak {highest / 2**20:.0f} MiB of {BUDGET_MIB}"
    )
    return int(worker.returncode != 0 or highest > BUDGET_MIB * 2**20)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
        sys.stdout.flush()
        os._exit(0)
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000))
