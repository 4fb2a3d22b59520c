"""The whole command as its users meet it: refreshes of the practice ground, start-up, and an analyst's queries on a release.

Belongs here: work that `benchmarks.measure.run` starts in a process of its own. Each returns its own seconds.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPEATS = 200


def mhwg(state: str, *arguments: str) -> dict[str, Any]:
    """One `mhwg` command on the practice ground, with its state in `state`. Raises RuntimeError when it fails."""
    environment = {**os.environ, "MHWG_STATE": state, "NO_COLOR": "1"}
    environment.pop("DAGSTER_HOME", None)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments], env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"mhwg {' '.join(arguments)} ended {done.returncode}: {done.stderr[-500:]}")
    return {"seconds": seconds}


def bare_start(_: str) -> dict[str, Any]:
    """The floor of a start: the interpreter with typer and nothing else."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import typer"], check=True)
    return {"seconds": time.perf_counter() - started}


def analyst(state: str, question: str) -> dict[str, Any]:
    """Mean seconds of a question to the current release's database, the file open and warm."""
    import duckdb

    with duckdb.connect(str(Path(state) / "release" / "current" / "mhwg.duckdb"), read_only=True) as connection:
        connection.execute(QUESTIONS[question]).fetchall()
        started = time.perf_counter()
        for _ in range(REPEATS):
            connection.execute(QUESTIONS[question]).fetchall()
        return {"seconds": (time.perf_counter() - started) / REPEATS}


def analyst_cold(state: str, question: str) -> dict[str, Any]:
    """Seconds from a closed file to the first answer."""
    import duckdb

    started = time.perf_counter()
    with duckdb.connect(str(Path(state) / "release" / "current" / "mhwg.duckdb"), read_only=True) as connection:
        connection.execute(QUESTIONS[question]).fetchall()
        return {"seconds": time.perf_counter() - started}


QUESTIONS = {
    "a regional table": "from regional_table('RT01')",
    "a regional table as of a date": "from regional_table('RT01', as_of := timestamp '2026-12-31')",
    "every observation": "select count(value), sum(value) from observation",
    "the rows of the table, plainly": "from regional_cell where table_code = 'RT01'",
}
"""What analysts ask. The last is the floor of the first two."""
