"""Respondents in fifty domains: what this house's estimates cost over plain svy.

Belongs here: the work and its floor per statistic, each started by `benchmarks.measure.run` in a process of its own.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.measure import Bench, Row, begin, compare, row, run

STATISTICS = ("proportion", "mean", "total", "median")


def survey_estimation(size: int, bench: Bench) -> Iterator[Row]:
    """Four statistics of `size` respondents, 4,000 primary units in 100 strata, 50 domains."""
    work = partial(_ask, "benchmarks.survey_estimation")
    for statistic in STATISTICS:
        stage = f"estimate: {statistic}"
        if bench.wants(stage):
            bench.tell(f"{size:,} respondents: {statistic}")
            ours, plain = compare(
                lambda statistic=statistic: work("ours", size, statistic),  # type: ignore[misc]
                lambda statistic=statistic: work("plain", size, statistic),  # type: ignore[misc]
                max(1, bench.repetitions - 1),
            )
            yield row(stage, size, ours, plain, "plain svy: estimate and standard error by domain")


def _ask(module: str, function: str, *arguments: Any) -> Any:
    return run(f"{module}:{function}", *arguments)


def _respondents(n: int) -> Any:
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "h": rng.integers(0, 100, n), "psu": rng.integers(0, 40, n), "w": rng.uniform(1, 9, n), "d": rng.integers(0, 50, n),
            "y": (rng.random(n) < 0.3).astype(float), "x": rng.lognormal(1, 1, n),
        }
    )  # fmt: skip


def plain(n: int, statistic: str) -> dict[str, Any]:
    """svy on the same sample."""
    import svy

    estimation = svy.Sample(_respondents(n), svy.Design(stratum="h", psu="psu", wgt="w")).estimation
    started = begin()
    if statistic == "proportion":
        estimation.prop("y", by="d")
    elif statistic == "mean":
        estimation.mean("x", by="d", deff="wr")
    elif statistic == "total":
        estimation.total("x", by="d", deff="wr")
    else:
        estimation.median("x", by="d")
    return {"seconds": time.perf_counter() - started}


def ours(n: int, statistic: str) -> dict[str, Any]:
    """The estimates as the pipeline makes them, with interval, reliability flag and effective sample size."""
    from methods.survey_design import Design
    from methods.survey_estimation import DesignedSample

    sample = DesignedSample(_respondents(n), Design("w", "h", "psu"))
    started = begin()
    getattr(sample, statistic)("y" if statistic == "proportion" else "x", ["d"])
    return {"seconds": time.perf_counter() - started}
