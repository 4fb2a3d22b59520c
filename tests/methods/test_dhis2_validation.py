"""Rules over a frame against the row-wise evaluator: equal on every world that hypothesis can think of, and by pencil where it matters."""

from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.dhis2_expression import RuleSide, StoredValue, ValidationRule, evaluate_rules, parse
from methods.dhis2_validation import evaluate_over_frame
from methods.periods import parse_period

ELEMENTS = ("elementAAA1", "elementBBB1", "elementCCC1")
COMBOS, ATTRIBUTES, UNITS = (
    ("combo000001", "combo000002"),
    ("attri000001", "attri000002"),
    ("unit0000001", "unit0000002"),
)
CODES = ("202401", "202402", "202403", "2024Q1", "2024")
PERIODS = [parse_period(code) for code in CODES]
STRATEGIES = ("SKIP_IF_ANY_VALUE_MISSING", "SKIP_IF_ALL_VALUES_MISSING", "NEVER_SKIP")
OPERATORS = (
    "equal_to", "not_equal_to", "greater_than", "greater_than_or_equal_to", "less_than", "less_than_or_equal_to",
    "compulsory_pair", "exclusive_pair",
)  # fmt: skip
CONSTANTS = {"constant001": 2.0}


def frame(values: list[StoredValue]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (v.org_unit_uid, v.data_element_uid, v.category_option_combo_uid, v.attribute_option_combo_uid,
             v.period_start_on, v.period_end_on, v.value)
            for v in values
        ],
        schema={
            "org_unit_uid": pl.String, "data_element_uid": pl.String, "category_option_combo_uid": pl.String,
            "attribute_option_combo_uid": pl.String, "period_start_on": pl.Date, "period_end_on": pl.Date,
            "value_number": pl.Float64,
        },
        orient="row",
    )  # fmt: skip


def stored(
    element: str,
    number: float,
    code: str = "202401",
    unit: str = UNITS[0],
    combo: str = COMBOS[0],
    attribute: str = ATTRIBUTES[0],
) -> StoredValue:
    period = parse_period(code)
    return StoredValue(unit, element, combo, attribute, code, period.type_code, period.start_on, period.end_on, number)


def rule(
    operator: Any, left: str, right: str, strategies: tuple[Any, Any] = (STRATEGIES[0],) * 2, **more: Any
) -> ValidationRule:
    return ValidationRule(
        more.pop("uid", "rule0000001"), "a rule", "MEDIUM", operator, more.pop("period_type", "Monthly"),
        RuleSide(parse(left), strategies[0]), RuleSide(parse(right), strategies[1]), **more,
    )  # fmt: skip


operands = st.one_of(
    st.sampled_from([f"#{{{e}}}" for e in ELEMENTS]),
    st.sampled_from(
        [f"#{{{ELEMENTS[0]}.{COMBOS[0]}}}", f"#{{{ELEMENTS[1]}.*.{ATTRIBUTES[1]}}}", "C{constant001}", "[days]"]
    ),
    st.integers(0, 9).map(str),
)
expressions = st.recursive(
    operands,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/%"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda text: f"(-{text})"),
        st.tuples(inner, inner).map(lambda t: f"greatest({t[0]}, firstNonNull({t[1]}, 3))"),
        st.tuples(inner, inner, inner).map(lambda t: f"if({t[0]} > {t[1]}, {t[2]}, 1)"),
    ),
    max_leaves=5,
)
values_drawn = st.dictionaries(
    st.tuples(*(st.sampled_from(x) for x in (UNITS, ELEMENTS, COMBOS, ATTRIBUTES, CODES))),
    st.integers(0, 6),
    max_size=25,
).map(lambda d: [stored(e, n, p, u, c, a) for (u, e, c, a, p), n in d.items()])
rules_drawn = st.lists(
    st.builds(
        lambda operator, left, right, strategies, period_type, levels: rule(
            operator, left, right, strategies, period_type=period_type, levels=levels
        ),
        st.sampled_from(OPERATORS), expressions, expressions,
        st.tuples(st.sampled_from(STRATEGIES), st.sampled_from(STRATEGIES)), st.sampled_from(("Monthly", "Quarterly")),
        st.sampled_from((frozenset(), frozenset({3}))),
    ),
    min_size=1, max_size=3,
).map(lambda rules: [ValidationRule(**{**vars(r), "uid": f"rule000000{n}"}) for n, r in enumerate(rules)])  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(rules_drawn, values_drawn)
def test_the_frame_says_what_the_row_wise_evaluator_says(
    rules: list[ValidationRule], values: list[StoredValue]
) -> None:
    levels = {UNITS[0]: 3, UNITS[1]: 4}
    by_row = evaluate_rules(rules, values, level_of_unit=levels, constants=CONSTANTS, periods=PERIODS)
    by_frame = evaluate_over_frame(rules, frame(values), level_of_unit=levels, constants=CONSTANTS, periods=PERIODS)
    expected = {
        (v.rule_uid, v.org_unit_uid, v.period_code, v.attribute_option_combo_uid): (v.left_value, v.right_value)
        for v in by_row.violations
    }
    found = {tuple(row[:4]): (row[4], row[5]) for row in by_frame.violations.iter_rows()}
    assert found == expected
    assert sum(counts.evaluated for counts in by_frame.by_rule.values()) == by_row.evaluated


def test_positive_cannot_exceed_tested() -> None:
    tested, positive = (f"#{{{uid}}}" for uid in ELEMENTS[:2])
    values = [
        stored(ELEMENTS[0], 9), stored(ELEMENTS[1], 4), stored(ELEMENTS[1], 6, combo=COMBOS[1]),
        stored(ELEMENTS[0], 5, "202402"), stored(ELEMENTS[1], 5, "202402"), stored(ELEMENTS[1], 1, "202403"),
    ]  # fmt: skip
    never = rule("greater_than_or_equal_to", tested, positive, ("NEVER_SKIP", "NEVER_SKIP"))
    outcome = evaluate_over_frame([never], frame(values))
    # January: 4 + 6 positive of 9 tested. February holds. March: tested is missing and counts as 0.
    assert outcome.violations.select("period_code", "left_value", "right_value").rows() == [
        ("202401", 9.0, 10.0),
        ("202403", 0.0, 1.0),
    ]
    assert (outcome.by_rule[never.uid].evaluated, outcome.by_rule[never.uid].violated) == (3, 2)
    skipping = rule("greater_than_or_equal_to", tested, positive)
    assert evaluate_over_frame([skipping], frame(values)).violations["period_code"].to_list() == ["202401"]


def test_a_rule_over_a_value_that_we_hold_in_quarantine_is_not_evaluated_there() -> None:
    the_rule = rule("equal_to", f"#{{{ELEMENTS[0]}}}", f"#{{{ELEMENTS[1]}}}", ("NEVER_SKIP", "NEVER_SKIP"))
    values = frame([stored(ELEMENTS[0], 3), stored(ELEMENTS[0], 3, "202402"), stored(ELEMENTS[0], 3, unit=UNITS[1])])
    held = pl.DataFrame(
        {
            "org_unit_uid": [UNITS[0]],
            "data_element_uid": [ELEMENTS[1]],
            "period_start_on": [date(2024, 1, 1)],
            "period_end_on": [date(2024, 1, 31)],
        }
    )
    outcome = evaluate_over_frame([the_rule], values, held=held)
    assert outcome.violations.select("org_unit_uid", "period_code").rows() == [
        (UNITS[0], "202402"),
        (UNITS[1], "202401"),
    ]
    assert outcome.by_rule[the_rule.uid].held == 1


def test_a_quarterly_value_serves_each_month_of_its_quarter() -> None:
    the_rule = rule("less_than_or_equal_to", f"#{{{ELEMENTS[0]}}}", f"#{{{ELEMENTS[1]}}}")
    values = frame(
        [stored(ELEMENTS[0], 5, code) for code in CODES[:3]]
        + [stored(ELEMENTS[1], 3, "2024Q1"), stored(ELEMENTS[1], 9, "202402")]
    )
    assert evaluate_over_frame([the_rule], values).violations["period_code"].to_list() == ["202401", "202403"]


def test_no_rules_and_no_values_give_no_violations() -> None:
    assert evaluate_over_frame([], frame([stored(ELEMENTS[0], 1)])).violations.is_empty()
    outcome = evaluate_over_frame([rule("equal_to", f"#{{{ELEMENTS[0]}}}", "1")], frame([]))
    assert outcome.violations.is_empty()
    assert outcome.by_rule["rule0000001"].evaluated == 0


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_on_one_pair_of_sides(operator: str) -> None:
    outcome = evaluate_over_frame([rule(operator, f"#{{{ELEMENTS[0]}}}", "5")], frame([stored(ELEMENTS[0], 5)]))
    broken = {"not_equal_to", "greater_than", "less_than", "exclusive_pair"}
    assert outcome.violations.height == (operator in broken)
