"""One measurement: a function in a process of its own, with its seconds and the peak memory of its process tree.

Belongs here: running, watching, and the arithmetic of repetitions. Does not belong here: what is measured.
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parent.parent
LOOK_SECONDS = 0.02
"""How often memory is looked at: a peak shorter than this can be missed."""


DERIVED = ("ratio", "cpu_ratio", "is_met")
"""What `Row.as_json` computes from the rest."""

_marked: list[float] = []


def begin() -> float:
    """The work begins now: what a function did before (imports, opening files) is not counted."""
    _marked[:] = [_processor_seconds()]
    return time.perf_counter()


def _processor_seconds() -> float:
    """Processor time of this process and of the children it waited for."""
    told = os.times()
    return told.user + told.system + told.children_user + told.children_system


@dataclass(frozen=True)
class Measured:
    """One run: seconds within the function (imports of the process not counted), resident bytes at the highest, and seconds of
    processor time, which a busy machine stretches less."""

    seconds: float
    peak_bytes: int
    said: Mapping[str, Any]
    cpu_seconds: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table: a stage at a size, its work and its floor, median over the repetitions.

    `target` bounds the `ratio` to the floor, the `seconds` or the `peak_mib`, as `target_of` says.
    """

    stage: str
    size: int
    seconds: float
    spread: float
    peak_mib: float
    floor_seconds: float | None
    floor_is: str
    target: float | None
    target_is: str
    target_of: str = "ratio"
    repetitions: int = 1
    floor_peak_mib: float | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    cpu_seconds: float | None = None
    floor_cpu_seconds: float | None = None

    @property
    def cpu_ratio(self) -> float | None:
        """The ratio in processor time; None where it was not told."""
        return self.cpu_seconds / self.floor_cpu_seconds if self.cpu_seconds and self.floor_cpu_seconds else None

    @property
    def ratio(self) -> float | None:
        """Work over floor; None where there is no floor."""
        return self.seconds / self.floor_seconds if self.floor_seconds else None

    @property
    def is_met(self) -> bool | None:
        """Whether the target of the design holds; None where it names none. Of two ratios the one in processor time counts: that
        of the clock says as much about who else was on the machine."""
        found = getattr(self, self.target_of)
        if self.target_of == "ratio":
            found = self.cpu_ratio or self.ratio
        return None if self.target is None or found is None else found <= self.target

    def as_json(self) -> dict[str, Any]:
        """The row for a program to read."""
        return {**asdict(self), "ratio": self.ratio, "cpu_ratio": self.cpu_ratio, "is_met": self.is_met}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Row":
        """The row that `as_json` wrote."""
        return cls(**{name: value for name, value in told.items() if name not in DERIVED})


def tree_memory(process: psutil.Process) -> int:
    """Resident bytes of a process and all its children."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


@dataclass
class Bench:
    """How a stage is measured: repetitions, a folder that outlives an interruption, and which of its lines are wanted."""

    repetitions: int
    folder: Path
    tell: Callable[[str], None]
    wants: Callable[[str], bool]


def run(function: str, *arguments: Any, python: str = sys.executable) -> Measured:
    """`module:function` has run in a fresh process with JSON arguments; what it returned (a mapping or None) comes back.

    `python` is the interpreter, this one or the peers'. Raises RuntimeError with the end of its standard error when it failed.
    """
    worker = subprocess.Popen(
        [python, "-m", "benchmarks.measure", function, json.dumps(arguments)],
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
    if not told.strip():
        raise RuntimeError(f"{function} told nothing: {faults[-2000:]}")
    answer = json.loads(told.splitlines()[-1])
    return Measured(answer["seconds"], peak, answer["said"] or {}, answer["cpu_seconds"])


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
    stage: str, size: int, works: Sequence[Measured], floors: Sequence[Measured] = (), floor_is: str = "",
    target: float | None = None, target_is: str = "", target_of: str = "ratio",
) -> Row:  # fmt: skip
    """Medians of the repetitions; `spread` is the widest distance from the median as a share of it."""
    seconds = [one.seconds for one in works]
    middle = statistics.median(seconds)
    return Row(
        stage, size, middle, max(abs(one - middle) for one in seconds) / middle if middle else 0.0,
        max(one.peak_bytes for one in works) / 2**20,
        statistics.median(one.seconds for one in floors) if floors else None, floor_is, target, target_is, target_of,
        len(works), max(one.peak_bytes for one in floors) / 2**20 if floors else None, works[-1].said, _cpu(works), _cpu(floors),
    )  # fmt: skip


def named_from(least: int, size: int, target: float, words: str) -> tuple[float | None, str]:
    """The target and its words where the design names it: from a size on. Below it fixed costs are most of the time."""
    return (target, words) if size >= least else (None, "")


def _cpu(runs: Sequence[Measured]) -> float | None:
    """Median of the processor time; None where a run told none."""
    told = [one.cpu_seconds for one in runs if one.cpu_seconds is not None]
    return statistics.median(told) if told and len(told) == len(runs) else None


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float | None:
    """Slope of log cost on log size by least squares: 1 is linear growth. None for fewer than two sizes."""
    import numpy as np

    if len(set(sizes)) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def _main(function: str, arguments: str) -> None:
    from benchmarks import measure  # this file runs as __main__; `begin` marks in the module that the functions import

    module, name = function.split(":")
    called = getattr(importlib.import_module(module), name)
    started = measure.begin()
    said = called(*json.loads(arguments))
    cpu_seconds = measure._processor_seconds() - measure._marked[0]
    # A function that times its own part (imports and opening apart) says so.
    seconds = said.pop("seconds") if isinstance(said, dict) and "seconds" in said else time.perf_counter() - started
    if isinstance(said, dict):
        cpu_seconds /= said.pop("mean_of", 1)  # its seconds are the mean of so many
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "said": said}), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
    os._exit(0)  # DuckDB's teardown is not part of the work
