"""Periods: rules 38 and 39 of the DHIS2 notes; dates worked out by hand or published."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.periods import (
    PERIOD_TYPES,
    SplitPeriodError,
    UnknownPeriodError,
    expand_relative,
    following,
    from_sdmx,
    parse_period,
    period_containing,
    period_holding_most,
    period_within,
    periods_between,
    preceding,
    to_sdmx,
    weeks_in_year,
)

DAYS = st.dates(date(1990, 1, 1), date(2060, 12, 31))


@pytest.mark.parametrize(
    ("code", "type_code", "start", "end"),
    [
        ("20240315", "Daily", "2024-03-15", "2024-03-15"),
        ("2024W1", "Weekly", "2024-01-01", "2024-01-07"),
        ("2024W10", "Weekly", "2024-03-04", "2024-03-10"),
        # The week that holds 4 January is week 1, whatever day weeks begin on.
        ("2024WedW5", "WeeklyWednesday", "2024-01-31", "2024-02-06"),
        ("2024ThuW5", "WeeklyThursday", "2024-02-01", "2024-02-07"),
        ("2024FriW5", "WeeklyFriday", "2024-01-26", "2024-02-01"),
        ("2024SatW5", "WeeklySaturday", "2024-01-27", "2024-02-02"),
        ("2024SunW5", "WeeklySunday", "2024-01-28", "2024-02-03"),
        ("2024BiW1", "BiWeekly", "2024-01-01", "2024-01-14"),
        ("202401", "Monthly", "2024-01-01", "2024-01-31"),
        ("202402", "Monthly", "2024-02-01", "2024-02-29"),
        ("202401B", "BiMonthly", "2024-01-01", "2024-02-29"),
        ("202406B", "BiMonthly", "2024-11-01", "2024-12-31"),
        ("2024Q1", "Quarterly", "2024-01-01", "2024-03-31"),
        # November quarters, half-years and years begin in November of the year before.
        ("2024NovQ1", "QuarterlyNov", "2023-11-01", "2024-01-31"),
        ("2024NovQ4", "QuarterlyNov", "2024-08-01", "2024-10-31"),
        ("2024S1", "SixMonthly", "2024-01-01", "2024-06-30"),
        ("2024AprilS1", "SixMonthlyApril", "2024-04-01", "2024-09-30"),
        ("2024AprilS2", "SixMonthlyApril", "2024-10-01", "2025-03-31"),
        ("2024NovS1", "SixMonthlyNov", "2023-11-01", "2024-04-30"),
        ("2024NovS2", "SixMonthlyNov", "2024-05-01", "2024-10-31"),
        ("2024", "Yearly", "2024-01-01", "2024-12-31"),
        ("2024Feb", "FinancialFeb", "2024-02-01", "2025-01-31"),
        ("2024April", "FinancialApril", "2024-04-01", "2025-03-31"),
        ("2024July", "FinancialJuly", "2024-07-01", "2025-06-30"),
        ("2024Aug", "FinancialAug", "2024-08-01", "2025-07-31"),
        ("2024Sep", "FinancialSep", "2024-09-01", "2025-08-31"),
        ("2024Oct", "FinancialOct", "2024-10-01", "2025-09-30"),
        ("2024Nov", "FinancialNov", "2023-11-01", "2024-10-31"),
    ],
)
def test_rule_38_each_form_means_its_days(code: str, type_code: str, start: str, end: str) -> None:
    period = parse_period(code)
    assert (period.type_code, period.start_on.isoformat(), period.end_on.isoformat()) == (type_code, start, end)
    assert period.code == code


def test_every_type_is_tried_above() -> None:
    assert len(PERIOD_TYPES) == 23


@pytest.mark.parametrize(
    ("day", "code"),
    [
        ("2020-12-31", "2020W53"),
        ("2021-01-03", "2020W53"),
        ("2021-01-04", "2021W1"),
        ("2024-12-29", "2024W52"),
        ("2024-12-30", "2025W1"),
        ("2026-12-31", "2026W53"),
        ("2027-01-03", "2026W53"),
        ("2027-01-04", "2027W1"),
    ],
)
def test_rule_38_week_years_at_the_turn_of_the_year(day: str, code: str) -> None:
    assert period_containing("Weekly", date.fromisoformat(day)).code == code
    assert parse_period(code).start_on <= date.fromisoformat(day) <= parse_period(code).end_on


def test_2026_has_53_weeks_and_2025_has_not() -> None:
    assert (weeks_in_year(2026), weeks_in_year(2025)) == (53, 52)
    assert parse_period("2026W53").end_on == date(2027, 1, 3)
    with pytest.raises(UnknownPeriodError):
        parse_period("2025W53")


NO_PERIODS = (
    "", "202413", "2024Q5", "2024S3", "202407B", "2024W0", "2024W54", "20240230", "2024NovQ5", "2024Mai", "24", "２０２４",
    "2024-", "2024BiW28", "TwoYearly",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_PERIODS)
def test_rule_38_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(UnknownPeriodError) as caught:
        parse_period(text)
    assert caught.value.got == text


@pytest.mark.parametrize(
    ("given_as", "code"), [("2024-03", "202403"), ("2024-03-15", "20240315"), ("2024W01", "2024W1")]
)
def test_input_forms_become_output_forms(given_as: str, code: str) -> None:
    assert parse_period(given_as).code == code


@given(day=DAYS, type_code=st.sampled_from(PERIOD_TYPES))
def test_each_day_lies_in_one_period_that_reads_back(day: date, type_code: str) -> None:
    period = period_containing(type_code, day)
    assert period.start_on <= day <= period.end_on
    assert parse_period(period.code) == period
    assert from_sdmx(to_sdmx(period)).start_on == period.start_on


@given(day=DAYS, type_code=st.sampled_from([name for name in PERIOD_TYPES if name != "BiWeekly"]))
def test_periods_follow_each_other_without_gap_or_overlap(day: date, type_code: str) -> None:
    period = period_containing(type_code, day)
    assert following(period).start_on == period.end_on + timedelta(days=1)
    assert preceding(following(period)) == period


@given(day=DAYS)
def test_biweeks_step_through_the_long_year(day: date) -> None:
    period = period_containing("BiWeekly", day)
    assert following(period).start_on > period.start_on
    assert preceding(following(period)) == period


@pytest.mark.parametrize(
    ("code", "sdmx"),
    [
        ("202607", "2026-07"),
        ("2026Q2", "2026-Q2"),
        ("2026S1", "2026-S1"),
        ("2026W3", "2026-W03"),
        ("20260706", "2026-07-06"),
        ("2026", "2026"),
        ("2026April", "2026-04-01/P1Y"),
        ("202601B", "2026-01-01/P2M"),
        ("2026WedW1", "2025-12-31/P7D"),
    ],
)
def test_sdmx_forms(code: str, sdmx: str) -> None:
    assert to_sdmx(parse_period(code)) == sdmx
    assert from_sdmx(sdmx).code == code


def test_sdmx_ranges_that_are_no_period_are_refused() -> None:
    for text in ("2026-01-02/P1Y", "2026-01-01/P5D", "2026-13", "July 2026"):
        with pytest.raises(UnknownPeriodError):
            from_sdmx(text)


TODAY = date(2026, 7, 6)


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("TODAY", ["20260706"]),
        ("YESTERDAY", ["20260705"]),
        ("LAST_3_DAYS", ["20260703", "20260704", "20260705"]),
        ("THIS_WEEK", ["2026W28"]),
        ("LAST_WEEK", ["2026W27"]),
        ("LAST_3_MONTHS", ["202604", "202605", "202606"]),
        ("THIS_MONTH", ["202607"]),
        ("LAST_4_QUARTERS", ["2025Q3", "2025Q4", "2026Q1", "2026Q2"]),
        ("LAST_2_SIX_MONTHS", ["2025S2", "2026S1"]),
        ("LAST_5_YEARS", ["2021", "2022", "2023", "2024", "2025"]),
        ("THIS_YEAR", ["2026"]),
        ("QUARTERS_THIS_YEAR", ["2026Q1", "2026Q2", "2026Q3", "2026Q4"]),
        ("QUARTERS_LAST_YEAR", ["2025Q1", "2025Q2", "2025Q3", "2025Q4"]),
        ("THIS_FINANCIAL_YEAR", ["2025Oct"]),
        ("LAST_2_FINANCIAL_YEARS", ["2023Oct", "2024Oct"]),
        ("LAST_2_BIWEEKS", ["2026BiW12", "2026BiW13"]),
    ],
)
def test_rule_39_relative_periods(name: str, codes: list[str]) -> None:
    assert expand_relative(name, TODAY) == codes


def test_rule_39_twelve_months_and_52_weeks_end_before_the_present_one() -> None:
    months = expand_relative("LAST_12_MONTHS", TODAY)
    assert (len(months), months[0], months[-1]) == (12, "202507", "202606")
    assert len(expand_relative("WEEKS_THIS_YEAR", TODAY)) == 53
    assert len(expand_relative("LAST_52_WEEKS", TODAY)) == 52


@pytest.mark.parametrize("name", ["", "SOON", "LAST_0_MONTHS", "LAST_3_MOONS", "THIS_DECADE", "MOONS_THIS_YEAR"])
def test_rule_39_unknown_relative_periods_are_refused(name: str) -> None:
    with pytest.raises(UnknownPeriodError):
        expand_relative(name, TODAY)


def test_periods_between_shares_a_day_with_both_ends() -> None:
    found = [period.code for period in periods_between("Quarterly", date(2025, 3, 31), date(2025, 7, 1))]
    assert found == ["2025Q1", "2025Q2", "2025Q3"]


# A week can belong to two months: weekly to monthly is not a sum.


@pytest.mark.parametrize(
    ("code", "coarser", "parts", "most"),
    [
        # Monday 30 March to Sunday 5 April 2026: two days in March, five in April.
        ("2026W14", "Monthly", ("202603", "202604"), "202604"),
        ("2026W14", "Quarterly", ("2026Q1", "2026Q2"), "2026Q2"),
        # Monday 28 December 2026 to Sunday 3 January 2027: four days in 2026, three in 2027.
        ("2026W53", "Monthly", ("202612", "202701"), "202612"),
        ("2026W53", "Yearly", ("2026", "2027"), "2026"),
        ("2026SatW5", "Monthly", ("202601", "202602"), None),
        ("2026BiW27", "Yearly", ("2026", "2027"), None),
        ("202612", "FinancialNov", None, "2027Nov"),
        ("2026W10", "Monthly", None, "202603"),
        ("2026W10", "Yearly", None, "2026"),
    ],
)
def test_a_period_in_two_coarser_ones_is_refused_by_name_or_attributed(code, coarser, parts, most):
    period = parse_period(code)
    if parts is None:
        assert period_within(coarser, period).code == most
    else:
        with pytest.raises(SplitPeriodError) as fault:
            period_within(coarser, period)
        assert tuple(part.code for part in fault.value.parts) == parts
        assert all(part in str(fault.value) for part in (code, *parts))
    if most is not None:
        assert period_holding_most(coarser, period).code == most


@given(DAYS, st.sampled_from([name for name in PERIOD_TYPES if name != "Daily"]))
def test_weeks_of_any_kind_go_to_the_period_that_holds_most_of_their_days(day, type_code):
    week = period_containing("Weekly", day)
    chosen = period_holding_most(type_code, week)
    inside = [sum(p.start_on <= d <= p.end_on for d in (week.start_on + timedelta(days=n) for n in range(7)))
              for p in {period_containing(type_code, week.start_on), chosen, period_containing(type_code, week.end_on)}]  # fmt: skip
    mine = sum(chosen.start_on <= week.start_on + timedelta(days=n) <= chosen.end_on for n in range(7))
    assert mine == max(inside)


def test_each_week_of_2026_goes_to_its_iso_year_and_53_of_them_make_it():
    weeks = periods_between("Weekly", date(2025, 12, 29), date(2027, 1, 3))
    assert [period_holding_most("Yearly", week).code for week in weeks] == ["2026"] * 53
