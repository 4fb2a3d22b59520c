"""How often 95 % intervals of the practice survey cover the truth, for common and rare traits, all workers and one country.

Prints a table; takes a few minutes. The test suite holds the two typical shares (`tests/practice/test_survey_coverage.py`).

    .venv/bin/python benchmarks/survey_coverage.py [samples]
"""

import sys

import numpy as np
import polars as pl

from methods.survey_design import Design
from methods.survey_estimation import DesignedSample
from practice.survey import overseas_workers
from practice.survey.files import DEFAULT_SEED


def main(samples: int) -> None:
    """The table on standard output: trait, domain, truth, coverage, share of Korn-Graubard intervals, mean n."""
    workers = overseas_workers.population(DEFAULT_SEED).with_columns(
        pl.when(pl.col("needed_care") == 1).then(pl.col("language")).alias("language, needed care"),
        pl.when(pl.col("sought_care") == 1).then(pl.col("discrimination")).alias("unfair, sought care"),
        (pl.sum_horizontal([pl.col(f"phq{i}") for i in range(1, 10)]) >= 20).cast(pl.Int8).alias("PHQ-9 of 20 or more"),
    )
    traits = ["insured", "language, needed care", "unfair, sought care", "PHQ-9 of 20 or more"]
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(samples):
        sample = DesignedSample(overseas_workers.draw(workers, rng), Design("weight", "stratum", "psu"))
        for trait in traits:
            everyone = sample.proportion(trait).with_columns(pl.lit(0, dtype=pl.Int8).alias("destination"))
            by_country = sample.proportion(trait, ["destination"])
            both = pl.concat([everyone.select(by_country.columns), by_country])
            rows.append(both.with_columns(pl.lit(trait).alias("trait")))
    truth = pl.concat(
        [
            pl.concat(
                [
                    workers.select(pl.lit(0, dtype=pl.Int8).alias("destination"), pl.col(trait).mean().alias("truth")),
                    workers.group_by("destination").agg(pl.col(trait).mean().alias("truth")),
                ]
            ).with_columns(pl.lit(trait).alias("trait"))
            for trait in traits
        ]
    )
    names = {0: "all", **{place.code: place.iso3 for place in overseas_workers.DESTINATIONS}}
    found = pl.concat(rows).join(truth, on=["trait", "destination"])
    table = (
        found.group_by("trait", "destination")
        .agg(
            pl.col("truth").first(),
            pl.col("truth").is_between(pl.col("lower"), pl.col("upper")).mean().alias("coverage"),
            (pl.col("interval_code") == "korn_graubard").mean().alias("korn_graubard"),
            pl.col("n_unweighted").mean().alias("n"),
        )
        .sort("trait", "destination")
    )
    print(
        f"{samples} samples; simulation error of a coverage of 95 %: {100 * (0.95 * 0.05 / samples) ** 0.5:.1f} points"
    )
    print(f"{'trait':24} {'domain':6} {'truth':>7} {'covers':>7} {'K-G':>5} {'n':>6}")
    for row in table.iter_rows(named=True):
        remark = "" if 0.93 <= row["coverage"] <= 0.97 else "  <- outside 93-97 %"
        print(
            f"{row['trait']:24} {names[row['destination']]:6} {row['truth']:7.3f} {100 * row['coverage']:6.1f}% "
            f"{row['korn_graubard']:5.2f} {row['n']:6.0f}{remark}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
