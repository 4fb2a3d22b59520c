"""The health and insurance survey of Vietnamese workers abroad: its population, its truth, and samples drawn from it.

Two-stage samples of dormitories and workers, stratified by destination and sector. The file that the survey office delivers is
written in `files`. What the questions mean to the warehouse does not belong here.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Destination:
    """What is true of Vietnamese workers in one country: shares among all workers, and shares among those who needed care."""

    code: int
    iso3: str
    label: str
    dormitories: int
    women: float
    insured: float
    needed_care: float
    got_care: float
    language: float
    cost: float
    discrimination: float


DESTINATIONS = (
    Destination(1, "JPN", "Japan", 300, 0.44, 0.93, 0.34, 0.83, 0.41, 0.15, 0.09),
    Destination(2, "TWN", "Taiwan (China)", 280, 0.33, 0.88, 0.37, 0.79, 0.33, 0.18, 0.12),
    Destination(3, "KOR", "Republic of Korea", 180, 0.14, 0.86, 0.32, 0.77, 0.38, 0.20, 0.13),
    Destination(4, "MYS", "Malaysia", 140, 0.39, 0.63, 0.41, 0.62, 0.24, 0.39, 0.17),
    Destination(5, "THA", "Thailand", 140, 0.47, 0.31, 0.39, 0.55, 0.29, 0.46, 0.15),
)
"""Shares are those of an average dormitory; the exact population values are computed from `population()`."""

SECTORS = ((1, "Manufacturing and construction"), (2, "Care, domestic work, agriculture and fishing"))
DORMITORIES_SAMPLED = 14
WORKERS_SAMPLED = 18


def _clustered(rng: np.random.Generator, share: np.ndarray, unit: np.ndarray, units: int, spread: float) -> np.ndarray:
    """0/1 draws whose log-odds move together within a dormitory, which is what makes a cluster sample less than n people."""
    shift = rng.normal(0.0, spread, units)[unit]
    odds = np.log(share / (1 - share)) + shift
    hit: np.ndarray = rng.random(len(share)) < 1 / (1 + np.exp(-odds))
    return hit.astype(np.int8)


def population(seed: int) -> pl.DataFrame:
    """Every worker of the practice region abroad: about 65 000 rows. *Rows*: one worker; the truth is a plain mean of a column."""
    rng = np.random.default_rng([seed, 1])
    frames, first_unit = [], 0
    for place in DESTINATIONS:
        for sector, _ in SECTORS:
            units = place.dormitories if sector == 1 else place.dormitories // 2
            sizes = rng.integers(24, 60, units)
            unit = np.repeat(np.arange(units), sizes)
            n = len(unit)
            tilt = 0.0 if sector == 1 else -0.06
            share = {
                name: np.full(n, np.clip(getattr(place, name) + tilt, 0.05, 0.97)) for name in ("insured", "got_care")
            }
            woman = (rng.random(n) < (place.women if sector == 1 else min(0.9, place.women + 0.35))).astype(np.int8)
            needed = _clustered(
                rng, np.clip(np.full(n, place.needed_care) + 0.06 * woman, 0.05, 0.95), unit, units, 0.3
            )
            got = _clustered(rng, share["got_care"], unit, units, 0.4) * needed
            barriers = {
                name: _clustered(rng, np.full(n, getattr(place, name)), unit, units, 0.5) * needed
                for name in ("language", "cost", "discrimination")
            }
            sought = np.maximum(got, (rng.random(n) < 0.45).astype(np.int8)) * needed
            item = (
                np.clip(rng.normal(0.55, 0.5, n)[:, None] + rng.normal(0, 0.75, (n, 9)), 0, 3).round().astype(np.int8)
            )
            frames.append(
                pl.DataFrame(
                    {
                        "destination": np.full(n, place.code, dtype=np.int8),
                        "sector": np.full(n, sector, dtype=np.int8),
                        "dormitory": unit + first_unit,
                        "dormitory_size": sizes[unit],
                        "woman": woman,
                        "age": np.clip(rng.gamma(9.0, 3.2, n), 18, 59).astype(np.int16),
                        "years_abroad": np.clip(rng.exponential(2.2, n), 0, 12).astype(np.int16),
                        "insured": _clustered(rng, share["insured"], unit, units, 0.6),
                        "needed_care": needed,
                        "sought_care": sought,
                        "got_care": got,
                        **barriers,
                        "discrimination": barriers["discrimination"] * sought,
                        **{f"phq{i + 1}": item[:, i] for i in range(9)},
                        "handbook": (rng.random(n) < 0.42).astype(np.int8),
                    }
                )
            )
            first_unit += units
    everyone = pl.concat(frames)
    literacy = (
        np.clip(rng.normal(27, 8, everyone.height) + 5 * everyone["handbook"].to_numpy(), 0, 50)
        .round()
        .astype(np.int16)
    )
    return everyone.with_columns(pl.Series("literacy", literacy))


def draw(workers: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A sample: in each stratum 14 dormitories, then up to 18 workers in each, both at random without replacement.

    *Columns* added: `stratum`, `psu`, `psus_in_stratum`, `weight` (inverse of the chance of selection; sums to the population).
    """
    dormitories = (
        workers.group_by("destination", "sector", "dormitory")
        .agg(pl.len().alias("residents"))
        .sort("destination", "sector", "dormitory")
    )
    stratum = dormitories["destination"].to_numpy().astype(np.int64) * 10 + dormitories["sector"].to_numpy()
    taken = _first_of_each(rng, stratum, DORMITORIES_SAMPLED)
    _, size = np.unique(stratum, return_counts=True)
    in_stratum = dict(zip(np.unique(stratum).tolist(), size.tolist(), strict=True))
    here = pl.Series("dormitory", dormitories["dormitory"].to_numpy()[taken])
    residents = workers.filter(pl.col("dormitory").is_in(here.implode())).sort(
        "destination", "sector", "dormitory", maintain_order=True
    )
    people = residents[_first_of_each(rng, residents["dormitory"].to_numpy(), WORKERS_SAMPLED)]
    return (
        people.with_columns(
            (pl.col("destination").cast(pl.Int64) * 10 + pl.col("sector")).alias("stratum"),
            pl.col("dormitory").alias("psu"),
        )
        .with_columns(
            pl.col("stratum").replace_strict(in_stratum, return_dtype=pl.Int64).alias("psus_in_stratum"),
        )
        .with_columns(
            (pl.col("psus_in_stratum") / DORMITORIES_SAMPLED * pl.col("dormitory_size") / pl.len().over("psu")).alias(
                "weight"
            ),
        )
    )


def _first_of_each(rng: np.random.Generator, group: np.ndarray, count: int) -> np.ndarray:
    """Positions of up to `count` members of each group, at random without replacement, in their order."""
    order = np.lexsort((rng.random(len(group)), group))
    sorted_group = group[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(sorted_group)) + 1])
    rank = np.arange(len(group)) - np.repeat(starts, np.diff(np.append(starts, len(group))))
    return np.sort(order[rank < count])
