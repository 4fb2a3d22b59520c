"""One million respondents in fifty domains: what this house's estimates cost over plain svy, measured in one run.

.venv/bin/python benchmarks/survey_estimation.py [respondents]
"""

import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np
import polars as pl
import svy

from methods.survey_design import Design
from methods.survey_estimation import DesignedSample


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


def main(n: int) -> None:
    """Seconds of plain svy, seconds here, and the ratio, per statistic."""
    rng = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "h": rng.integers(0, 100, n), "psu": rng.integers(0, 40, n), "w": rng.uniform(1, 9, n), "d": rng.integers(0, 50, n),
            "y": (rng.random(n) < 0.3).astype(float), "x": rng.lognormal(1, 1, n),
        }
    )  # fmt: skip
    plain = svy.Sample(frame, svy.Design(stratum="h", psu="psu", wgt="w")).estimation
    ours = DesignedSample(frame, Design("w", "h", "psu"))
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "proportion": (lambda: plain.prop("y", by="d"), lambda: ours.proportion("y", ["d"])),
        "mean": (lambda: plain.mean("x", by="d", deff="wr"), lambda: ours.mean("x", ["d"])),
        "total": (lambda: plain.total("x", by="d", deff="wr"), lambda: ours.total("x", ["d"])),
        "median": (lambda: plain.median("x", by="d"), lambda: ours.median("x", ["d"])),
    }
    print(f"{n} respondents, 4000 units, 50 domains")
    for name, (floor, work) in pairs.items():
        base, cost = _seconds(floor), _seconds(work)
        print(f"{name:12} svy {base:6.2f} s   here {cost:6.2f} s   ratio {cost / base:4.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
