"""Blood pressure, glucose and mood of migrant workers and their neighbours, as Parquet: Malaysia 2025 (synthetic), after STEPS."""

import numpy as np
import polars as pl

from practice.survey.questionnaire import particulars
from practice.survey.sampling import clustered, layout

POPULATION = 3_400_000.0
IDENTIFIERS = ("respondent_name", "passport_number", "phone")


def frame(seed: int) -> pl.DataFrame:
    """The delivered records: coded integers, -8 don't know, -9 refused, null not asked or not measured."""
    rng = np.random.default_rng([seed, 7])
    places = layout(rng, strata=6, psus=14, people=28, population=POPULATION)
    n = places.count
    cover = particulars(rng, n, "MYS")
    migrant = clustered(rng, 0.55, places, 0.7) == 1
    age = np.where(migrant, np.clip(rng.gamma(12, 2.8, n), 18, 60), np.clip(rng.normal(44, 14, n), 18, 79)).astype(int)
    slope = (age - 18) / 50
    systolic = rng.normal(112 + 24 * slope, 14)
    # Both of one person: correlated by 0.7, each with the mean and spread that it has by itself. Drawn apart, 7 of the 2,077 who have both
    # had the lower above the upper.
    along = 0.7 * 9 / 14 * (systolic - (112 + 24 * slope))
    diastolic = rng.normal(72 + 11 * slope + along, 9 * np.sqrt(1 - 0.7**2))
    glucose = np.exp(rng.normal(1.62 + 0.16 * slope, 0.14)).round(2)
    mood = rng.normal(0.5 + 0.12 * migrant, 0.5, n)
    values: dict[str, object] = {
        "respondent_name": cover["name"], "passport_number": cover["national_id"], "phone": cover["phone"],
        "zone": places.stratum, "block": places.psu, "weight": places.weight,
        "sex": np.where(rng.random(n) < np.where(migrant, 0.27, 0.52), 2, 1), "age": age,
        "citizen": np.where(migrant, rng.choice([2, 3, 4, 5, 6], n, p=[0.4, 0.3, 0.12, 0.08, 0.1]), 1),
        "years": pl.Series(rng.integers(0, 16, n)).set(pl.Series(~migrant), None),
        "sbp": _unmeasured(rng, systolic.round(1)), "dbp": _unmeasured(rng, diastolic.round(1)),
        "bp_drug": _spoilt(rng, 2 - (rng.random(n) < 0.02 + 0.14 * slope)),
        "fpg": _unmeasured(rng, glucose, 0.12), "dm_drug": _spoilt(rng, 2 - (rng.random(n) < 0.01 + 0.06 * slope)),
    }  # fmt: skip
    for item in range(1, 10):
        answer = np.clip(np.round(mood + rng.normal(0, 0.8, n)), 0, 3)
        values[f"phq{item}"] = _spoilt(rng, answer, 0.008)
    values["insured"] = _spoilt(rng, 2 - clustered(rng, np.where(migrant, 0.66, 0.97), places))
    return pl.DataFrame(values)


def _spoilt(rng: np.random.Generator, values: np.ndarray, share: float = 0.01) -> np.ndarray:
    draw = rng.random(len(values))
    out = np.asarray(values, dtype=np.int64).copy()
    out[draw < share] = -8
    out[(draw >= share) & (draw < 2 * share)] = -9
    return out


def _unmeasured(rng: np.random.Generator, values: np.ndarray, share: float = 0.06) -> pl.Series:
    """Measurements, some of them refused (null): independent of what they would have been."""
    return pl.Series(values).set(pl.Series(rng.random(len(values)) < share), None)
