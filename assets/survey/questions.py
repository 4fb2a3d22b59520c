"""Values worked out from several answers of one person: scores, thresholds, spending limits. One function per question.

Expressions over the columns of `core.survey_person`; null where the person gave too little to say. The universe of a measure is in
its TOML entry, not here.
"""

from collections.abc import Callable

import polars as pl


def unmet_need() -> pl.Expr:
    """Needed care and did not get it."""
    return pl.col("needed_care") & ~pl.col("got_care")


def depressive_symptoms() -> pl.Expr:
    """PHQ-9 of 10 or more. Up to two missing items are prorated (mean of the answered ones times nine); more make it missing.

    Source: Kroenke, Spitzer and Williams, 2001; proration as stated here is this house's rule and stands in the definition.
    """
    items = [pl.col(f"phq9_{i}").cast(pl.Float64) for i in range(1, 10)]
    answered = pl.sum_horizontal([item.is_not_null().cast(pl.Int64) for item in items])
    score = pl.sum_horizontal(items) * 9 / answered
    return pl.when(answered >= 7).then(score >= 10)


def raised_blood_pressure() -> pl.Expr:
    """Systolic 140 or more, or diastolic 90 or more, or on treatment; measured people only, or treated ones.

    Source: WHO STEPS, indicator "raised blood pressure or currently on medication".
    """
    measured = (pl.col("systolic_mmhg") >= 140) | (pl.col("diastolic_mmhg") >= 90)
    both = pl.col("systolic_mmhg").is_not_null() & pl.col("diastolic_mmhg").is_not_null()
    return pl.when(both).then(measured | pl.col("is_pressure_treated").fill_null(False))


def diabetes() -> pl.Expr:
    """Fasting plasma glucose of 7.0 mmol/l or more, or on treatment; people with a valid glucose value. Source: WHO STEPS."""
    measured = pl.col("fasting_glucose_mmol_l").is_not_null()
    return pl.when(measured).then(
        (pl.col("fasting_glucose_mmol_l") >= 7.0) | pl.col("is_glucose_treated").fill_null(False)
    )


def adequate_literacy() -> pl.Expr:
    """Health literacy score of 25 or more of 50, the cut-off of the handbook evaluation."""
    return pl.col("health_literacy_score") >= 25


DERIVED: dict[str, Callable[[], pl.Expr]] = {
    "unmet_need": unmet_need,
    "depressive_symptoms": depressive_symptoms,
    "raised_blood_pressure": raised_blood_pressure,
    "diabetes": diabetes,
    "adequate_literacy": adequate_literacy,
}


def value_of(name: str) -> pl.Expr:
    """The expression of a measure's value: a worked-out one, or a column of the record."""
    return DERIVED[name]() if name in DERIVED else pl.col(name)
