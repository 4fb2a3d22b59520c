"""The review of reported values on a small world: each kind of finding is found, and nothing else."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from methods.quality_review import (
    FINDING_SCHEMA,
    disagreement_findings,
    outlier_findings,
    review,
    violation_findings,
)

AT = datetime(2026, 6, 10, 5, 0, tzinfo=UTC)
MONTHS = [date(2025 + month // 12, month % 12 + 1, 1) for month in range(5, 17)]


def values_of(numbers: list[float], unit: str = "u1") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "instance_code": "vnm",
            "data_element_uid": "de",
            "period_code": [f"{month:%Y%m}" for month in MONTHS],
            "org_unit_uid": unit,
            "category_option_combo_uid": "c",
            "attribute_option_combo_uid": "a",
            "concept_code": "TB_NOTIFIED",
            "value_number": [float(number) for number in numbers],
            "period_start_on": MONTHS,
            "is_practice": True,
        }
    )


def assigned(*units: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "instance_code": "vnm",
            "data_set_uid": "ds",
            "org_unit_uid": list(units),
            "data_set_code": "TB_MONTHLY",
            "period_type_code": "Monthly",
            "timely_days": 15,
            "is_practice": True,
        }
    )


def units(*names: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"instance_code": "vnm", "org_unit_uid": list(names), "opening_on": None, "closed_on": None},
        schema_overrides={"opening_on": pl.Date, "closed_on": pl.Date},
    )


def registered(*names: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "instance_code": "vnm",
            "data_set_uid": "ds",
            "period_code": "202604",
            "org_unit_uid": list(names),
            "registered_at": datetime(2026, 5, 3),
            "is_completed": True,
            "data_set_code": "TB_MONTHLY",
            "period_start_on": date(2026, 4, 1),
            "period_end_on": date(2026, 4, 30),
            "is_practice": True,
        }
    )


def kinds(findings: pl.DataFrame) -> list[tuple[str, str]]:
    return list(zip(findings["review_code"], findings["subject_code"], strict=True))


def test_a_sound_world_has_no_findings() -> None:
    sound = review(values_of([3, 4, 2, 5, 3, 4, 3, 2, 4, 3, 5, 4]), units("u1"), assigned("u1"), registered("u1"), AT)
    assert sound.is_empty()
    assert dict(sound.schema) == dict(FINDING_SCHEMA)


def test_a_month_that_no_unit_reported_is_owed_all_the_same() -> None:
    later = datetime(2026, 7, 20, 5, 0, tzinfo=UTC)
    values = values_of([3, 4, 2, 5, 3, 4, 3, 2, 4, 3, 5, 4])
    findings = review(values, units("u1"), assigned("u1"), registered("u1"), later)
    assert kinds(findings) == [("missing_report", "ds/u1/202605"), ("missing_report", "ds/u1/202606")]


def test_every_kind_of_finding_is_named() -> None:
    findings = review(
        values_of([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 40]),
        units("u1", "u2"),
        assigned("u1", "u2"),
        registered("u1", "stranger"),
        AT,
    )
    assert kinds(findings) == [
        ("missing_report", "ds/u2/202604"),
        ("outlier", "de/u1/c/a/202605"),
        ("unexpected_report", "ds/stranger/202604"),
    ]
    outlier = findings.row(1, named=True)
    assert (outlier["observed_value"], outlier["silence_code"], outlier["dimension_code"]) == (
        40.0,
        "mad_zero",
        "internal",
    )
    assert outlier["expected_value"] < 1
    assert outlier["tail_probability"] < 1e-4


def test_old_outliers_were_looked_at_when_they_were_new() -> None:
    values = values_of([40, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0])
    assert outlier_findings(values, AT).height == 1
    assert outlier_findings(values, datetime(2027, 7, 6, tzinfo=UTC)).is_empty()


def test_findings_do_not_depend_on_the_order_of_values() -> None:
    frame = pl.concat([values_of([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 40]), values_of([9] * 11 + [90], "u2")])
    arguments: tuple[Any, ...] = (units("u1", "u2"), assigned("u1", "u2"), registered("u1"), AT)
    assert review(frame, *arguments).equals(review(frame.reverse(), *arguments))


def test_violations_carry_both_sides_and_the_importance() -> None:
    held = pl.DataFrame(
        {
            "instance_code": ["vnm"] * 3,
            "rule_uid": ["r1", "r2", "r1"],
            "org_unit_uid": ["u1"] * 3,
            "period_code": ["202604", "202604", "202401"],
            "attribute_option_combo_uid": ["a"] * 3,
            "left_value": [9.0, None, 9.0],
            "right_value": [4.0, 2.0, 4.0],
            "importance_code": ["LOW", "HIGH", "LOW"],
            "name": ["at most 4", "both or neither", "at most 4"],
            "is_practice": [True] * 3,
        }
    )
    findings = violation_findings(held, AT)
    assert findings.select("subject_code", "severity_code", "observed_value", "expected_value").rows() == [
        ("r1/u1/202604/a", "info", 9.0, 4.0),
        ("r2/u1/202604/a", "warning", None, 2.0),
    ]
    assert set(findings["concept_code"]) == {"at most 4", "both or neither"}
    assert violation_findings(held.clear(), AT).is_empty()


def test_sources_of_one_fact_are_compared_like_with_like() -> None:
    left = pl.DataFrame(
        {"year": ["2023", "2024", "2025"], "value": [100.0, 100.0, 5.0], "is_practice": [False, False, False]}
    )
    right = pl.DataFrame(
        {"year": ["2023", "2024", "2025"], "value": [109.0, 130.0, 9.0], "is_practice": [False, False, False]}
    )
    findings = disagreement_findings(left, right, ["year"], review_code="register_bulletin")
    assert kinds(findings) == [("register_bulletin", "2024")]
    made_up = right.with_columns(is_practice=pl.lit(True))
    assert disagreement_findings(left, made_up, ["year"], review_code="register_bulletin").is_empty()
