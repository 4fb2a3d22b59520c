"""DHIS2 expressions and validation rules, with the meaning that DHIS2 gives them.

Belongs here: the grammar, missing values, the operators of validation rules and the order of their evaluation. Does not belong here:
fetching rules or values, what to do about a violation. What is outside the supported grammar is refused by name, never guessed.

Source: DHIS2 2.43.1, DefaultExpressionService, ExpressionState, DataValidationRunner; docs/quality.md says what is supported.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Literal

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from methods.periods import PERIOD_TYPES, Period

Strategy = Literal["SKIP_IF_ANY_VALUE_MISSING", "SKIP_IF_ALL_VALUES_MISSING", "NEVER_SKIP"]
Operator = Literal[
    "equal_to",
    "not_equal_to",
    "greater_than",
    "greater_than_or_equal_to",
    "less_than",
    "less_than_or_equal_to",
    "compulsory_pair",
    "exclusive_pair",
]
Importance = Literal["HIGH", "MEDIUM", "LOW"]

_GRAMMAR = r"""
?start: either
?either: both (("||" | "or"i) both)*
?both: comparison (("&&" | "and"i) comparison)*
?comparison: sum (COMPARE sum)?
?sum: product (PLUSMINUS product)*
?product: signed (TIMES signed)*
?signed: "-" signed -> negative
       | "+" signed
       | ("!" | "not"i) signed -> negation
       | power
?power: atom ("^" signed)?
?atom: NUMBER -> number
     | STRING -> text
     | "true"i -> yes
     | "false"i -> no
     | "null"i -> nothing
     | "[days]" -> days
     | ITEM -> item
     | NAME "(" [either ("," either)*] ")" -> call
     | "(" either ")"
COMPARE: "==" | "!=" | ">=" | "<=" | ">" | "<"
PLUSMINUS: "+" | "-"
TIMES: "*" | "/" | "%"
ITEM: /(#|[A-Z][A-Z_]*)\{[^{}]*\}/
NAME: /[a-zA-Z][a-zA-Z0-9]*/
STRING: /"[^"]*"|'[^']*'/
NUMBER: /\d+(\.\d+)?([eE][+-]?\d+)?/
%import common.WS
%ignore WS
"""

_FUNCTIONS = {"if", "isNull", "isNotNull", "firstNonNull", "greatest", "least", "log", "log10", "removeZeros"}
_NULL_TESTING = {"isNull", "isNotNull", "firstNonNull"}
"""Items inside these are neither replaced by 0 nor counted as found or missing."""

_parser = Lark(_GRAMMAR, parser="earley", start="start", propagate_positions=False)

Scalar = float | bool | str | None


class UnsupportedExpressionError(ValueError):
    """The expression uses something that is not supported, or is no expression. `part` names it; the rule is refused and counted."""

    def __init__(self, expression: str, part: str) -> None:
        super().__init__(f"not supported in a DHIS2 expression: {part}")
        self.expression = expression
        self.part = part


@dataclass(frozen=True)
class Item:
    """A data element, or one of its operands. None stands for all: `#{de}` is the total over option combinations."""

    data_element_uid: str
    category_option_combo_uid: str | None = None
    attribute_option_combo_uid: str | None = None


@dataclass(frozen=True)
class Side:
    """What one side of a rule came to: null when skipped."""

    value: float | None
    items: int
    found: int


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Equal texts give equal expressions."""

    text: str
    tree: Any = field(repr=False, compare=False)

    @cached_property
    def counted_items(self) -> frozenset[Item]:
        """Items whose presence decides whether a side is skipped."""
        return frozenset(_items(self.tree, counted_only=True))

    @cached_property
    def items(self) -> frozenset[Item]:
        """Every item that the expression reads."""
        return frozenset(_items(self.tree, counted_only=False))

    def evaluate(
        self,
        values: Mapping[Item, float | None],
        strategy: Strategy,
        *,
        days: int | None = None,
        constants: Mapping[str, float] | None = None,
    ) -> Side:
        """The side's value in double precision.

        Skipped (null) under SKIP_IF_ANY when an item lacks its value, under SKIP_IF_ALL when there are items and none has
        one. Otherwise each missing item counts as 0. Infinite and undefined results are null.
        """
        counted = self.counted_items
        found = sum(1 for item in counted if values.get(item) is not None)
        if strategy == "SKIP_IF_ANY_VALUE_MISSING" and found < len(counted):
            return Side(None, len(counted), found)
        if strategy == "SKIP_IF_ALL_VALUES_MISSING" and counted and found == 0:
            return Side(None, len(counted), found)
        reader = _Reader(values, days, constants or {}, self.text)
        result = reader.value(self.tree, replacing=True)
        number = float(result) if isinstance(result, (int, float)) else None
        if number is not None and not math.isfinite(number):
            number = None
        return Side(number, len(counted), found)


def parse(text: str) -> Expression:
    """The expression, checked to the last item and function. Raises UnsupportedExpressionError naming the first part refused."""
    try:
        tree = _parser.parse(text)
    except UnexpectedInput as fault:
        column = getattr(fault, "column", -1)
        at = text[column - 1 : column + 19] if isinstance(column, int) and column > 0 else text[:20]
        raise UnsupportedExpressionError(text, f"text at {at!r}") from None
    if not isinstance(tree, Tree):
        tree = Tree("start", [tree])
    for _ in _items(tree, counted_only=False, text=text):
        pass
    _check_functions(tree, text)
    return Expression(text, tree)


def _check_functions(tree: Any, text: str) -> None:
    arities = {
        "if": (3, 3),
        "isNull": (1, 1),
        "isNotNull": (1, 1),
        "log": (1, 2),
        "log10": (1, 1),
        "removeZeros": (1, 1),
    }
    for call in tree.find_data("call"):
        name = str(call.children[0])
        if name not in _FUNCTIONS:
            raise UnsupportedExpressionError(text, f"function {name}()")
        given = len([child for child in call.children[1:] if child is not None])
        least, most = arities.get(name, (1, 99))
        if not least <= given <= most:
            raise UnsupportedExpressionError(text, f"function {name}() with {given} arguments")


def read_item(token: str, text: str) -> Item | str:
    """The item that a token names, or the UID of a constant."""
    kind, inner = token.split("{", 1)
    inner = inner.rstrip("}").strip()
    if kind == "C":
        return inner
    if kind != "#" or ":" in inner or "&" in inner:
        raise UnsupportedExpressionError(text, f"item {token}")
    parts = inner.split(".")
    if not 1 <= len(parts) <= 3 or not all(part == "*" or part.isalnum() for part in parts) or parts[0] == "*":
        raise UnsupportedExpressionError(text, f"item {token}")
    picked = [None if part == "*" else part for part in parts]
    return Item(str(picked[0]), *picked[1:])


def _items(tree: Any, *, counted_only: bool, text: str = "") -> Iterable[Item]:
    if isinstance(tree, Token):
        return
    if tree.data == "item":
        read = read_item(str(tree.children[0]), text)
        if isinstance(read, Item):
            yield read
        return
    if tree.data == "call" and counted_only and str(tree.children[0]) in _NULL_TESTING:
        return
    for child in tree.children:
        if isinstance(child, Tree):
            yield from _items(child, counted_only=counted_only, text=text)


@dataclass(frozen=True)
class _Reader:
    values: Mapping[Item, float | None]
    days: int | None
    constants: Mapping[str, float]
    text: str

    def value(self, node: Any, *, replacing: bool) -> Scalar:
        """The node's value; a missing item is 0 while `replacing`, and null inside functions that test for null."""
        kind, children = str(node.data), node.children
        if kind == "number":
            return float(children[0])
        if kind == "text":
            return str(children[0])[1:-1]
        if kind in ("yes", "no"):
            return kind == "yes"
        if kind == "nothing":
            return None
        if kind == "days":
            if self.days is None:
                raise UnsupportedExpressionError(self.text, "[days] without a period")
            return float(self.days)
        if kind == "item":
            return self._item(str(children[0]), replacing)
        if kind == "call":
            return self._call(str(children[0]), [c for c in children[1:] if c is not None], replacing)
        if kind == "negative":
            inner = self.value(children[0], replacing=replacing)
            return None if inner is None else -float(inner)
        if kind == "negation":
            inner = self.value(children[0], replacing=replacing)
            return None if inner is None else not inner
        return self._chain(kind, children, replacing)

    def _item(self, token: str, replacing: bool) -> Scalar:
        read = read_item(token, self.text)
        if isinstance(read, str):
            if read not in self.constants:
                raise UnsupportedExpressionError(self.text, f"constant {read} without a value")
            return self.constants[read]
        found = self.values.get(read)
        return 0.0 if found is None and replacing else found

    def _call(self, name: str, arguments: Sequence[Any], replacing: bool) -> Scalar:
        if name == "if":
            test = self.value(arguments[0], replacing=replacing)
            if test is None:
                return None
            return self.value(arguments[1 if test else 2], replacing=replacing)
        inner = [self.value(argument, replacing=replacing and name not in _NULL_TESTING) for argument in arguments]
        if name == "isNull":
            return inner[0] is None
        if name == "isNotNull":
            return inner[0] is not None
        if name == "firstNonNull":
            return next((value for value in inner if value is not None), None)
        numbers = [float(value) for value in inner if value is not None]
        if name in ("greatest", "least"):
            return (max if name == "greatest" else min)(numbers) if numbers else None
        if len(numbers) < len(inner):
            return None
        if name == "removeZeros":
            return numbers[0] or None
        return _logarithm(numbers[0], 10.0 if name == "log10" else numbers[1] if len(numbers) > 1 else math.e)

    def _chain(self, kind: str, children: Sequence[Any], replacing: bool) -> Scalar:
        operands = [self.value(child, replacing=replacing) for child in children if isinstance(child, Tree)]
        operators = [str(child) for child in children if isinstance(child, Token)]
        if kind == "both":
            return None if None in operands else all(operands)
        if kind == "either":
            return None if None in operands else any(operands)
        if None in operands:
            return None
        if kind == "comparison":
            return _compare(operands[0], operators[0], operands[1])
        if kind == "power":
            return _power(_number(operands[0]), _number(operands[1]))
        if kind not in ("sum", "product", "start"):
            raise UnsupportedExpressionError(self.text, kind)
        result = _number(operands[0])
        for operator, operand in zip(operators, operands[1:], strict=True):
            result = _apply(result, operator, _number(operand))
        return result


def _number(value: Scalar) -> float:
    return float(value) if value is not None else math.nan


def _apply(left: float, operator: str, right: float) -> float:
    """IEEE arithmetic as in Java: a division by 0 is infinite or undefined, never an error."""
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if right == 0:
        return math.nan if operator == "%" or left == 0 or math.isnan(left) else math.copysign(math.inf, left)
    return math.fmod(left, right) if operator == "%" else left / right


def _power(base: float, exponent: float) -> float:
    try:
        result = base**exponent
    except (ZeroDivisionError, OverflowError):
        return math.inf
    return result if isinstance(result, (int, float)) else math.nan


def _logarithm(number: float, base: float) -> float:
    if number <= 0 or base <= 0 or base == 1:
        return math.nan
    return math.log10(number) if base == 10.0 else math.log(number) / math.log(base)


def _compare(left: Scalar, operator: str, right: Scalar) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        left_key: Any = str(left)
        right_key: Any = str(right)
    else:
        left_key, right_key = _number(left), _number(right)
    return bool(
        {
            "==": left_key == right_key,
            "!=": left_key != right_key,
            ">": left_key > right_key,
            ">=": left_key >= right_key,
            "<": left_key < right_key,
            "<=": left_key <= right_key,
        }[operator]
    )


@dataclass(frozen=True)
class RuleSide:
    """One side of a validation rule: expression and what missing values do to it."""

    expression: Expression
    strategy: Strategy


@dataclass(frozen=True)
class ValidationRule:
    """A validation rule of one server. Empty `levels` means units of every level."""

    uid: str
    name: str
    importance: Importance
    operator: Operator
    period_type: str
    left: RuleSide
    right: RuleSide
    levels: frozenset[int] = frozenset()
    instruction: str = ""


@dataclass(frozen=True)
class StoredValue:
    """One live numeric data value, at the unit where it was entered."""

    org_unit_uid: str
    data_element_uid: str
    category_option_combo_uid: str
    attribute_option_combo_uid: str
    period_code: str
    period_type: str
    period_start_on: date
    period_end_on: date
    value: float


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold for one unit, period and attribute option combination. Sides are unrounded, as they were compared."""

    rule_uid: str
    org_unit_uid: str
    period_code: str
    attribute_option_combo_uid: str
    left_value: float | None
    right_value: float | None


@dataclass(frozen=True)
class Evaluation:
    """Violations, and how many unit-period-rule triples were evaluated to find them."""

    violations: tuple[Violation, ...]
    evaluated: int


def holds(operator: Operator, left: float | None, right: float | None, rule: ValidationRule) -> bool | None:
    """True or false for a pair of sides; None where the rule gives no result.

    Pairs compare presence. Any other operator takes a null side as 0 when its own strategy is NEVER_SKIP, otherwise gives no result;
    equality is exact, in double precision.
    """
    if operator == "compulsory_pair":
        return (left is None) == (right is None)
    if operator == "exclusive_pair":
        return left is None or right is None
    if left is None and rule.left.strategy == "NEVER_SKIP":
        left = 0.0
    if right is None and rule.right.strategy == "NEVER_SKIP":
        right = 0.0
    if left is None or right is None:
        return None
    symbol = {
        "equal_to": "==",
        "not_equal_to": "!=",
        "greater_than": ">",
        "greater_than_or_equal_to": ">=",
        "less_than": "<",
        "less_than_or_equal_to": "<=",
    }[operator]
    return _compare(left, symbol, right)


def evaluate_rules(
    rules: Sequence[ValidationRule],
    values: Iterable[StoredValue],
    *,
    level_of_unit: Mapping[str, int] | None = None,
    constants: Mapping[str, float] | None = None,
    periods: Iterable[Period] | None = None,
) -> Evaluation:
    """Every rule at every unit, period of its type and attribute option combination that holds any value of the run.

    `periods` are those of the run; without it those that the values have. `dhis2_validation` does the same set at a time.

    Values are those stored at the unit itself, not of units below. A unit and period without a value for any rule of the
    run is not evaluated, NEVER_SKIP included. Of a data element collected over a longer period the value that contains the
    period's start is used; the shortest period wins, and values of equal length add up.
    """
    wanted = {
        item.data_element_uid for rule in rules for side in (rule.left, rule.right) for item in side.expression.items
    }
    by_unit: dict[tuple[str, str], list[StoredValue]] = defaultdict(list)
    spans: dict[str, dict[str, tuple[date, date]]] = defaultdict(dict)
    for period in periods or ():
        spans[period.type_code][period.code] = (period.start_on, period.end_on)
    for value in values:
        if periods is None:
            spans[value.period_type][value.period_code] = (value.period_start_on, value.period_end_on)
        if value.data_element_uid in wanted:
            by_unit[value.org_unit_uid, value.attribute_option_combo_uid].append(value)
    violations: list[Violation] = []
    evaluated = 0
    for (unit, attribute), stored in sorted(by_unit.items()):
        for period_type in sorted({rule.period_type for rule in rules}):
            for code, (start, end) in sorted(spans[period_type].items()):
                shortest = _shortest(stored, start, end)
                if not shortest:
                    continue
                for rule in rules:
                    if rule.period_type != period_type or not _at_level(rule, unit, level_of_unit):
                        continue
                    evaluated += 1
                    sides = [
                        side.expression.evaluate(
                            {item: _of_item(shortest, item, attribute) for item in side.expression.items},
                            side.strategy,
                            days=(end - start).days + 1,
                            constants=constants,
                        ).value
                        for side in (rule.left, rule.right)
                    ]
                    if holds(rule.operator, sides[0], sides[1], rule) is False:
                        violations.append(Violation(rule.uid, unit, code, attribute, sides[0], sides[1]))
    return Evaluation(tuple(violations), evaluated)


def _at_level(rule: ValidationRule, unit: str, level_of_unit: Mapping[str, int] | None) -> bool:
    return not rule.levels or (level_of_unit or {}).get(unit) in rule.levels


def _shortest(stored: Iterable[StoredValue], start: date, end: date) -> dict[tuple[str, str], float]:
    """By data element and option combination: the value of the period itself, or of the shortest longer one containing its start."""
    length = (end - start).days
    best: dict[str, int] = {}
    usable = [
        value
        for value in stored
        if (value.period_start_on, value.period_end_on) == (start, end)
        or (
            (value.period_end_on - value.period_start_on).days > length
            and value.period_start_on <= start <= value.period_end_on
        )
    ]
    for value in usable:
        days = (value.period_end_on - value.period_start_on).days
        best[value.data_element_uid] = min(days, best.get(value.data_element_uid, days))
    found: dict[tuple[str, str], float] = defaultdict(float)
    for value in usable:
        if (value.period_end_on - value.period_start_on).days == best[value.data_element_uid]:
            found[value.data_element_uid, value.category_option_combo_uid] += value.value
    return found


def _of_item(values: Mapping[tuple[str, str], float], item: Item, attribute: str) -> float | None:
    if item.attribute_option_combo_uid not in (None, attribute):
        return None
    if item.category_option_combo_uid is not None:
        return values.get((item.data_element_uid, item.category_option_combo_uid))
    found = [value for (element, _), value in values.items() if element == item.data_element_uid]
    return sum(found) if found else None


@dataclass(frozen=True)
class RefusedRule:
    """A rule of the server that is not evaluated, and the part that is not supported."""

    uid: str
    name: str
    part: str


def rules_from_metadata(payload: Iterable[Mapping[str, Any]]) -> tuple[list[ValidationRule], list[RefusedRule]]:
    """Rules of `/api/validationRules` as typed rules; those outside the supported grammar by name with the part refused."""
    rules: list[ValidationRule] = []
    refused: list[RefusedRule] = []
    for raw in payload:
        uid, name = str(raw["id"]), str(raw.get("displayName") or raw.get("name") or raw["id"])
        try:
            rules.append(_rule(raw, uid, name))
        except UnsupportedExpressionError as fault:
            refused.append(RefusedRule(uid, name, fault.part))
    return rules, refused


def _rule(raw: Mapping[str, Any], uid: str, name: str) -> ValidationRule:
    operator = str(raw.get("operator", ""))
    importance = str(raw.get("importance", "MEDIUM"))
    period_type = str(raw.get("periodType", ""))
    if period_type not in PERIOD_TYPES:
        raise UnsupportedExpressionError("", f"period type {period_type or 'missing'}")
    if operator not in Operator.__args__:  # type: ignore[attr-defined]
        raise UnsupportedExpressionError("", f"operator {operator or 'missing'}")
    if importance not in ("HIGH", "MEDIUM", "LOW"):
        raise UnsupportedExpressionError("", f"importance {importance}")
    sides = []
    for key in ("leftSide", "rightSide"):
        side = raw.get(key) or {}
        strategy = str(side.get("missingValueStrategy", "SKIP_IF_ANY_VALUE_MISSING"))
        if strategy not in Strategy.__args__:  # type: ignore[attr-defined]
            raise UnsupportedExpressionError("", f"missing value strategy {strategy}")
        sides.append(RuleSide(parse(str(side.get("expression", ""))), strategy))  # type: ignore[arg-type]
    return ValidationRule(
        uid=uid,
        name=name,
        importance=importance,  # type: ignore[arg-type]
        operator=operator,  # type: ignore[arg-type]
        period_type=period_type,
        left=sides[0],
        right=sides[1],
        levels=frozenset(int(level) for level in raw.get("organisationUnitLevels") or ()),
        instruction=str(raw.get("instruction") or ""),
    )
