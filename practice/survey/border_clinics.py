"""Patients of border clinics who happened to come, as an SPSS portable file: Lao PDR 2026 (synthetic). Not a probability sample."""

import numpy as np
import polars as pl

from practice.survey.questionnaire import CANARY_ASCII, CANARY_FAMILY, Question, answered, particulars, yes_no

YES_NO = {1: "Yes", 2: "No"}
QUESTIONS: dict[str, Question] = {
    "NUM": Question("Interview number"),
    "NAME": Question("Name of the patient", is_text=True),
    "PHONE": Question("Telephone", is_text=True),
    "CLINIC": Question("Clinic", {1: "Clinic 1", 2: "Clinic 2", 3: "Clinic 3"}),
    "SEX": Question("Sex", {1: "Male", 2: "Female"}),
    "AGE": Question("Age", refused=99),
    "NAT": Question("Citizenship", {1: "Lao", 2: "Vietnamese", 3: "Thai", 4: "Other"}),
    "NEED": Question("Needed care in the last 12 months", YES_NO, 8, 9),
    "SOUGHT": Question("Looked for care", YES_NO, 8, 9),
    "LANG": Question("Difficulty: language", YES_NO, 8, 9),
    "COST": Question("Difficulty: cost", YES_NO, 8, 9),
    "UNFAIR": Question("Difficulty: treated unfairly", YES_NO, 8, 9),
}


def frame(seed: int) -> pl.DataFrame:
    """The delivered records."""
    rng = np.random.default_rng([seed, 6])
    n = 310
    cover = particulars(rng, n, "LAO")
    need, sought = rng.random(n) < 0.83, rng.random(n) < 0.8
    told = answered(rng, yes_no(need), QUESTIONS["NEED"])
    asked = (told == 1).fill_null(False).to_numpy()
    looked = answered(rng, yes_no(sought), QUESTIONS["SOUGHT"], asked)
    seekers = (looked == 1).fill_null(False).to_numpy()
    return pl.DataFrame(
        {
            "NUM": np.arange(1.0, n + 1), "NAME": cover["name"].str.replace(CANARY_FAMILY, CANARY_ASCII), "PHONE": cover["phone"],
            "CLINIC": rng.integers(1, 4, n).astype(float), "SEX": rng.integers(1, 3, n).astype(float),
            "AGE": answered(rng, np.clip(rng.normal(36, 13, n), 15, 85).astype(int), QUESTIONS["AGE"], spoilt=0.004),
            "NAT": rng.choice([1, 2, 3, 4], n, p=[0.2, 0.55, 0.2, 0.05]).astype(float), "NEED": told, "SOUGHT": looked,
            "LANG": answered(rng, yes_no(rng.random(n) < 0.47), QUESTIONS["LANG"], asked),
            "COST": answered(rng, yes_no(rng.random(n) < 0.38), QUESTIONS["COST"], asked),
            "UNFAIR": answered(rng, yes_no(rng.random(n) < 0.19), QUESTIONS["UNFAIR"], seekers),
        }
    )  # fmt: skip
