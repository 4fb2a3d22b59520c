"""Validation rules of one server over all its values at once: the answers of `dhis2_expression.evaluate_rules`, set at a time.

Belongs here: bringing values into the shape of rules, arithmetic on columns, comparing sides. Does not belong here: the grammar and
what it means (`dhis2_expression`), where rules and values come from, what to do about a violation.

Expressions that are arithmetic alone, which is what WHO's packages use, are computed on columns; functions and logic are left to
the row-wise evaluator, so that their meaning stands in one place.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from lark import Token, Tree

from methods.dhis2_expression import (
    Expression,
    Item,
    Operator,
    RuleSide,
    UnsupportedExpressionError,
    ValidationRule,
    read_item,
)
from methods.periods import Period, periods_between

VIOLATION_SCHEMA: Final[Mapping[str, Any]] = {
    "rule_uid": pl.String, "org_unit_uid": pl.String, "period_code": pl.String, "attribute_option_combo_uid": pl.String,
    "left_value": pl.Float64, "right_value": pl.Float64,
}  # fmt: skip

_GROUP: Final = ("org_unit_uid", "attribute_option_combo_uid", "rule_period_code")
_SPAN: Final = ("period_start_on", "period_end_on")


@dataclass(frozen=True)
class RuleCounts:
    """How many combinations of unit, period and attribute option combo one rule met: evaluated, violated, and left out
    because a value of theirs is held in quarantine."""

    evaluated: int = 0
    violated: int = 0
    held: int = 0


@dataclass(frozen=True)
class FrameEvaluation:
    """One row of `violations` is one rule that does not hold at one unit, period and attribute option combo, sides unrounded."""

    violations: pl.DataFrame
    by_rule: Mapping[str, RuleCounts]


def run_periods(rules: Iterable[ValidationRule], values: pl.DataFrame) -> list[Period]:
    """The periods of a run: those of the rules' types from the first value to the last, as if a person had asked for all."""
    first, last = values["period_start_on"].min(), values["period_end_on"].max()
    if first is None or last is None:
        return []
    types = sorted({rule.period_type for rule in rules})
    return [period for type_code in types for period in periods_between(type_code, first, last)]  # type: ignore[arg-type]


def evaluate_over_frame(
    rules: Sequence[ValidationRule],
    values: pl.DataFrame,
    *,
    level_of_unit: Mapping[str, int] | None = None,
    constants: Mapping[str, float] | None = None,
    held: pl.DataFrame | None = None,
    periods: Sequence[Period] | None = None,
) -> FrameEvaluation:
    """Every rule at every unit, period of its type and attribute option combo that holds any value of the run.

    *Takes* live numeric values of one server: org_unit_uid, data_element_uid, category_option_combo_uid,
    attribute_option_combo_uid, period_start_on, period_end_on, value_number. `held`: org_unit_uid, data_element_uid and the two
    days of values that were received and set aside: a rule over one of them is not evaluated there, because the server sees
    a value that we do not have.
    """
    wanted = {item.data_element_uid for rule in rules for item in _items(rule)}
    used = values.filter(pl.col("data_element_uid").is_in(sorted(wanted)), pl.col("value_number").is_not_null())
    run = run_periods(rules, used) if periods is None else periods
    violations: list[pl.DataFrame] = []
    by_rule: dict[str, RuleCounts] = {}
    for period_type in sorted({rule.period_type for rule in rules}):
        of_type = [rule for rule in rules if rule.period_type == period_type]
        listed = _listed([period for period in run if period.type_code == period_type])
        cells = _cells(used, listed)
        groups = cells.select("group", *_GROUP, "days").unique("group", maintain_order=True)
        if level_of_unit is not None:
            groups = groups.with_columns(
                level=pl.col("org_unit_uid").replace_strict(dict(level_of_unit), default=None, return_dtype=pl.Int64)
            )
        aside = _held_groups(held, listed)
        for rule in of_type:
            there = groups
            if rule.levels:
                there = (
                    groups.filter(pl.col("level").is_in(sorted(rule.levels)))
                    if "level" in groups.columns
                    else groups.clear()
                )
            asked = there.height
            if aside is not None:
                elements = sorted({item.data_element_uid for item in _items(rule)})
                there = there.join(
                    aside.filter(pl.col("data_element_uid").is_in(elements)),
                    on=["org_unit_uid", "rule_period_code"],
                    how="anti",
                )
            found = _violated(rule, there, cells, constants or {})
            by_rule[rule.uid] = RuleCounts(there.height, found.height, asked - there.height)
            violations.append(found)
    every = pl.concat(violations) if violations else pl.DataFrame(schema=VIOLATION_SCHEMA)
    return FrameEvaluation(every.sort("org_unit_uid", "attribute_option_combo_uid", "period_code", "rule_uid"), by_rule)


def _items(rule: ValidationRule) -> frozenset[Item]:
    return rule.left.expression.items | rule.right.expression.items


def _listed(periods: Sequence[Period]) -> pl.DataFrame:
    return pl.DataFrame(
        [(period.code, period.start_on, period.end_on) for period in periods],
        schema={"rule_period_code": pl.String, "rule_start_on": pl.Date, "rule_end_on": pl.Date},
        orient="row",
    )


def _fitting(spans: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Each rule period with the spans whose values may serve it: its own, and longer ones that contain its start."""
    length = pl.col("period_end_on") - pl.col("period_start_on")
    rule_length = pl.col("rule_end_on") - pl.col("rule_start_on")
    own = (pl.col("period_start_on") == pl.col("rule_start_on")) & (pl.col("period_end_on") == pl.col("rule_end_on"))
    longer = (length > rule_length) & pl.col("rule_start_on").is_between("period_start_on", "period_end_on")
    return (
        spans.join(listed, how="cross")
        .filter(own | longer)
        .with_columns(span_length=length, days=rule_length.dt.total_days() + 1)
    )


def _cells(used: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """One row per group (unit, attribute option combo, rule period), element and option combo: the value that counts there.

    Of an element the shortest period wins; values of equal length add up.
    """
    fitting = _fitting(used.select(_SPAN).unique(), listed)
    placed = used.join(fitting, on=list(_SPAN), how="inner")  # cardinality: n values to m rule periods of their span
    shortest = pl.col("span_length") == pl.col("span_length").min().over([*_GROUP, "data_element_uid"])
    return (
        placed.filter(shortest)
        .group_by([*_GROUP, "days", "data_element_uid", "category_option_combo_uid"])
        .agg(pl.col("value_number").sum())
        .sort([*_GROUP, "data_element_uid", "category_option_combo_uid"])
        .with_columns(group=pl.struct(_GROUP).rank("dense"))
    )


def _held_groups(held: pl.DataFrame | None, listed: pl.DataFrame) -> pl.DataFrame | None:
    if held is None or held.is_empty():
        return None
    fitting = _fitting(held.select(_SPAN).unique(), listed)
    return held.join(fitting, on=list(_SPAN), how="inner").select(
        "org_unit_uid", "data_element_uid", "rule_period_code"
    )


def _violated(
    rule: ValidationRule, groups: pl.DataFrame, cells: pl.DataFrame, constants: Mapping[str, float]
) -> pl.DataFrame:
    """The groups at which the rule does not hold, with both sides."""
    names = {item: f"item_{number}" for number, item in enumerate(sorted(_items(rule), key=repr))}
    wide = groups
    for item, name in names.items():
        wide = wide.join(_of_item(cells, item, name), on="group", how="left", maintain_order="left")
    sides = wide.with_columns(
        left_value=_side(wide, rule.left, names, constants), right_value=_side(wide, rule.right, names, constants)
    )
    return sides.filter(_breaks(rule)).select(
        pl.lit(rule.uid).alias("rule_uid"),
        "org_unit_uid",
        pl.col("rule_period_code").alias("period_code"),
        "attribute_option_combo_uid",
        "left_value",
        "right_value",
    )


def _of_item(cells: pl.DataFrame, item: Item, name: str) -> pl.DataFrame:
    chosen = pl.col("data_element_uid") == item.data_element_uid
    if item.category_option_combo_uid is not None:
        chosen &= pl.col("category_option_combo_uid") == item.category_option_combo_uid
    if item.attribute_option_combo_uid is not None:
        chosen &= pl.col("attribute_option_combo_uid") == item.attribute_option_combo_uid
    return cells.filter(chosen).group_by("group").agg(pl.col("value_number").sum().alias(name))


def _breaks(rule: ValidationRule) -> pl.Expr:
    """True where the rule is violated; null sides become 0 or give no result, as `dhis2_expression.holds` says."""
    left, right = pl.col("left_value"), pl.col("right_value")
    if rule.operator == "compulsory_pair":
        return left.is_null() != right.is_null()
    if rule.operator == "exclusive_pair":
        return left.is_not_null() & right.is_not_null()
    if rule.left.strategy == "NEVER_SKIP":
        left = left.fill_null(0.0)
    if rule.right.strategy == "NEVER_SKIP":
        right = right.fill_null(0.0)
    holds: dict[Operator, pl.Expr] = {
        "equal_to": left == right,
        "not_equal_to": left != right,
        "greater_than": left > right,
        "greater_than_or_equal_to": left >= right,
        "less_than": left < right,
        "less_than_or_equal_to": left <= right,
    }
    return ~holds[rule.operator]


# One side ------------------------------------------------------------------------------------------------------------


class _NotArithmeticError(Exception):
    """The expression has functions or logic: it is evaluated row by row."""


def _side(wide: pl.DataFrame, side: RuleSide, names: Mapping[Item, str], constants: Mapping[str, float]) -> pl.Series:
    try:
        result = _arithmetic(side.expression.tree, side.expression, names, constants)
    except _NotArithmeticError:
        return _row_by_row(wide, side, names, constants)
    counted = [names[item] for item in side.expression.counted_items]
    if counted and side.strategy != "NEVER_SKIP":
        present = [pl.col(name).is_not_null() for name in counted]
        kept = (
            pl.all_horizontal(present) if side.strategy == "SKIP_IF_ANY_VALUE_MISSING" else pl.any_horizontal(present)
        )
        result = pl.when(kept).then(result)
    finite = wide.select(group="group", value=result).select(pl.when(pl.col("value").is_finite()).then(pl.col("value")))
    return finite.to_series().cast(pl.Float64)


def _arithmetic(
    node: Any, expression: Expression, names: Mapping[Item, str], constants: Mapping[str, float]
) -> pl.Expr:
    """The node on columns, missing items as 0. IEEE arithmetic, as in Java: a division by 0 is infinite or undefined."""
    kind = str(node.data)
    if kind == "number":
        return pl.lit(float(node.children[0]))
    if kind == "days":
        return pl.col("days").cast(pl.Float64)
    if kind == "item":
        read = read_item(str(node.children[0]), expression.text)
        if isinstance(read, Item):
            return pl.col(names[read]).fill_null(0.0)
        if read not in constants:
            raise UnsupportedExpressionError(expression.text, f"constant {read} without a value")
        return pl.lit(constants[read])
    if kind == "negative":
        return -_arithmetic(node.children[0], expression, names, constants)
    if kind not in ("sum", "product"):
        raise _NotArithmeticError
    operands = [_arithmetic(c, expression, names, constants) for c in node.children if isinstance(c, Tree)]
    operators = [str(child) for child in node.children if isinstance(child, Token)]
    result = operands[0]
    for operator, operand in zip(operators, operands[1:], strict=True):
        if operator == "+":
            result = result + operand
        elif operator == "-":
            result = result - operand
        elif operator == "*":
            result = result * operand
        elif operator == "/":
            result = result / operand
        else:
            raise _NotArithmeticError  # the sign of a remainder differs between languages
    return result


def _row_by_row(
    wide: pl.DataFrame, side: RuleSide, names: Mapping[Item, str], constants: Mapping[str, float]
) -> pl.Series:
    items = [item for item in names if item in side.expression.items]
    columns = [names[item] for item in items]
    values = []
    for days, *row in wide.select("days", *columns).iter_rows():
        found = dict(zip(items, row, strict=True))
        value = side.expression.evaluate(found, side.strategy, days=days, constants=constants).value
        values.append(value if value is None or math.isfinite(value) else None)
    return pl.Series(values, dtype=pl.Float64)
