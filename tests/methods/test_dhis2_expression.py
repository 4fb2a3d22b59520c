"""DHIS2 expressions and validation rules, case by case: grammar, missing values, operators, order of evaluation."""

import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.dhis2_expression import (
    Item,
    RuleSide,
    StoredValue,
    UnsupportedExpressionError,
    ValidationRule,
    evaluate_rules,
    parse,
    rules_from_metadata,
)

A, B, C = Item("aaaaaaaaaaa"), Item("bbbbbbbbbbb"), Item("ccccccccccc")
TEXT = {A: "#{aaaaaaaaaaa}", B: "#{bbbbbbbbbbb}", C: "#{ccccccccccc}"}
ANY, ALL, NEVER = "SKIP_IF_ANY_VALUE_MISSING", "SKIP_IF_ALL_VALUES_MISSING", "NEVER_SKIP"


def value(
    text: str, values: dict[Item, float | None] | None = None, strategy: Any = NEVER, **more: Any
) -> float | None:
    return parse(text).evaluate(values or {}, strategy, **more).value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("12 / 4 / 3", 1),
        ("-2 ^ 2", -4),
        ("2 ^ 3 ^ 2", 512),
        ("7 % 4", 3),
        ("-7 % 4", -3),
        ("1.5e2", 150),
        ("if(3 > 2, 10, 20)", 10),
        ("if(3 < 2 || 2 == 2, 10, 20)", 10),
        ("if(!(3 < 2) && 1 != 1, 10, 20)", 20),
        ('if("a" == "b", 1, 2)', 2),
        ("greatest(1, 5, 3) - least(4, 2)", 3),
        ("log10(1000)", 3),
        ("log(8, 2)", 3),
        ("firstNonNull(null, 4)", 4),
        ("if(isNull(null), 1, 2)", 1),
    ],
)
def test_arithmetic(text: str, expected: float) -> None:
    assert value(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["1 / 0", "0 / 0", "log(0)", "5 % 0", "(1 / 0) - (1 / 0)"])
def test_infinite_and_undefined_results_are_null(text: str) -> None:
    assert value(text) is None


def test_days_and_constants() -> None:
    assert value("[days] * 2", days=31) == 62
    assert value("C{kkkkkkkkkkk} + 1", constants={"kkkkkkkkkkk": 4.0}) == 5
    with pytest.raises(UnsupportedExpressionError, match="constant"):
        value("C{kkkkkkkkkkk}")


def test_operands_are_read_as_written() -> None:
    items = parse("#{aaaaaaaaaaa.coc1} + #{bbbbbbbbbbb.coc1.aoc1} - #{ccccccccccc.*.aoc1}").items
    assert items == {
        Item("aaaaaaaaaaa", "coc1"),
        Item("bbbbbbbbbbb", "coc1", "aoc1"),
        Item("ccccccccccc", None, "aoc1"),
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("D{program.element}", "item D{program.element}"),
        ("#{deGroup:abc}", "item #{deGroup:abc}"),
        ("R{dataset.REPORTING_RATE}", "item R"),
        ("OUG{groupgroupg}", "item OUG"),
        ("N{indicatorid1}", "item N"),
        ("subExpression(#{aaaaaaaaaaa})", "function subExpression()"),
        ("containsItems(1, 2)", "function containsItems()"),
        ("if(1, 2)", "function if() with 2 arguments"),
        ("#{aaaaaaaaaaa}.periodOffset(-1)", "text"),
        ("1 +", "text"),
        ("", "text"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(UnsupportedExpressionError) as caught:
        parse(text)
    assert named in caught.value.part


@pytest.mark.parametrize(
    ("strategy", "values", "expected"),
    [
        (ANY, {A: 3, B: 4}, 7),
        (ANY, {A: 3}, None),
        (ALL, {A: 3}, 3),
        (ALL, {}, None),
        (NEVER, {}, 0),
        (ALL, {A: 0}, 0),
    ],
)
def test_missing_value_strategies(strategy: Any, values: dict[Item, float | None], expected: float | None) -> None:
    assert value(f"{TEXT[A]} + {TEXT[B]}", values, strategy) == expected


def test_a_side_without_items_is_never_skipped() -> None:
    assert value("1", {}, ALL) == 1


def test_items_inside_null_tests_are_neither_counted_nor_replaced() -> None:
    text = f"if(isNull({TEXT[A]}), 100, {TEXT[B]})"
    assert value(text, {B: 5}, ANY) == 100
    assert value(text, {A: 0, B: 5}, ANY) == 5
    side = parse(text).evaluate({B: 5}, ANY)
    assert (side.items, side.found) == (1, 1)


@given(st.dictionaries(st.sampled_from([A, B, C]), st.integers(0, 99).map(float)))
def test_strategies_only_differ_in_when_they_skip(values: dict[Item, float | None]) -> None:
    text = f"{TEXT[A]} + 2 * {TEXT[B]} - {TEXT[C]}"
    full = values.get(A, 0) + 2 * values.get(B, 0) - values.get(C, 0)  # type: ignore[operator]
    assert value(text, values, NEVER) == full
    assert value(text, values, ALL) == (full if values else None)
    assert value(text, values, ANY) == (full if len(values) == 3 else None)


def rule(operator: Any, left: str, right: str, strategies: tuple[Any, Any] = (ANY, ANY), **more: Any) -> ValidationRule:
    return ValidationRule(
        "rule1",
        "a rule",
        "MEDIUM",
        operator,
        more.pop("period_type", "Monthly"),
        RuleSide(parse(left), strategies[0]),
        RuleSide(parse(right), strategies[1]),
        **more,
    )


PERIODS = {
    "202401": ("Monthly", date(2024, 1, 1), date(2024, 1, 31)),
    "202402": ("Monthly", date(2024, 2, 1), date(2024, 2, 29)),
    "2024Q1": ("Quarterly", date(2024, 1, 1), date(2024, 3, 31)),
    "2024": ("Yearly", date(2024, 1, 1), date(2024, 12, 31)),
}


def stored(
    item: Item, number: float, period: str = "202401", unit: str = "unit1", coc: str = "c", aoc: str = "a"
) -> StoredValue:
    return StoredValue(unit, item.data_element_uid, coc, aoc, period, *PERIODS[period], number)


def violated(the_rule: ValidationRule, *values: StoredValue, **more: Any) -> list[str]:
    return [violation.period_code for violation in evaluate_rules([the_rule], values, **more).violations]


@pytest.mark.parametrize(
    ("operator", "left", "right", "is_violated"),
    [
        ("equal_to", 5, 5, False),
        ("equal_to", 0.1 + 0.2, 0.3, True),
        ("not_equal_to", 5, 5, True),
        ("greater_than", 5, 5, True),
        ("greater_than_or_equal_to", 5, 5, False),
        ("less_than", 4, 5, False),
        ("less_than_or_equal_to", 6, 5, True),
        ("exclusive_pair", 1, 1, True),
        ("compulsory_pair", 1, 1, False),
    ],
)
def test_operators_compare_exactly(operator: Any, left: float, right: float, is_violated: bool) -> None:
    found = violated(rule(operator, TEXT[A], TEXT[B]), stored(A, left), stored(B, right))
    assert found == (["202401"] if is_violated else [])


def test_pairs_compare_presence() -> None:
    assert violated(rule("compulsory_pair", TEXT[A], TEXT[B]), stored(A, 1)) == ["202401"]
    assert violated(rule("exclusive_pair", TEXT[A], TEXT[B]), stored(A, 1)) == []


def test_pairs_with_never_skip_are_always_present() -> None:
    both = (NEVER, NEVER)
    assert violated(rule("compulsory_pair", TEXT[A], TEXT[B], both), stored(A, 1)) == []
    assert violated(rule("exclusive_pair", TEXT[A], TEXT[B], both), stored(A, 1)) == ["202401"]


def test_a_skipped_side_gives_no_result_unless_it_never_skips() -> None:
    assert violated(rule("greater_than", TEXT[A], TEXT[B]), stored(A, 0)) == []
    assert violated(rule("greater_than", TEXT[A], TEXT[B], (ANY, NEVER)), stored(A, 0)) == ["202401"]


def test_a_division_by_zero_is_null_and_zero_under_never_skip() -> None:
    left = f"{TEXT[A]} / {TEXT[B]}"
    values = (stored(A, 4), stored(B, 0))
    assert violated(rule("greater_than", left, "1"), *values) == []
    assert violated(rule("greater_than", left, "1", (NEVER, ANY)), *values) == ["202401"]


def test_a_unit_and_period_without_any_value_is_not_evaluated() -> None:
    always_false = rule("equal_to", TEXT[A], "7", (NEVER, ANY))
    outcome = evaluate_rules([always_false], [stored(A, 7), stored(A, 7, period="202402", unit="unit2")])
    assert outcome.violations == ()
    assert outcome.evaluated == 2


def test_another_rules_value_makes_a_unit_and_period_evaluated() -> None:
    needs_seven = rule("equal_to", TEXT[A], "7", (NEVER, ANY))
    other = rule("equal_to", TEXT[B], TEXT[B])
    assert [v.period_code for v in evaluate_rules([needs_seven, other], [stored(B, 1)]).violations] == ["202401"]


def test_values_are_those_of_the_unit_itself_and_of_each_attribute_option_combination() -> None:
    the_rule = rule("less_than_or_equal_to", TEXT[A], TEXT[B])
    assert violated(the_rule, stored(A, 5), stored(B, 9, unit="child")) == []
    assert violated(the_rule, stored(A, 5, aoc="x"), stored(B, 3, aoc="y")) == []
    assert violated(the_rule, stored(A, 5, aoc="x"), stored(B, 3, aoc="x")) == ["202401"]


def test_a_total_adds_its_option_combinations_and_an_operand_does_not() -> None:
    values = (stored(A, 5, coc="m"), stored(A, 6, coc="f"), stored(B, 10))
    assert violated(rule("less_than_or_equal_to", TEXT[A], TEXT[B]), *values) == ["202401"]
    assert violated(rule("less_than_or_equal_to", "#{aaaaaaaaaaa.m}", TEXT[B]), *values) == []


def test_the_shortest_longer_period_that_contains_the_start_is_used() -> None:
    the_rule = rule("less_than_or_equal_to", TEXT[A], TEXT[B])
    january = stored(A, 5)
    assert violated(the_rule, january, stored(B, 3, period="2024Q1")) == ["202401"]
    assert violated(the_rule, january, stored(B, 3, period="2024"), stored(B, 9, period="2024Q1")) == []
    quarterly = rule("less_than_or_equal_to", TEXT[A], TEXT[B], period_type="Quarterly")
    assert violated(quarterly, january, stored(B, 3, period="2024Q1")) == []


def test_levels_limit_the_units() -> None:
    the_rule = rule("greater_than", TEXT[A], "5", levels=frozenset({4}))
    assert violated(the_rule, stored(A, 1), level_of_unit={"unit1": 3}) == []
    assert violated(the_rule, stored(A, 1), level_of_unit={"unit1": 4}) == ["202401"]


def test_rules_are_read_from_metadata_and_the_rest_is_refused_by_name() -> None:
    side = {"expression": TEXT[A], "missingValueStrategy": NEVER}
    base = {"operator": "less_than", "periodType": "Monthly", "leftSide": side, "rightSide": {"expression": "4"}}
    rules, refused = rules_from_metadata(
        [
            {**base, "id": "r1", "name": "kept", "importance": "HIGH", "organisationUnitLevels": [4]},
            {**base, "id": "r2", "name": "reporting", "rightSide": {"expression": "R{aaa.REPORTING_RATE}"}},
            {**base, "id": "r3", "name": "odd", "operator": "about"},
        ]
    )
    assert [(r.uid, r.importance, r.levels, r.left.strategy) for r in rules] == [("r1", "HIGH", frozenset({4}), NEVER)]
    assert rules[0].right.strategy == ANY
    assert [(r.uid, r.part) for r in refused] == [("r2", "item R{aaa.REPORTING_RATE}"), ("r3", "operator about")]


def test_evaluation_does_not_depend_on_the_order_of_values() -> None:
    values = [stored(A, 5, period=p, unit=u) for p in ("202401", "202402") for u in ("u2", "u1")] + [stored(B, 3)]
    the_rule = rule("less_than_or_equal_to", TEXT[A], TEXT[B], (ANY, NEVER))
    assert evaluate_rules([the_rule], values) == evaluate_rules([the_rule], list(reversed(values)))
    assert not math.isnan(evaluate_rules([the_rule], values).evaluated)
