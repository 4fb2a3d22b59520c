"""An attacker's ways to a small count, each tried on what `protect` lets out: sums, rates, provinces, earlier releases."""

from calendar import monthrange
from datetime import date
from typing import Any

import polars as pl
import pytest

from warehouse.catalogue.disclosure import load_policy
from warehouse.publishing.protection import KEY_COLUMNS, DisclosureFailure, Protected, counts_of, ledger, protect

POLICY = load_policy()
NUMBERS = ("value", "lower", "upper", "se", "numerator", "denominator")
NO_AREAS = pl.DataFrame(schema={"area_code": pl.String, "parent_code": pl.String})
DIMENSIONS = {
    "area": "area_code",
    "period": "period_code",
    "sex": "sex_code",
    "age": "age_code",
    "destination": "destination_code",
}


def row(count: float | None, indicator: str = "LM07", **given: Any) -> dict[str, Any]:
    made: dict[str, Any] = dict.fromkeys(KEY_COLUMNS, "_T") | dict.fromkeys(NUMBERS)
    made |= {"indicator_code": indicator, "definition_version": "1", "area_code": "VNM", "period_code": "2026"}
    made |= {"method_code": "count", "obs_status": "A", "obs_flags": ["A"], "n": None, "source_codes": ["dhis2"]}
    made |= {"interval_code": None, "value": count, "numerator": count}
    made |= {DIMENSIONS.get(name, name): value for name, value in given.items()}
    period = made["period_code"]
    year = int(period[:4])
    months = (
        (1, 12)
        if len(period) == 4
        else (3 * int(period[5]) - 2, 3 * int(period[5]))
        if "Q" in period
        else (int(period[4:]),) * 2
    )
    made["period_start_on"] = date(year, months[0], 1)
    made["period_end_on"] = date(year, months[1], monthrange(year, months[1])[1])
    return made


def share(numerator: float, denominator: float, indicator: str = "TB11", **given: Any) -> dict[str, Any]:
    made = row(None, indicator, method_code="proportion_wilson", **given)
    return made | {
        "value": 100 * numerator / denominator,
        "numerator": numerator,
        "denominator": denominator,
        "n": int(denominator),
    }


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    numbers = dict.fromkeys(NUMBERS, pl.Float64) | {"n": pl.Int64, "interval_code": pl.String}
    return pl.DataFrame(list(rows), schema_overrides=numbers, infer_schema_length=None)


def released(
    *rows: dict[str, Any], areas: pl.DataFrame = NO_AREAS, earlier: tuple[pl.DataFrame, ...] = ()
) -> Protected:
    return protect(frame(*rows), POLICY, areas=areas, earlier=earlier)


def shown(protected: Protected, *columns: str) -> dict[Any, float | None]:
    keys = [key if len(columns) > 1 else key[0] for key in protected.frame.select(columns).iter_rows()]
    return dict(zip(keys, protected.frame["value"], strict=True))


def solvable(total: float | None, *parts: float | None) -> bool:
    """Can the one unknown of this sum be computed?"""
    return [total, *parts].count(None) == 1


def test_total_minus_men_does_not_give_women() -> None:
    seen = shown(released(row(43, sex="_T"), row(40, sex="M"), row(3, sex="F")), "sex_code")
    assert seen["F"] is None
    assert not solvable(seen["_T"], seen["M"], seen["F"])


def test_year_minus_months_does_not_give_a_month() -> None:
    months = [row(count, period=f"2026{number:02d}") for number, count in enumerate((30, 2, 41, 28), 1)]
    seen = shown(released(row(101, period="2026"), *months), "period_code")
    assert seen["202602"] is None
    assert not solvable(*seen.values())


def test_quarters_and_months_together_give_nothing() -> None:
    months = [row(count, period=f"2026{number:02d}") for number, count in enumerate((30, 2, 41, 28, 33, 25), 1)]
    quarters = [row(73, period="2026Q1"), row(86, period="2026Q2")]
    seen = shown(released(row(159), *quarters, *months), "period_code")
    assert not solvable(seen["2026Q1"], *(seen[f"20260{n}"] for n in (1, 2, 3)))
    assert not solvable(seen["2026"], *(seen[f"20260{n}"] for n in range(1, 7)))


def test_an_other_row_is_no_back_door() -> None:
    seen = shown(
        released(row(100), row(60, destination="JPN"), row(37, destination="KOR"), row(3, destination="_O")),
        "destination_code",
    )
    assert seen["_O"] is None
    assert not solvable(*seen.values())


def test_a_row_that_nobody_publishes_is_no_back_door() -> None:
    """Japan and Korea of three destinations: the third (3) is total minus the two."""
    seen = shown(released(row(100), row(60, destination="JPN"), row(37, destination="KOR")), "destination_code")
    assert None in seen.values()


def test_ages_that_leave_a_small_band_between_them() -> None:
    seen = shown(released(row(100, age="Y15T49"), row(97, age="Y15T24")), "age_code")
    assert None in seen.values()


def test_old_and_new_provinces_side_by_side() -> None:
    """A merged province minus its published predecessor isolates the other predecessor."""
    areas = pl.DataFrame(
        [
            ("VN63-89", "VNM", "vn63"), ("VN63-91", "VNM", "vn63"), ("VN63-01", "VNM", "vn63"),
            ("VN34-91", "VNM", "vn34"), ("VN34-01", "VNM", "vn34"),
            ("VN63-89", "VN34-91", "vn63"), ("VN63-91", "VN34-91", "vn63"), ("VN63-01", "VN34-01", "vn63"),
        ],
        schema=["area_code", "parent_code", "frame_code"],
        orient="row",
    )  # fmt: skip
    counts = {"VN63-89": 50, "VN63-91": 3, "VN63-01": 80, "VN34-91": 53, "VN34-01": 80, "VNM": 133}
    seen = shown(released(*(row(count, area=area) for area, count in counts.items()), areas=areas), "area_code")
    assert seen["VN63-91"] is None
    assert not solvable(seen["VN34-91"], seen["VN63-89"], seen["VN63-91"])
    assert not solvable(seen["VNM"], seen["VN34-01"], seen["VN63-89"], seen["VN63-91"])
    # The unchanged province is one place under two codes: hiding one of them alone would hide nothing.
    assert (seen["VN63-01"] is None) == (seen["VN34-01"] is None)


def test_percent_times_denominator_does_not_give_the_numerator() -> None:
    protected = released(row(40, "TB10"), share(3, 40))
    kept = protected.frame.filter(pl.col("indicator_code") == "TB11").row(0, named=True)
    assert [kept[column] for column in (*NUMBERS, "n")] == [None] * 7
    assert shown(protected, "indicator_code")["TB10"] == 40


def test_rates_of_the_parts_do_not_give_the_rate_of_the_whole() -> None:
    rows = [share(3, 40, sex="F"), share(30, 60, sex="M"), share(33, 100, sex="_T")]
    protected = released(*rows)
    numerators = dict(zip(protected.frame["sex_code"], protected.frame["numerator"], strict=True))
    assert not solvable(numerators["_T"], numerators["M"], numerators["F"])


def test_what_is_missing_to_all_is_protected_where_the_topic_asks() -> None:
    """98 of 100 on treatment with a result: the 2 others are a small group of people with HIV."""
    protected = released(share(98, 100, "HV04"), share(60, 100, "HV04", period="2025"))
    assert shown(protected, "period_code") == {"2025": 60.0, "2026": None}
    assert shown(released(share(98, 100, "TB11")), "period_code") == {"2026": 98.0}


def test_a_rate_with_a_known_population_is_hidden_with_its_count() -> None:
    rate = row(None, "LM09", method_code="rate_garwood") | {"value": 4.0, "numerator": 2.0, "denominator": 50000.0}
    kept = released(rate).frame.row(0, named=True)
    assert kept["value"] is None
    assert kept["denominator"] is None


def printed(value: float, denominator: float, unit: str = "per_100k", **given: Any) -> dict[str, Any]:
    """A rate as another office prints it: rounded, with its population and without its numerator."""
    made = row(None, "LM09", method_code="rate_garwood", **given)
    return made | {"value": value, "denominator": denominator, "unit_code": unit}


@pytest.mark.parametrize(
    ("value", "denominator", "unit", "is_shown"),
    [
        (3.2, 94.0, "percent", False),  # 2.96 to 3.06 people: 3
        (0.1, 5_000_000.0, "per_100k", False),  # 2.5 to 7.5: 3 to 7, closer together than 5
        (0.1, 7_000_000.0, "per_100k", True),  # 3.5 to 10.5: 4 to 10, six apart
        (0.1, 10_000_000.0, "per_100k", True),  # 5 to 15: not small
        (41.0, 94.0, "percent", True),  # 38 or 39
        (2.41, 83.0, "percent", False),  # 1.996 to 2.004
        (41.0, 94.0, "index", True),
        (2.0, 150.0, "days", True),
    ],
)
def test_a_rounded_rate_is_taken_back_to_the_counts_that_it_leaves(value, denominator, unit, is_shown) -> None:
    kept = released(printed(value, denominator, unit)).frame.row(0, named=True)
    assert (kept["value"] is not None) == is_shown
    assert kept["conf_status"] == ("F" if is_shown else "C")


def test_a_count_that_a_printed_rate_gives_away_takes_part_in_sums() -> None:
    """7.5 per cent of 40 women are 3 women, whoever computes it; 30 men of 33 people would give them away as well."""
    rows = [
        printed(7.5, 40.0, "percent", sex="F"),
        printed(30.0, 100.0, "percent", sex="M"),
        printed(33.0, 100.0, "percent"),
    ]
    seen = shown(released(*rows), "sex_code")
    assert seen["F"] is None
    assert not solvable(seen["_T"], seen["M"], seen["F"])


def test_a_median_of_few_is_hidden_and_its_n_cannot_be_found() -> None:
    def median(n: int, sex: str) -> dict[str, Any]:
        return row(None, "TB12", method_code="median", sex=sex) | {"value": 5.0, "n": n}

    protected = released(median(3, "F"), median(30, "M"), median(33, "_T"))
    records = dict(zip(protected.frame["sex_code"], protected.frame["n"], strict=True))
    assert not solvable(records["_T"], records["M"], records["F"])


def test_intervals_and_methods_of_intervals_go_too() -> None:
    kept = released(share(3, 40) | {"lower": 1.0, "upper": 20.0, "se": 0.1, "interval_code": "clopper_pearson"}).frame
    assert kept.select("lower", "upper", "se", "interval_code", "n").row(0) == (None,) * 5


# -- earlier releases ------------------------------------------------------------------------------------------------------------------

SEXES = (("M", 40), ("F", 3), ("_T", 43))


def test_showing_next_week_what_protected_last_week_is_refused_to_the_search() -> None:
    """Last week men protected women. This week the same table comes with its total hidden cheaply: men must stay hidden."""
    first_rows = [row(count, sex=sex) for sex, count in SEXES]
    first = released(*first_rows)
    hidden = {sex for sex, value in shown(first, "sex_code").items() if value is None}
    again = released(*first_rows, earlier=(first.frame,))
    for release in (first, again):
        assert {sex for sex, value in shown(release, "sex_code").items() if value is None} == hidden
    union = {sex: shown(first, "sex_code")[sex] or shown(again, "sex_code")[sex] for sex, _ in SEXES}
    assert not solvable(union["_T"], union["M"], union["F"])


@pytest.mark.parametrize("has_truth", [True, False])
def test_a_new_breakdown_does_not_undo_an_old_one(has_truth: bool) -> None:
    """Last week by sex, this week also by destination: figures shown then are no cover now."""
    old_rows = [row(count, sex=sex) for sex, count in SEXES]
    old = released(*old_rows)
    then = ledger(old.frame, frame(*old_rows)) if has_truth else old.frame
    new_rows = [*old_rows, row(23, destination="JPN"), row(20, destination="KOR")]
    new = released(*new_rows, earlier=(then,))
    seen = shown(new, "sex_code", "destination_code")
    before = {(sex, "_T"): value for sex, value in shown(old, "sex_code").items()}
    known = {key: value if value is not None else before.get(key) for key, value in seen.items()}
    total = known["_T", "_T"]
    if total is None and known["_T", "JPN"] is not None and known["_T", "KOR"] is not None:
        total = known["_T", "JPN"] + known["_T", "KOR"]
    assert not solvable(total, known["M", "_T"], known["F", "_T"])


def test_a_count_that_grew_past_the_threshold_does_not_betray_its_past() -> None:
    """Last week 3 women (hidden, with the men). This week 9 women may be shown, but not the men, who have not changed."""
    old_rows = [row(count, sex=sex) for sex, count in SEXES]
    old = released(*old_rows)
    assert shown(old, "sex_code")["M"] is None
    new = released(row(40, sex="M"), row(9, sex="F"), row(49, sex="_T"), earlier=(ledger(old.frame, frame(*old_rows)),))
    seen = shown(new, "sex_code")
    men = (
        seen["M"]
        if seen["M"] is not None
        else (seen["_T"] - seen["F"] if None not in (seen["_T"], seen["F"]) else None)
    )
    then = shown(old, "sex_code")
    assert men is None or then["_T"] is None, "43 then, minus 40 men now, gives the 3 women of then"


def test_the_same_attack_succeeds_without_the_ledger() -> None:
    """Shows that the test above can fail: unaware of the past, this week's table is published whole."""
    assert None not in shown(released(row(40, sex="M"), row(9, sex="F"), row(49, sex="_T")), "sex_code").values()


def test_few_new_victims_cannot_be_counted_by_difference() -> None:
    def victims(identified: int) -> dict[str, Any]:
        return share(identified - 100, identified, "TP02")

    old = released(victims(300))
    assert shown(old, "period_code") == {"2026": pytest.approx(200 / 3)}
    moved = released(victims(304), earlier=(old.frame,))
    assert shown(moved, "period_code") == {"2026": None}
    assert set(moved.audit["count_role"]) >= {"denominator change since an earlier release"}
    assert shown(released(victims(330), earlier=(old.frame,)), "period_code") != {"2026": None}


def test_what_was_published_before_is_reported_not_passed_off_as_hidden() -> None:
    """A policy that became stricter cannot take a figure back; the row is hidden from now on and nothing else is sacrificed."""
    rows = [row(count, sex=sex) for sex, count in SEXES]
    naive = frame(*rows).with_columns(pl.lit("F").alias("conf_status"))
    protected = protect(frame(*rows), POLICY, areas=NO_AREAS, earlier=[naive])
    assert shown(protected, "sex_code") == {"F": None, "M": 40.0, "_T": 43.0}


def test_the_audit_names_no_value() -> None:
    protected = released(*(row(count, sex=sex) for sex, count in SEXES))
    assert not {"value", "truth", "numerator"} & set(protected.audit.columns)
    for line in protected.audit.iter_rows(named=True):
        assert line["policy_version"] == POLICY.version
        assert line["width"] is None or line["width"] >= line["required_width"]


def test_a_failure_tells_the_cell_and_not_the_count() -> None:
    failure = DisclosureFailure("LM07 count (VNM, 2026)", 5, "a published row")
    assert (
        str(failure) == "LM07 count (VNM, 2026): hidden, but a published row places it in an interval narrower than 5"
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (row(7), {"count": 7}),
        (share(3, 40), {"numerator": 3, "denominator": 40}),
        (row(None, "TB12", method_code="median") | {"value": 5.0, "n": 8}, {"n": 8}),
        (row(None, "UH06", method_code="survey") | {"value": 41.0, "numerator": 12.0, "denominator": 30.0, "n": 30}, {"n": 30}),
        (row(None, "TB11", method_code="regional_pooled") | {"value": 95.0, "n": 12}, {"n": 12}),
        (row(12.5) | {"n": 40}, {"n": 40}),
        (row(None) | {"obs_status": "O"}, {}),
    ],
)  # fmt: skip
def test_what_a_row_gives_away(made: dict[str, Any], expected: dict[str, int]) -> None:
    assert counts_of(made, POLICY) == expected
