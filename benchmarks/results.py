"""The figures of a benchmark, kept line by line: a long run is done in pieces, and the report is made from what is there.

Belongs here: the result file, the facts about the machine, growth over the sizes. Does not belong here: measuring, drawing.
"""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import Row, exponent

PACKAGES = ("duckdb", "polars", "pyarrow", "dagster", "great-expectations", "svy")


@dataclass(frozen=True)
class Line:
    """One measured line: the family of its stage, the row, and when and on how busy a machine it was measured."""

    family: str
    row: Row
    measured_at: str
    load: float

    @property
    def key(self) -> tuple[str, str, int]:
        """What a new measurement of the same replaces."""
        return (self.family, self.row.stage, self.row.size)


class Results:
    """The result file `path`: every line measured so far. Each `add` writes the whole file, so that a kill loses one line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"machine": machine(), "lines": []}
        self.machine: Mapping[str, Any] = told["machine"]
        self._lines = {line.key: line for line in map(_line, told["lines"])}

    @property
    def lines(self) -> list[Line]:
        """Every line, in the order of its first measurement."""
        return list(self._lines.values())

    def has(self, family: str, stage: str, size: int) -> bool:
        """True when this line was measured."""
        return (family, stage, size) in self._lines

    def add(self, family: str, row: Row) -> None:
        """The line is on disk, in place of an earlier one of the same stage and size."""
        line = Line(family, row, datetime.now(UTC).isoformat(timespec="seconds"), round(os.getloadavg()[0], 2))
        self._lines[line.key] = line
        self.path.parent.mkdir(parents=True, exist_ok=True)
        written = self.path.with_suffix(".part")
        written.write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")
        written.replace(self.path)

    def as_json(self) -> dict[str, Any]:
        """The file's content: machine, lines, and growth over the sizes."""
        return {
            "machine": dict(self.machine),
            "lines": [
                {"family": line.family, "measured_at": line.measured_at, "load": line.load, **line.row.as_json()}
                for line in self.lines
            ],
            "growth": growth(self.lines),
        }


def _line(told: Mapping[str, Any]) -> Line:
    about = {"family", "measured_at", "load"}
    return Line(
        told["family"],
        Row.from_json({name: value for name, value in told.items() if name not in about}),
        told["measured_at"],
        told["load"],
    )


def growth(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """Exponents of seconds, processor time and peak memory against size, for each stage that ran at several sizes; those of
    time also over the sizes from a million."""
    several: dict[tuple[str, str], list[Row]] = {}
    for line in lines:
        if line.row.size and line.row.seconds:
            several.setdefault((line.family, line.row.stage), []).append(line.row)
    found = []
    for (family, stage), rows in several.items():
        sizes = [row.size for row in rows]
        if len(set(sizes)) > 1:
            large = [row for row in rows if row.size >= 10**6]
            found.append(
                {
                    "family": family, "stage": stage, "from": min(sizes), "to": max(sizes),
                    "time": _slope(rows, "seconds"), "processor": _slope(rows, "cpu_seconds"),
                    "time_from_a_million": _slope(large, "seconds"),
                    "processor_from_a_million": _slope(large, "cpu_seconds"),
                    "memory": _slope(rows, "peak_mib"),
                }
            )  # fmt: skip
    return found


def _slope(rows: Iterable[Row], quantity: str) -> float | None:
    known = [row for row in rows if getattr(row, quantity)]
    slope = exponent([row.size for row in known], [getattr(row, quantity) for row in known])
    return None if slope is None else round(slope, 2)


def machine() -> dict[str, Any]:
    """What the figures were measured on; nothing that names the machine."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "processor": _processor(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    """The model as the kernel tells it; the architecture where it does not."""
    about = Path("/proc/cpuinfo")
    if about.exists():
        for line in about.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
