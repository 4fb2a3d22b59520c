"""A household survey in the manner of MICS, two SPSS files: Cambodia 2025 (synthetic). Households, and women of 15 to 49.

Normalised weights; migrant households are those with a member abroad. Missing codes 8/98 don't know, 9/99 no response.
"""

import numpy as np
import polars as pl

from practice.survey.questionnaire import Question, answered, particulars, yes_no
from practice.survey.sampling import clustered, layout

TRUTH = {"attended_migrant": 0.88, "attended_other": 0.94, "migrant_household": 0.22}
YES_NO = {1: "Yes", 2: "No"}
ATTENDANTS = {
    1: "Doctor",
    2: "Nurse or midwife",
    3: "Traditional birth attendant",
    4: "Relative or friend",
    5: "Nobody",
}

HOUSEHOLD_QUESTIONS: dict[str, Question] = {
    "HH1": Question("Cluster number"),
    "HH2": Question("Household number"),
    "HHNAME": Question("Name of the head of household", is_text=True),
    "HHPHONE": Question("Telephone of the household", is_text=True),
    "HH6": Question("Area", {1: "Urban", 2: "Rural"}),
    "STRATUM": Question("Stratum"),
    "HHWEIGHT": Question("Household sample weight"),
    "HH48": Question("Number of household members"),
    "MIG1": Question("A member of the household lives abroad", YES_NO, 8, 9),
    "EXPCAP": Question("Household consumption per day, international dollars 2017", refused=99999),
    "OOP": Question("Out-of-pocket health spending per day, same unit", dont_know=99998, refused=99999),
}
WOMAN_QUESTIONS: dict[str, Question] = {
    "HH1": Question("Cluster number"),
    "HH2": Question("Household number"),
    "LN": Question("Line number"),
    "WMNAME": Question("Name of the woman", is_text=True),
    "WMBIRTH": Question("Date of birth", is_text=True),
    "WB4": Question("Age in completed years", dont_know=98, refused=99),
    "WMWEIGHT": Question("Woman's sample weight"),
    "CM17": Question("Live birth in the last two years", YES_NO, 8, 9),
    "MN19": Question("Most qualified person who assisted the birth", ATTENDANTS, 8, 9),
}  # fmt: skip


def frames(seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The household file and the women's file, keyed by cluster, household and line."""
    rng = np.random.default_rng([seed, 4])
    places = layout(rng, strata=8, psus=16, people=20, population=1.0)
    n = places.count
    cluster = places.stratum * 100 + places.psu
    number = np.concatenate([np.arange(1, count + 1) for count in np.unique(cluster, return_counts=True)[1]])
    migrant = clustered(rng, TRUTH["migrant_household"], places, 0.6)
    size = rng.integers(1, 9, n)
    consumption = np.exp(rng.normal(2.05, 0.55, n)) * size
    # Health spending is small for most and ruinous for few; one household in eight spends nothing.
    spending = np.where(
        rng.random(n) < 0.12, 0.0, consumption * rng.beta(0.9, 26, n) * np.where(rng.random(n) < 0.06, 6, 1)
    )
    weight = places.weight * n
    cover = particulars(rng, n, "MHS")
    questions = HOUSEHOLD_QUESTIONS
    households = pl.DataFrame(
        {
            "HH1": cluster.astype(float), "HH2": number.astype(float), "HHNAME": cover["name"], "HHPHONE": cover["phone"],
            "HH6": np.where(places.stratum % 2 == 1, 1.0, 2.0), "STRATUM": places.stratum.astype(float), "HHWEIGHT": weight,
            "HH48": size.astype(float), "MIG1": answered(rng, yes_no(migrant), questions["MIG1"]),
            "EXPCAP": answered(rng, consumption.round(4), questions["EXPCAP"], spoilt=0.004),
            "OOP": answered(rng, spending.round(4), questions["OOP"], spoilt=0.004),
        }
    )  # fmt: skip
    women_in = rng.choice([0, 1, 2], n, p=[0.2, 0.6, 0.2])
    house = np.repeat(np.arange(n), women_in)
    line = np.concatenate([np.arange(1, count + 1) for count in women_in if count])
    m = len(house)
    birth = (rng.random(m) < 0.24).astype(int)
    attended = rng.random(m) < np.where(migrant[house] == 1, TRUTH["attended_migrant"], TRUTH["attended_other"])
    helper = np.where(attended, rng.choice([1, 2], m), rng.choice([3, 4, 5], m, p=[0.7, 0.2, 0.1]))
    cover, asked = particulars(rng, m, "MHW"), WOMAN_QUESTIONS
    gave_birth = answered(rng, yes_no(birth), asked["CM17"])
    women = pl.DataFrame(
        {
            "HH1": cluster[house].astype(float), "HH2": number[house].astype(float), "LN": line.astype(float),
            "WMNAME": cover["name"], "WMBIRTH": cover["birth_date"],
            "WB4": answered(rng, rng.integers(15, 50, m), asked["WB4"], spoilt=0.004),
            "WMWEIGHT": weight[house] * rng.uniform(0.95, 1.08, m),
            "CM17": gave_birth, "MN19": answered(rng, helper, asked["MN19"], (gave_birth == 1).fill_null(False).to_numpy()),
        }
    )  # fmt: skip
    return households, women
