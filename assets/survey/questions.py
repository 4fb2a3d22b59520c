"""Values worked out from several answers of one person: scores, thresholds, spending limits. One function per question.

Expressions over the columns of `core.survey_person`; null where the person gave too little to say. The universe of a measure is in
its TOML entry, not here.
"""

from collections.abc import Callable, Mapping

import polars as pl

from assets.survey.declarations import WaveDesign
from methods.money import Rate, convert


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


def recruitment_months() -> pl.Expr:
    """Recruitment cost in months of earnings: first month's earnings of the same job, both at the dated rate. SDG 10.7.1.

    Null for work on own account, stays under twelve months, jobs that began more than three years before the interview, and
    for workers without both amounts. A cost of zero is an answer and stays.
    """
    counted = (
        ~pl.col("is_self_employed").fill_null(False)
        & (pl.col("stay_months") >= 12)
        & (pl.col("job_started_year") >= pl.col("__survey_year") - 3)
        & (pl.col("__earnings_usd") > 0)
    )
    return pl.when(counted).then(pl.col("__cost_usd") / pl.col("__earnings_usd"))


def recruitment_months_of_payers() -> pl.Expr:
    """The same for those who paid anything: the form in which some pilots published, kept apart."""
    months = recruitment_months()
    return pl.when(months > 0).then(months)


def recruitment_cost_usd() -> pl.Expr:
    """Cost in US dollars of those who count in `recruitment_months`; numerator of the ratio of means."""
    return pl.when(recruitment_months().is_not_null()).then(pl.col("__cost_usd"))


def first_earnings_usd() -> pl.Expr:
    """First month's earnings in US dollars of those who count in `recruitment_months`."""
    return pl.when(recruitment_months().is_not_null()).then(pl.col("__earnings_usd"))


def unemployed() -> pl.Expr:
    """Unemployed, among those in the labour force. Source: SDG 8.5.2."""
    return pl.when(pl.col("activity_code").is_in(["employed", "unemployed"])).then(
        pl.col("activity_code") == "unemployed"
    )


def _spending() -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Health spending, consumption and discretionary budget per head and day, in international dollars of 2017."""
    spent = pl.col("oop_amount") / pl.col("household_size")
    consumed = pl.col("consumption_amount") / pl.col("household_size")
    return spent, consumed, consumed - pl.col("__societal_poverty_line")


def spending_hardship() -> pl.Expr:
    """Health spending above 40 % of the discretionary budget; any spending where that budget is negative. SDG 3.8.2 of 2025."""
    spent, _, discretionary = _spending()
    return (pl.col("oop_amount") > 0) & (spent > 0.4 * discretionary)


def spending_impoverishing() -> pl.Expr:
    """Health spending above the whole discretionary budget (or any, where it is negative). SDG 3.8.2 of 2025."""
    spent, _, discretionary = _spending()
    return (pl.col("oop_amount") > 0) & (spent > discretionary)


def spending_large() -> pl.Expr:
    """Hardship that does not impoverish: the total less the impoverishing part. SDG 3.8.2 of 2025."""
    return spending_hardship() & ~spending_impoverishing()


def spending_over_10_percent() -> pl.Expr:
    """Health spending above a tenth of consumption: the closed series of SDG 3.8.2 (2017-2024)."""
    return pl.col("oop_amount") > 0.10 * pl.col("consumption_amount")


def spending_over_25_percent() -> pl.Expr:
    """Health spending above a quarter of consumption: the closed series of SDG 3.8.2 (2017-2024)."""
    return pl.col("oop_amount") > 0.25 * pl.col("consumption_amount")


DERIVED: dict[str, Callable[[], pl.Expr]] = {
    function.__name__: function
    for function in (
        unmet_need, depressive_symptoms, raised_blood_pressure, diabetes, adequate_literacy, recruitment_months,
        recruitment_months_of_payers, recruitment_cost_usd, first_earnings_usd, unemployed, spending_hardship,
        spending_impoverishing, spending_large, spending_over_10_percent, spending_over_25_percent,
    )
}  # fmt: skip
"""Values that measures may name besides the columns of the record."""


def value_of(name: str) -> pl.Expr:
    """The expression of a measure's value: a worked-out one, or a column of the record."""
    return DERIVED[name]() if name in DERIVED else pl.col(name)


def prepared(wave: pl.DataFrame, design: WaveDesign) -> pl.DataFrame:
    """`wave` with what its own answers and its declaration give to every person.

    *Columns* added: `__survey_year`; `__cost_usd`, `__earnings_usd` at the declared rate of the survey year (null where none is
    declared); `__societal_poverty_line` per head and day, international dollars of 2017.
    """
    year = design.survey_year
    rates = {rate.currency_code: rate.per_usd for rate in design.exchange_rates if rate.year == year}
    dollars = [
        (
            pl.col(amount)
            / pl.col(currency).replace_strict({"USD": 1.0, **rates}, default=None, return_dtype=pl.Float64)
        ).alias(name)
        for name, amount, currency in (
            ("__cost_usd", "recruitment_cost_amount", "recruitment_currency_code"),
            ("__earnings_usd", "first_month_earnings_amount", "earnings_currency_code"),
        )
    ]
    line = societal_poverty_line(wave)
    return wave.with_columns(
        pl.lit(year).alias("__survey_year"), *dollars, pl.lit(line, dtype=pl.Float64).alias("__societal_poverty_line")
    )


def missing_rates(people: pl.DataFrame, designs: Mapping[tuple[str, str], WaveDesign]) -> list[str]:
    """One sentence per wave and currency with amounts that have no rate of the survey year: they are left out of what is told in
    dollars."""
    told = []
    for (survey, wave), design in sorted(designs.items()):
        mine = people.filter(survey_code=survey, wave_code=wave)
        rates = [Rate(rate.currency_code, rate.year, rate.per_usd, rate.source) for rate in design.exchange_rates]
        used = pl.concat([mine[name] for name in ("recruitment_currency_code", "earnings_currency_code")])
        for currency in used.drop_nulls().unique().sort():
            found = convert(1.0, str(currency), design.survey_year, rates)
            if found.amount is None:
                told.append(f"{survey} {wave}: {found.sentence}")
    return told


def societal_poverty_line(wave: pl.DataFrame) -> float | None:
    """max($2.15; $1.15 + half the median consumption per head and day, over persons), or None where consumption was not asked.

    Source: World Bank, societal poverty line, 2017 PPP; as used in SDG 3.8.2 of 2025.
    """
    asked = wave.filter(
        pl.col("consumption_amount").is_not_null(), pl.col("household_size") > 0, pl.col("household_weight") > 0
    )
    if asked.is_empty():
        return None
    persons = asked.select(
        (pl.col("consumption_amount") / pl.col("household_size")).alias("per_head"),
        (pl.col("household_weight") * pl.col("household_size")).alias("persons"),
    ).sort("per_head")
    cumulative = persons["persons"].cum_sum() / persons["persons"].sum()
    median = float(persons.filter(cumulative >= 0.5 - 1e-12)["per_head"][0])
    return max(2.15, 1.15 + 0.5 * median)
