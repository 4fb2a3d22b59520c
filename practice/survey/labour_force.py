"""A labour force survey with a migration module, as a Stata file: Thailand, third quarter of 2025 (synthetic).

Quarterly expansion weights, extended missing values, citizenship as the basis of migrant status.
"""

import numpy as np
import polars as pl

from practice.survey.questionnaire import Question, particulars, yes_no
from practice.survey.sampling import clustered, layout

TRUTH = {"unemployed_citizens": 0.012, "unemployed_migrants": 0.035, "migrants": 0.12, "insured_migrants": 0.58}
"""Shares of the model: of the labour force by citizenship, of residents 15 and over, and of migrants."""

POPULATION = 52_000_000.0
CITIZENSHIPS = {764: "Thailand", 104: "Myanmar", 418: "Lao PDR", 116: "Cambodia", 704: "Viet Nam", 996: "Other"}

QUESTIONS: dict[str, Question] = {
    "hhid": Question("Household identification"),
    "fullname": Question("Name of the member", is_text=True),
    "idcard": Question("Identity card number", is_text=True),
    "region": Question("Region", {1: "Bangkok", 2: "Central", 3: "North", 4: "Northeast", 5: "South"}),
    "area": Question("Area", {1: "Municipal", 2: "Non-municipal"}),
    "strat": Question("Sampling stratum"),
    "ea": Question("Enumeration area"),
    "wgt_q": Question("Quarterly expansion weight"),
    "sex": Question("Sex", {1: "Male", 2: "Female"}),
    "age": Question("Age in completed years"),
    "natl": Question("Citizenship", CITIZENSHIPS),
    "dur": Question("Completed years since arrival"),
    "lfs": Question("Labour force status", {1: "Employed", 2: "Unemployed", 3: "Outside the labour force"}),
    "ins": Question("Registered with a health insurance scheme in Thailand", {1: "Yes", 2: "No"}),
    "need": Question("Needed care in the last 12 months", {1: "Yes", 2: "No"}),
    "got": Question("Got the care", {1: "Yes", 2: "No"}),
    "bar_lang": Question("Difficulty: language", {1: "Yes", 2: "No"}),
    "bar_cost": Question("Difficulty: cost", {1: "Yes", 2: "No"}),
}
EXTENDED = {name: ["a", "b"] for name in ("natl", "dur", "lfs", "ins", "need", "got", "bar_lang", "bar_cost")}
"""Stata's extended missing values used in each variable: .a refused, .b don't know; a plain dot is not asked."""


def frame(seed: int) -> pl.DataFrame:
    """The delivered records; letters stand for extended missing values, so their columns hold numbers and letters."""
    rng = np.random.default_rng([seed, 3])
    places = layout(rng, strata=10, psus=12, people=42, population=POPULATION)
    n = places.count
    cover = particulars(rng, n, "LFS")
    migrant = clustered(rng, TRUTH["migrants"], places, 0.8) == 1
    country = np.where(migrant, rng.choice([104, 418, 116, 704, 996], n, p=[0.55, 0.15, 0.2, 0.06, 0.04]), 764)
    unemployed = clustered(
        rng, np.where(migrant, TRUTH["unemployed_migrants"], TRUTH["unemployed_citizens"]), places, 0.2
    )
    active = rng.random(n) < np.where(migrant, 0.82, 0.67)
    status = np.where(active, np.where(unemployed == 1, 2, 1), 3)
    insured = clustered(rng, np.where(migrant, TRUTH["insured_migrants"], 0.985), places, 0.4)
    need = clustered(rng, 0.28, places)
    got = clustered(rng, np.where(migrant, 0.72, 0.93), places)
    asked = need == 1
    return pl.DataFrame(
        {
            "hhid": np.arange(1, n + 1), "fullname": cover["name"], "idcard": cover["national_id"],
            "region": (places.stratum + 1) // 2, "area": (places.stratum % 2) + 1,
            "strat": places.stratum, "ea": places.psu, "wgt_q": places.weight,
            "sex": rng.integers(1, 3, n), "age": np.clip(rng.normal(41, 15, n), 15, 90).astype(int),
            "natl": _spoilt(rng, country, None), "dur": _spoilt(rng, rng.integers(0, 15, n), migrant),
            "lfs": _spoilt(rng, status, None), "ins": _spoilt(rng, yes_no(insured), None),
            "need": _spoilt(rng, yes_no(need), None), "got": _spoilt(rng, yes_no(got), asked),
            "bar_lang": _spoilt(rng, yes_no(clustered(rng, np.where(migrant, 0.31, 0.01), places)), asked),
            "bar_cost": _spoilt(rng, yes_no(clustered(rng, np.where(migrant, 0.27, 0.08), places)), asked),
        },
        schema_overrides=dict.fromkeys(EXTENDED, pl.Object),
    )  # fmt: skip


def _spoilt(rng: np.random.Generator, values: np.ndarray, asked: np.ndarray | None) -> list[object]:
    """Numbers, with .a and .b at one in a hundred each, and nothing where the question was not asked."""
    draw = rng.random(len(values))
    out: list[object] = [
        "a" if d < 0.01 else "b" if d < 0.02 else float(v) for d, v in zip(draw, values.tolist(), strict=True)
    ]
    if asked is not None:
        out = [value if told else None for value, told in zip(out, asked.tolist(), strict=True)]
    return out
