"""One measurement: a function in a process of its own, with its seconds and the peak memory of its process tree.

Belongs here: running, watching, and the arithmetic of repetitions. Does not belong here: what is measured.
"""

import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parent.parent
LOOK_SECONDS = 0.02
"""How often memory is looked at: a peak shorter than this can be missed."""


@dataclass(frozen=True)
class Measured:
    """One run: seconds within the function (imports of the process not counted), and resident bytes at the highest."""

    seconds: float
    peak_bytes: int
    said: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One line of the table: a stage at a size, its work and its floor, median over the repetitions."""

    stage: str
    size: int
    seconds: float
    spread: float
    peak_mib: float
    floor_seconds: float | None
    floor_is: str
    target: float | None
    target_is: str

    @property
    def ratio(self) -> float | None:
        """Work over floor; None where there is no floor."""
        return self.seconds / self.floor_seconds if self.floor_seconds else None

    @property
    def is_met(self) -> bool | None:
        """Whether the target of the design holds; None where it names none."""
        return None if self.target is None or self.ratio is None else self.ratio <= self.target

    def as_json(self) -> dict[str, Any]:
        """The row for a program to read."""
        return {**asdict(self), "ratio": self.ratio, "is_met": self.is_met}


def tree_memory(process: psutil.Process) -> int:
    """Resident bytes of a process and all its children."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def run(function: str, *arguments: Any) -> Measured:
    """`module:function` has run in a fresh process with JSON arguments; what it returned (a mapping or None) comes back.

    Raises RuntimeError with the end of its standard error when it failed.
    """
    worker = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.measure", function, json.dumps(arguments)],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process, peak = psutil.Process(worker.pid), 0
    while worker.poll() is None:
        try:
            peak = max(peak, tree_memory(process))
        except psutil.NoSuchProcess:
            break
        time.sleep(LOOK_SECONDS)
    told, faults = worker.communicate()
    if worker.returncode != 0:
        raise RuntimeError(f"{function} failed: {faults[-2000:]}")
    answer = json.loads(told.splitlines()[-1])
    return Measured(answer["seconds"], peak, answer["said"] or {})


def compare(
    work: Callable[[], Measured], floor: Callable[[], Measured] | None, repetitions: int
) -> tuple[list[Measured], list[Measured]]:
    """Work and floor in turns, so that a change of the machine's mood meets both."""
    works, floors = [], []
    for _ in range(repetitions):
        if floor is not None:
            floors.append(floor())
        works.append(work())
    return works, floors


def row(
    stage: str, size: int, works: Sequence[Measured], floors: Sequence[Measured], floor_is: str = "",
    target: float | None = None, target_is: str = "",
) -> Row:  # fmt: skip
    """Medians of the repetitions; `spread` is the widest distance from the median as a share of it."""
    seconds = [one.seconds for one in works]
    middle = statistics.median(seconds)
    return Row(
        stage, size, middle, max(abs(one - middle) for one in seconds) / middle if middle else 0.0,
        max(one.peak_bytes for one in works) / 2**20,
        statistics.median(one.seconds for one in floors) if floors else None, floor_is, target, target_is,
    )  # fmt: skip


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float | None:
    """Slope of log cost on log size by least squares: 1 is linear growth. None for fewer than two sizes."""
    import numpy as np

    if len(set(sizes)) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def _main(function: str, arguments: str) -> None:
    module, name = function.split(":")
    called = getattr(importlib.import_module(module), name)
    started = time.perf_counter()
    said = called(*json.loads(arguments))
    # A function that times its own part (imports and opening apart) says so.
    seconds = said.pop("seconds") if isinstance(said, dict) and "seconds" in said else time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "said": said}), flush=True)


if __name__ == "__main__":
    import os

    _main(sys.argv[1], sys.argv[2])
    os._exit(0)  # DuckDB's teardown is not part of the work
