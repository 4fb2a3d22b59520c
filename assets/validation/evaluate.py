"""The rules that the servers published last, on the values that the warehouse holds now.

Belongs here: reading open rows, refusing rules that cannot be evaluated here and saying why, and the two result frames. Does not
belong here: Dagster, arithmetic (`methods.dhis2_validation`).

*Source* of the meaning: DHIS2 2.43.1, DataValidationRunner; docs/quality.md says where we must differ.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from methods.dhis2_expression import Item, RefusedRule, UnsupportedExpressionError, ValidationRule, rules_from_metadata
from methods.dhis2_validation import VIOLATION_SCHEMA, RuleCounts, evaluate_over_frame
from methods.periods import UnknownPeriodError, parse_period
from warehouse.store import fetch_frame

INPUTS: Final = ("core.data_value", "core.metadata_object", "core.org_unit")
_READ_KINDS: Final = ("validationRules", "constants", "dataElements", "categoryOptionCombos")

RULE_SCHEMA: Final[Mapping[str, Any]] = {
    "instance_code": pl.String, "rule_uid": pl.String, "rule_code": pl.String, "name": pl.String, "importance_code": pl.String,
    "operator_code": pl.String, "period_type_code": pl.String, "left_expression": pl.String, "left_strategy_code": pl.String,
    "right_expression": pl.String, "right_strategy_code": pl.String, "org_unit_levels": pl.String, "instruction": pl.String,
    "status_code": pl.String, "refused_part": pl.String, "evaluated_count": pl.Int64, "violation_count": pl.Int64,
    "held_count": pl.Int64, "is_practice": pl.Boolean, "receipt_id": pl.String,
}  # fmt: skip
RESULT_SCHEMA: Final[Mapping[str, Any]] = {
    "instance_code": pl.String, **VIOLATION_SCHEMA, "importance_code": pl.String, "name": pl.String, "is_practice": pl.Boolean,
    "receipt_id": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class RuleResults:
    """`rules`: every rule of every server, evaluated or refused, with its counts. `violations`: where one does not hold."""

    rules: pl.DataFrame
    violations: pl.DataFrame


def evaluate_current(connection: Any) -> RuleResults:
    """The results of all servers on the open rows."""
    objects = fetch_frame(
        connection,
        "select instance_code, kind_code, object_uid, object_code, name, detail, is_practice from core.metadata_object_current "
        f"where kind_code in ({', '.join(repr(kind) for kind in _READ_KINDS)}) order by all",
    )
    rules: list[dict[str, Any]] = []
    violations: list[pl.DataFrame] = []
    for instance in sorted(objects.filter(pl.col("kind_code") == "validationRules")["instance_code"].unique()):
        own = objects.filter(pl.col("instance_code") == instance)
        told, broken = _of_server(connection, str(instance), own)
        rules += told
        violations.append(broken)
    return RuleResults(
        pl.DataFrame(rules, schema=dict(RULE_SCHEMA), orient="row"),
        pl.concat(violations) if violations else pl.DataFrame(schema=dict(RESULT_SCHEMA)),
    )


def _of_server(connection: Any, instance: str, objects: pl.DataFrame) -> tuple[list[dict[str, Any]], pl.DataFrame]:
    raw = {str(row["id"]): row for row in _payload(objects, "validationRules")}
    constants = {str(row["id"]): float(row["value"]) for row in _payload(objects, "constants") if "value" in row}
    read, refused = rules_from_metadata(raw.values())
    known = {
        kind: set(objects.filter(pl.col("kind_code") == kind)["object_uid"])
        for kind in ("dataElements", "categoryOptionCombos")
    }
    rules: list[ValidationRule] = []
    for rule in read:
        lacking = _not_here(rule, known["dataElements"], known["categoryOptionCombos"], constants)
        if lacking:
            refused.append(RefusedRule(rule.uid, rule.name, lacking))
        else:
            rules.append(rule)
    elements = sorted({i.data_element_uid for rule in rules for i in _items(rule)})
    outcome = evaluate_over_frame(
        rules, _values(connection, instance, elements), level_of_unit=_levels(connection, instance), constants=constants,
        held=_held(connection, instance, elements),
    )  # fmt: skip
    parts = {entry.uid: entry.part for entry in refused}
    is_practice = bool(objects["is_practice"].all())
    told = [
        _rule_row(instance, uid, row, parts.get(uid), outcome.by_rule.get(uid, RuleCounts()), is_practice)
        for uid, row in raw.items()
    ]
    labels = {uid: (str(row.get("importance", "MEDIUM")), str(row.get("name") or uid)) for uid, row in raw.items()}
    broken = outcome.violations.with_columns(
        instance_code=pl.lit(instance),
        importance_code=pl.col("rule_uid").replace_strict(
            {uid: label[0] for uid, label in labels.items()}, default=None, return_dtype=pl.String
        ),
        name=pl.col("rule_uid").replace_strict(
            {uid: label[1] for uid, label in labels.items()}, default=None, return_dtype=pl.String
        ),
        is_practice=pl.lit(is_practice),
        receipt_id=pl.lit(None, pl.String),
    ).select(list(RESULT_SCHEMA))
    return told, broken


def _payload(objects: pl.DataFrame, kind: str) -> list[dict[str, Any]]:
    """The objects of one kind as the server sent them."""
    rows = objects.filter(pl.col("kind_code") == kind).select("object_uid", "object_code", "name", "detail").iter_rows()
    return [{**json.loads(detail or "{}"), "id": uid, "code": code, "name": name} for uid, code, name, detail in rows]


def _items(rule: ValidationRule) -> frozenset[Item]:
    return rule.left.expression.items | rule.right.expression.items


def _not_here(rule: ValidationRule, elements: set[str], combos: set[str], constants: Mapping[str, float]) -> str | None:
    """What the rule needs and the settings do not collect: taken as missing it would count as 0 and break the rule falsely."""
    for item in sorted(_items(rule), key=repr):
        if item.data_element_uid not in elements:
            return f"data element {item.data_element_uid} is not collected"
        if item.category_option_combo_uid is not None and item.category_option_combo_uid not in combos:
            return f"category option combo {item.category_option_combo_uid} is not collected"
    for side in (rule.left, rule.right):
        try:
            side.expression.evaluate({}, "NEVER_SKIP", days=30, constants=constants)
        except UnsupportedExpressionError as fault:
            return fault.part
    return None


def _values(connection: Any, instance: str, elements: Sequence[str]) -> pl.DataFrame:
    return fetch_frame(
        connection,
        """select org_unit_uid, data_element_uid, category_option_combo_uid, attribute_option_combo_uid, period_start_on,
          period_end_on, value_number
        from core.data_value_current
        where instance_code = $instance and list_contains($elements, data_element_uid) and value_number is not null order by all""",
        {"instance": instance, "elements": list(elements)},
    )


def _levels(connection: Any, instance: str) -> dict[str, int]:
    units = fetch_frame(
        connection,
        "select org_unit_uid, level from core.org_unit_current where instance_code = $instance",
        {"instance": instance},
    )
    return dict(units.iter_rows())


def _held(connection: Any, instance: str, elements: Sequence[str]) -> pl.DataFrame:
    """Places of values that were received and are held in quarantine: unit, element and the days of the period."""
    rows = fetch_frame(
        connection,
        """select distinct record ->> 'org_unit_uid' as org_unit_uid, record ->> 'data_element_uid' as data_element_uid,
          record ->> 'period_code' as period_code
        from quarantine.record
        where table_name = 'staging.data_value' and status_code = 'held' and record ->> 'instance_code' = $instance
          and list_contains($elements, record ->> 'data_element_uid') order by all""",
        {"instance": instance, "elements": list(elements)},
    )
    placed = []
    for unit, element, code in rows.iter_rows():
        try:
            period = parse_period(str(code))
        except UnknownPeriodError:
            continue
        placed.append((unit, element, period.start_on, period.end_on))
    return pl.DataFrame(
        placed,
        schema={
            "org_unit_uid": pl.String, "data_element_uid": pl.String, "period_start_on": pl.Date, "period_end_on": pl.Date,
        },
        orient="row",
    )  # fmt: skip


def _rule_row(
    instance: str, uid: str, raw: Mapping[str, Any], refused: str | None, counts: RuleCounts, is_practice: bool
) -> dict[str, Any]:
    left, right = raw.get("leftSide") or {}, raw.get("rightSide") or {}
    return {
        "instance_code": instance,
        "rule_uid": uid,
        "rule_code": raw.get("code"),
        "name": raw.get("name"),
        "importance_code": raw.get("importance"),
        "operator_code": raw.get("operator"),
        "period_type_code": raw.get("periodType"),
        "left_expression": left.get("expression"),
        "left_strategy_code": left.get("missingValueStrategy"),
        "right_expression": right.get("expression"),
        "right_strategy_code": right.get("missingValueStrategy"),
        "org_unit_levels": ",".join(str(level) for level in sorted(raw.get("organisationUnitLevels") or [])) or None,
        "instruction": raw.get("instruction"),
        "status_code": "refused" if refused else "evaluated",
        "refused_part": refused,
        "evaluated_count": counts.evaluated,
        "violation_count": counts.violated,
        "held_count": counts.held,
        "is_practice": is_practice,
        "receipt_id": None,
    }
