"""Scores, thresholds and spending limits, each checked by pencil; and the recode rules that feed them."""

import polars as pl
import pytest

from assets.survey.declarations import DeclarationFault, Measure, WaveDesign, load_designs, load_measures, load_recodes
from assets.survey.estimate import estimate_frame
from assets.survey.questions import DERIVED, missing_rates, prepared, societal_poverty_line, value_of
from assets.survey.recode import record_types
from methods.money import Rate

DESIGN = WaveDesign(
    survey_code="X", wave_code="1", title="t", producer="p", country_code="VNM", period_code="2025", field_start_on="2025-01-01",
    field_end_on="2025-03-31", population="all", migrant_basis_code="A", stages="one", strata="stratum_code", psu="psu_code",
    weight_kind="expansion", is_practice=True, owner="o", dated="2026-01-01",
    exchange_rate=[{"currency_code": "IDR", "year": 2025, "per_usd": 16000, "source": "test"}],
)  # fmt: skip


def people(**columns: list[object]) -> pl.DataFrame:
    """A wave with the given columns; everything else is empty or the same for all."""
    n = len(next(iter(columns.values())))
    fixed = {
        "survey_code": ["X"] * n, "wave_code": ["1"] * n, "person_number": list(range(n)), "stratum_code": ["1"] * n,
        "psu_code": [str(i) for i in range(n)], "weight": [1.0] * n, "missing_codes": ["{}"] * n, "is_practice": [True] * n,
    }  # fmt: skip
    given = {**fixed, **columns}
    return pl.DataFrame(
        {name: pl.Series(given.get(name, [None] * n), dtype=dtype) for name, dtype in record_types().items()}
    )


def values(name: str, frame: pl.DataFrame) -> list[object]:
    """The worked-out value of every person."""
    return prepared(frame, DESIGN).select(value_of(name).alias("v"))["v"].to_list()


def test_phq9_is_prorated_over_at_most_two_missing_items() -> None:
    """7 items of 8 points are 8·9/7 = 10.3 and count; 6 items say nothing; 9 items of 9 points stay below 10."""
    items = {f"phq9_{i}": [1, 2 if i == 1 else 1, 1] for i in range(1, 8)}
    items |= {"phq9_8": [1, None, None], "phq9_9": [1, None, None]}
    items["phq9_7"] = [1, 1, None]
    assert values("depressive_symptoms", people(**items)) == [False, True, None]


def test_raised_pressure_counts_either_reading_or_treatment() -> None:
    """140/80, 120/90 and 120/80 on medicine count; a person with one reading missing is not measured."""
    frame = people(
        systolic_mmhg=[140.0, 120.0, 120.0, 139.0, 150.0],
        diastolic_mmhg=[80.0, 90.0, 80.0, 89.0, None],
        is_pressure_treated=[False, False, True, None, False],
    )
    assert values("raised_blood_pressure", frame) == [True, True, True, False, None]


def test_glucose_threshold_is_inclusive() -> None:
    """7.0 counts, 6.9 does not unless treated."""
    frame = people(fasting_glucose_mmol_l=[7.0, 6.9, 5.0, None], is_glucose_treated=[False, False, True, True])
    assert values("diabetes", frame) == [True, False, True, None]


def test_recruitment_months_convert_each_currency_and_keep_those_who_paid_nothing() -> None:
    """8 million rupiah over 250 dollars is two months; own account, short stays, old jobs and unknown currencies are out."""
    frame = people(
        recruitment_cost_amount=[8_000_000.0, 0.0, 500.0, 500.0, 500.0, 500.0],
        recruitment_currency_code=["IDR", "USD", "USD", "USD", "USD", "XYZ"],
        first_month_earnings_amount=[250.0, 250.0, 250.0, 250.0, 250.0, 250.0],
        earnings_currency_code=["USD"] * 6,
        is_self_employed=[False, False, True, False, False, False],
        stay_months=[12, 24, 24, 11, 24, 24],
        job_started_year=[2022, 2024, 2024, 2024, 2021, 2024],
    )
    assert values("recruitment_months", frame) == [2.0, 0.0, None, None, None, None]
    assert values("recruitment_months_of_payers", frame) == [2.0, None, None, None, None, None]


def test_societal_poverty_line_and_hardship_by_hand() -> None:
    """Persons 1, 1, 2: per head 4, 6, 10; the median person has 6, so the line is 1.15 + 3 = 4.15.

    Discretionary 4 - 4.15 < 0: any spending is hardship and impoverishes. 6 - 4.15 = 1.85: 0.8 is above 0.74, below 1.85.
    10 - 4.15 = 5.85: 4 in all is 2 a head, below 2.34.
    """
    frame = people(
        household_size=[1, 1, 2],
        household_weight=[1.0, 1.0, 0.5],
        consumption_amount=[4.0, 6.0, 20.0],
        oop_amount=[0.1, 0.8, 4.0],
    )
    assert societal_poverty_line(frame) == pytest.approx(4.15)
    assert values("spending_hardship", frame) == [True, True, False]
    assert values("spending_impoverishing", frame) == [True, False, False]
    assert values("spending_large", frame) == [False, True, False]
    assert values("spending_over_10_percent", frame) == [False, True, True]


def test_a_negative_budget_without_spending_is_no_hardship() -> None:
    """The poor who spend nothing on health are not counted as ruined by it."""
    frame = people(household_size=[1], household_weight=[1.0], consumption_amount=[1.0], oop_amount=[0.0])
    assert societal_poverty_line(frame) == 2.15
    assert values("spending_hardship", frame) == [False]


def test_household_members_are_weighted_by_household_weight_times_size() -> None:
    """One household of four in hardship, one of one not: 80 % of persons, 50 % of households."""
    frame = people(
        household_size=[4, 1], household_weight=[1.0, 1.0], consumption_amount=[8.0, 30.0], oop_amount=[1.0, 0.0]
    )
    measure = next(m for m in load_measures() if m.code == "UH02" and m.category_code == "_T")
    row = estimate_frame(frame, {("X", "1"): DESIGN}, [measure.model_copy(update={"breakdowns": ((),)})]).row(
        0, named=True
    )
    assert row["value"] == pytest.approx(0.8)
    assert row["reliability_code"] == "suppressed"  # two respondents


def test_unemployment_is_a_share_of_the_labour_force() -> None:
    """People outside the labour force are in neither part."""
    assert values("unemployed", people(activity_code=["employed", "unemployed", "outside", None])) == [
        False,
        True,
        None,
        None,
    ]


def test_every_measure_names_things_that_exist() -> None:
    """Values, universes, requirements and breakdowns are columns of the record or worked-out values; codes repeat by category only."""
    columns = set(record_types()) | {"age_code", "years_since_move_code"}
    seen = set()
    for measure in load_measures():
        assert measure.value in DERIVED or measure.value in columns, measure.code
        assert measure.relative_to is None or measure.relative_to in DERIVED
        named = {
            *measure.universe,
            *measure.requires,
            *measure.minimum,
            *measure.maximum,
            *(n for b in measure.breakdowns for n in b),
        }
        assert named <= columns, measure.code
        assert (measure.code, measure.category_code) not in seen
        seen.add((measure.code, measure.category_code))
    indicators = {measure.code.split(".")[0] for measure in load_measures()}
    assert indicators == {"MG01", "MG12", "MC02", "MH01", "NC02", "NC03", *(f"UH0{i}" for i in range(2, 10))}


def test_every_recode_has_a_design_and_the_other_way_round() -> None:
    """One without the other cannot be estimated."""
    assert set(load_recodes()) == set(load_designs())


def test_a_wrong_key_in_a_declaration_names_file_key_and_neighbour(tmp_path: object) -> None:
    """The message is what the engineer sees."""
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "m.toml").write_text(
        '[[measure]]\ncode = "X"\ntitle = "t"\nstatistic = "mean"\nvalue = "weight"\nsource = "s"\nbreakdown = []\n',
        encoding="utf-8",
    )
    with pytest.raises(DeclarationFault, match=r"m\.toml: breakdown: .*did you mean 'breakdowns'"):
        load_measures(folder)


def test_a_measure_of_a_question_nobody_asked_has_no_rows() -> None:
    """Not asked is not zero."""
    measure = Measure(code="X", title="t", statistic="proportion", value="is_insured", source="s")
    assert estimate_frame(people(age_years=[20, 30]), {("X", "1"): DESIGN}, [measure]).is_empty()


def test_official_rates_serve_where_the_design_declares_none_and_no_other_year_does() -> None:
    """The declared rate of IDR stands; MYR is taken from the official series of the survey year; SGD of the year before serves nothing."""
    official = [Rate("IDR", 2025, 1.0, "w"), Rate("MYR", 2025, 4.0, "w"), Rate("SGD", 2024, 1.3, "w")]
    design = DESIGN.with_rates(official)
    frame = people(
        recruitment_cost_amount=[32_000.0, 8.0, 13.0, 5.0],
        recruitment_currency_code=["IDR", "MYR", "SGD", "USD"],
    )
    assert prepared(frame, design)["__cost_usd"].to_list() == [2.0, 2.0, None, 5.0]
    (told,) = missing_rates(frame, {("X", "1"): design})
    assert "X 1: No rate of SGD for 2025" in told
    assert len(missing_rates(frame, {("X", "1"): DESIGN})) == 2
