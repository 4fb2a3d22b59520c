"""What changed in a server's metadata, from versions as the core keeps them: pencil worlds, and the command that shows them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.metadata import diff
from pipelines.failures import Exit, Refused
from warehouse.catalogue.table_catalogue import tables
from warehouse.metadata_diff import PropertyChange, metadata_diff
from warehouse.store import Warehouse

FIRST, SECOND, THIRD = "2026-07-05 22:00:00", "2026-07-12 22:00:00", "2026-07-19 22:00:00"
OPEN = "9999-12-31 00:00:00"
NAMES = ("core.metadata_object", "core.org_unit", "core.data_set_assignment")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Two readings of server vnm after the first: an option came and one went, a rule was loosened and an element left a data
    set, a unit moved, a duty to report ended and began again. Server khm never changed."""
    entries = {name: table for name, table in tables().items() if name in NAMES or table.schema_name == "ops"}
    made = Warehouse(tmp_path_factory.mktemp("state") / "warehouse.duckdb", entries)
    objects = [
        ("vnm", "options", "OptionNr001", "O1", "One", None, "Set00000001", None, FIRST, OPEN),
        ("vnm", "options", "OptionNr002", "O2", "Two", None, "Set00000001", None, FIRST, SECOND),
        ("vnm", "options", "OptionNr003", "O3", "Three", None, "Set00000001", None, SECOND, OPEN),
        (
            "vnm",
            "validationRules",
            "Rule0000001",
            None,
            "Tested covers positive",
            None,
            None,
            rule(">="),
            FIRST,
            SECOND,
        ),
        ("vnm", "validationRules", "Rule0000001", None, "Tested covers positive", None, None, rule("<="), SECOND, OPEN),
        ("vnm", "dataSets", "DataSet0001", "HIV", "HIV testing", None, None, data_set("A", "B"), FIRST, THIRD),
        ("vnm", "dataSets", "DataSet0001", "HIV", "HIV testing", None, None, data_set("A", "C"), THIRD, OPEN),
        ("khm", "options", "OptionNr009", "O9", "Nine", None, "Set00000009", None, FIRST, OPEN),
    ]
    units = [("Province002", FIRST, SECOND), ("Province003", SECOND, OPEN)]
    with made.connect() as connection:
        for code, kind, uid, own, name, value_type, parent, detail, start, end in objects:
            connection.execute(
                """insert into core.metadata_object by name select $1 as instance_code, $2 as kind_code, $3 as object_uid,
                $4 as object_code, $5 as name, $6 as value_type_code, $7 as parent_uid, $8 as detail, true as is_practice,
                'r' as receipt_id, $9::timestamp as recorded_from, $10::timestamp as recorded_to""",
                [code, kind, uid, own, name, value_type, parent, detail, start, end],
            )
        for parent, start, end in units:
            connection.execute(
                """insert into core.org_unit by name select 'vnm' as instance_code, 'Facility001' as org_unit_uid,
                'Clinic' as name, 3 as level, '/R/' || $1 || '/Facility001' as path, $1 as parent_uid, true as is_practice,
                'r' as receipt_id, $2::timestamp as recorded_from, $3::timestamp as recorded_to""",
                [parent, start, end],
            )
        for start, end in ((FIRST, SECOND), (THIRD, OPEN)):
            connection.execute(
                """insert into core.data_set_assignment by name select 'vnm' as instance_code, 'DataSet0001' as data_set_uid,
                'Facility001' as org_unit_uid, 'HIV' as data_set_code, 'Monthly' as period_type_code, 15 as timely_days,
                true as is_practice, 'r' as receipt_id, $1::timestamp as recorded_from, $2::timestamp as recorded_to""",
                [start, end],
            )
    return made


def rule(operator: str) -> str:
    return json.dumps({"operator": operator, "leftSide": {"expression": "#{a}"}, "rightSide": {"expression": "#{b}"}})


def data_set(*elements: str) -> str:
    return json.dumps({"dataSetElements": [{"dataElement": {"id": uid}} for uid in elements], "timelyDays": 15.0})


def test_every_change_since_a_day_is_told_with_what_changed(store: Warehouse) -> None:
    found = metadata_diff(store, "vnm", at(FIRST))
    assert found is not None
    assert found.first_read_at == at(FIRST)
    assert dict(found.counts) == {
        "dataSetAssignments": 1, "dataSets": 1, "options": 2, "organisationUnits": 1, "validationRules": 1,
    }  # fmt: skip
    told = [(change.recorded_at, change.kind, change.name, change.change) for change in found.changes]
    assert told == [
        (at(SECOND), "dataSetAssignments", "HIV by Clinic", "removed"),
        (at(SECOND), "options", "Three", "added"),
        (at(SECOND), "options", "Two", "removed"),
        (at(SECOND), "organisationUnits", "Clinic", "changed"),
        (at(SECOND), "validationRules", "Tested covers positive", "changed"),
        (at(THIRD), "dataSetAssignments", "HIV by Clinic", "added"),
        (at(THIRD), "dataSets", "HIV testing", "changed"),
    ]
    properties = {change.kind: change.properties for change in found.changes if change.change == "changed"}
    assert properties == {
        "organisationUnits": (PropertyChange("parent_uid", "Province002", "Province003"),),
        "validationRules": (PropertyChange("operator", ">=", "<="),),
        "dataSets": (PropertyChange("dataSetElements", ["B"], ["C"]),),
    }


def test_without_a_day_the_newest_reading_with_a_change_is_told(store: Warehouse) -> None:
    found = metadata_diff(store, "vnm")
    assert found is not None
    assert {change.recorded_at for change in found.changes} == {at(THIRD)}


def test_the_first_reading_is_no_change_and_an_unknown_server_has_none(store: Warehouse) -> None:
    found = metadata_diff(store, "khm")
    assert found is not None
    assert found.changes == ()
    assert metadata_diff(store, "lao") is None


def test_the_command_draws_the_differences_and_gives_them_as_json(
    store: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MHWG_STATE", str(store.path.parent))
    monkeypatch.setenv("MHWG_SETTINGS", str(Path(__file__).parents[2] / "practice" / "mhwg.toml"))
    monkeypatch.setenv("COLUMNS", "160")
    assert diff("vnm", datetime(2026, 7, 6), (), as_json=False) == Exit.DONE
    shown = capsys.readouterr().out
    assert "2026-07-12: 5 changed" in shown
    assert "operator: >= → <=" in shown
    assert "dataSetElements: + C, - B" in shown
    assert diff(None, None, ("options",), as_json=False) == Exit.DONE
    assert "Nothing changed since" in capsys.readouterr().out
    assert diff("vnm", datetime(2026, 7, 6), ("options",), as_json=True) == Exit.DONE
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["is_practice"] is True
    assert [(c["change"], c["name"]) for c in told["servers"][0]["changes"]] == [("added", "Three"), ("removed", "Two")]
    for code, kinds, said in (("lao", (), "it has vnm, khm"), ("vnm", ("optons",), "it has dataSetAssignments")):
        with pytest.raises(Refused, match=said) as refused:
            diff(code, None, kinds, as_json=False)
        assert refused.value.code == Exit.NOT_FOUND


def test_without_a_store_the_command_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MHWG_STATE", str(tmp_path))
    monkeypatch.setenv("MHWG_SETTINGS", str(Path(__file__).parents[2] / "practice" / "mhwg.toml"))
    with pytest.raises(Refused, match="mhwg refresh"):
        diff(None, None, (), as_json=False)
