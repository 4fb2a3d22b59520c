"""The practice server's own rules on what was pulled from it: landed, kept with history, evaluated like DHIS2, refused by name.

Expected numbers come from the world itself, counted here with plain Python, and from the row-wise evaluator.
"""

import json
import shutil
import tomllib
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

import practice
from assets.dhis2.assets import batches
from assets.dhis2.client import Credential, Dhis2Client
from assets.dhis2.extract import pull_instance
from assets.dhis2.mapping import InstanceMapping, parse_instance
from assets.loading import load_source
from assets.quality.assets import review_current_rows
from assets.validation.assets import build
from assets.validation.evaluate import RuleResults, evaluate_current
from methods.dhis2_expression import StoredValue, evaluate_rules, rules_from_metadata
from methods.dhis2_validation import run_periods
from methods.pseudonym import Pseudonymiser
from practice.clock import DEFAULT_SEED, PracticeClock
from practice.dhis2 import serve
from practice.world import definitions
from practice.world.region import ServerState, World
from warehouse.catalogue.table_catalogue import tables
from warehouse.clock import Refresh
from warehouse.landing import Landing
from warehouse.store import Warehouse, fetch_frame

SERVER = "khm"
AT = datetime(2026, 7, 6, 5, tzinfo=UTC)


class NoScales:
    """Lets everything pass: rules of ours are not under test here."""

    def weigh(self, connection: Any, table: Any, context: Any) -> list[Any]:
        return []

    def checks_for(self, table: Any) -> list[Any]:
        return []


@dataclass(frozen=True)
class Loaded:
    """A warehouse filled from one practice server, the server's state, and what its rules came to."""

    warehouse: Warehouse
    state: ServerState
    results: RuleResults
    mapping: InstanceMapping


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("rules")
    world, clock = World(DEFAULT_SEED, weekly_episodes=1), PracticeClock(folder)
    raw = tomllib.loads((Path(practice.__file__).parent / "mhwg.toml").read_text(encoding="utf-8"))
    (entry,) = [item for item in raw["dhis2"] if item["code"] == SERVER]
    landing, warehouse = Landing(folder / "landing"), Warehouse(folder / "w.duckdb")
    with serve(world, clock, (SERVER,), version="2.43") as running:
        mapping = replace(parse_instance(entry, is_practice=True), url=running.urls[SERVER], referral=None)
        result = pull_instance(
            Dhis2Client(mapping.url, Credential(token="practice-token"), server=SERVER),
            mapping,
            lambda part: landing.pull(mapping.source_code, part, AT, is_practice=True),
            None,
            Pseudonymiser("a key that is long enough for tests", "k"),
        )
    landing.note_pull(result.receipts, AT)
    report = load_source(warehouse, landing, NoScales(), mapping.source_code, AT, batches(mapping, landing))
    assert report.fault is None
    with warehouse.connect(read_only=True) as connection:
        results = evaluate_current(connection)
    return Loaded(warehouse, world.server(SERVER, clock.instant()), results, mapping)


def by_code(results: RuleResults) -> dict[str, dict[str, Any]]:
    return {row["rule_code"]: row for row in results.rules.iter_rows(named=True)}


def test_every_published_rule_is_evaluated_or_refused_by_name(loaded: Loaded) -> None:
    rules = by_code(loaded.results)
    assert len(rules) == 9
    assert {row["operator_code"] for row in rules.values()} >= {
        "equal_to",
        "compulsory_pair",
        "greater_than_or_equal_to",
    }
    assert {row["period_type_code"] for row in rules.values()} == {"Monthly", "Quarterly"}
    refused = {code: row["refused_part"] for code, row in rules.items() if row["status_code"] == "refused"}
    data_set = definitions.data_sets(SERVER)["HIV_TESTING"].uid
    assert refused == {"HIV_REPORTED": f"item R{{{data_set}.REPORTING_RATE}}"}
    assert all(row["evaluated_count"] > 100 for code, row in rules.items() if code not in refused)


def test_violations_are_those_of_the_row_wise_evaluator(loaded: Loaded) -> None:
    with loaded.warehouse.connect(read_only=True) as connection:
        objects = fetch_frame(connection, "select * from core.metadata_object_current")
        values = fetch_frame(connection, "select * from core.data_value_current where value_number is not null")

    def payload(kind: str) -> list[dict[str, Any]]:
        chosen = objects.filter(pl.col("kind_code") == kind).iter_rows(named=True)
        return [{**json.loads(row["detail"]), "id": row["object_uid"], "name": row["name"]} for row in chosen]

    rules, _ = rules_from_metadata(payload("validationRules"))
    constants = {row["id"]: row["value"] for row in payload("constants")}
    assert constants
    held = set(
        loaded.warehouse.read(
            "select record ->> 'org_unit_uid' as org_unit_uid from quarantine.record where table_name = 'staging.data_value'"
        )["org_unit_uid"]
    )
    wanted = {i.data_element_uid for r in rules for s in (r.left, r.right) for i in s.expression.items}
    # One unit in six is enough for the slow evaluator; units with values in quarantine are left out on both sides.
    units = sorted(set(values["org_unit_uid"]) - held)[::6]
    chosen = values.filter(pl.col("org_unit_uid").is_in(units))
    stored = [
        StoredValue(
            row["org_unit_uid"], row["data_element_uid"], row["category_option_combo_uid"], row["attribute_option_combo_uid"],
            row["period_code"], row["period_type_code"], row["period_start_on"], row["period_end_on"], row["value_number"],
        )
        for row in chosen.iter_rows(named=True)
    ]  # fmt: skip
    periods = run_periods(rules, values.filter(pl.col("data_element_uid").is_in(sorted(wanted))))
    slow = evaluate_rules(rules, stored, constants=constants, periods=periods)
    expected = {(v.rule_uid, v.org_unit_uid, v.period_code): (v.left_value, v.right_value) for v in slow.violations}
    found = {
        (row["rule_uid"], row["org_unit_uid"], row["period_code"]): (row["left_value"], row["right_value"])
        for row in loaded.results.violations.filter(pl.col("org_unit_uid").is_in(units)).iter_rows(named=True)
    }
    assert found == expected
    assert len(found) > 3


def test_tb_by_sex_and_age_against_place_of_birth_counted_by_hand(loaded: Loaded) -> None:
    elements = {e.concept_code: e.uid for e in definitions.data_sets(SERVER)["TB_MONTHLY"].elements}
    sums: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    broken: set[tuple[str, str]] = set()
    for value in loaded.state.data_values:
        if value.deleted or value.data_element not in elements.values():
            continue
        place = (value.org_unit, value.period)
        if not value.value.isdigit() or len(value.value) > 15:
            broken.add(place)
            continue
        sums[place][value.data_element] = sums[place].get(value.data_element, 0.0) + float(value.value)
    expected = {
        place: (found.get(elements["TB_NOTIFIED"], 0.0), found.get(elements["TB_NOTIFIED_BY_ORIGIN"], 0.0))
        for place, found in sums.items()
        if place not in broken
        and place[1] >= f"{loaded.mapping.data_from:%Y%m}"
        and found.get(elements["TB_NOTIFIED"], 0.0) != found.get(elements["TB_NOTIFIED_BY_ORIGIN"], 0.0)
    }
    rule = by_code(loaded.results)["TB_SEX_AGE_EQ_ORIGIN"]
    found = {
        (row["org_unit_uid"], row["period_code"]): (row["left_value"], row["right_value"])
        for row in loaded.results.violations.filter(pl.col("rule_uid") == rule["rule_uid"]).iter_rows(named=True)
    }
    assert found == expected
    assert rule["violation_count"] == len(expected) > 0


def test_a_rule_over_what_is_not_collected_is_refused_and_not_counted_as_zero(loaded: Loaded, tmp_path: Path) -> None:
    copy = tmp_path / "w.duckdb"
    shutil.copyfile(loaded.warehouse.path, copy)
    warehouse = Warehouse(copy)
    element = {e.concept_code: e.uid for e in definitions.data_sets(SERVER)["HIV_TESTING"].elements}["HIV_TESTED"]
    with warehouse.connect() as connection:
        connection.execute(
            "delete from core.metadata_object where kind_code = 'dataElements' and object_uid = $uid", {"uid": element}
        )
        results = evaluate_current(connection)
    rules = by_code(results)
    assert rules["HIV_POS_LE_TEST"]["status_code"] == "refused"
    assert rules["HIV_POS_LE_TEST"]["refused_part"] == f"data element {element} is not collected"
    assert rules["HIV_POS_LE_TEST"]["evaluated_count"] == 0
    assert results.violations.filter(pl.col("rule_uid") == rules["HIV_POS_LE_TEST"]["rule_uid"]).is_empty()


def test_rules_are_kept_with_history(loaded: Loaded) -> None:
    rule = by_code(loaded.results)["HIV_POS_LE_TEST"]
    kept = loaded.warehouse.read(
        "select detail, recorded_from, recorded_to from core.metadata_object where object_uid = $uid",
        {"uid": rule["rule_uid"]},
    )
    assert kept.height == 1
    assert '"missingValueStrategy": "NEVER_SKIP"' in kept["detail"][0]
    assert kept["recorded_to"][0] > AT.replace(tzinfo=None) + timedelta(days=365_000)


def test_results_fit_their_tables(loaded: Loaded) -> None:
    for name, frame in (
        ("core.validation_rule", loaded.results.rules),
        ("core.validation_result", loaded.results.violations),
    ):
        table = tables()[name]
        assert set(frame.columns) == set(table.batch_columns)
        assert frame.select(pl.struct(table.key).is_duplicated().any()).item() is False


def test_the_step_writes_both_tables_once_and_nothing_when_nothing_moved(loaded: Loaded, tmp_path: Path) -> None:
    copy = tmp_path / "w.duckdb"
    shutil.copyfile(loaded.warehouse.path, copy)
    warehouse, scales = Warehouse(copy), NoScales()
    for day, is_first in ((0, True), (7, False)):
        refresh = Refresh(AT + timedelta(days=day, seconds=1), AT + timedelta(days=day), True)
        before = copy.read_bytes()
        done = dg.materialize(build(scales), resources={"warehouse": warehouse, "refresh": refresh, "scales": scales})
        assert done.success
        assert (copy.read_bytes() != before) is is_first
    kept = warehouse.read("select status_code, violation_count from core.validation_rule_current")
    assert kept.height == 9
    violations = warehouse.read("select * from core.validation_result_current")
    assert violations.height == loaded.results.violations.height == kept["violation_count"].sum()
    with warehouse.connect(read_only=True) as connection:
        findings = review_current_rows(connection, AT)
    recent = findings.filter(pl.col("review_code") == "validation_rule")
    assert 0 < recent.height < violations.height
    assert set(recent["severity_code"]) <= {"warning", "info"}
