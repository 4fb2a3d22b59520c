"""`mhwg indicator`: the catalogue in the terminal, and SQL that runs as it is printed."""

import json
from typing import Any

import duckdb
import pytest

from pipelines.cli import app, call
from warehouse.catalogue.table_catalogue import tables
from warehouse.schema import create_statement, current_view_statement


def mhwg(*words: str) -> int:
    return call(lambda: app(list(words), standalone_mode=False))


@pytest.fixture(autouse=True)
def no_state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MHWG_STATE", str(tmp_path))


def test_list_tells_all_or_one_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert mhwg("indicator", "list", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 71
    assert mhwg("indicator", "list", "--group", "malaria", "-l", "vi") == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()] == ["ML01", "ML02"]
    assert "sốt rét" in shown.lower()
    assert mhwg("indicator", "list", "--group", "malari") == 64


def test_show_is_the_page_and_json_is_the_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert mhwg("indicator", "show", "tb02") == 0
    page = capsys.readouterr().out
    assert "World Population Prospects 2024" in page
    assert "World Development Indicators of 28 June 2024" in page, "the alternate denominator is named"
    assert mhwg("indicator", "show", "TB02", "--json") == 0
    assert json.loads(capsys.readouterr().out)["denominator"]["named"] == "population"
    assert mhwg("indicator", "show", "TB2") == 6
    assert "TB02" in capsys.readouterr().err


def test_the_printed_sql_has_its_breakdown_sets_and_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert mhwg("indicator", "show", "TB10", "--sql") == 0
    sql = capsys.readouterr().out
    assert sql.startswith("-- TB10 version")
    assert "grouping sets (" in sql
    assert max(len(line) for line in sql.splitlines()) > 80, "lines are not folded at the width of the terminal"
    with duckdb.connect(":memory:") as connection:
        connection.execute("create schema core")
        for name in ("core.area", "core.area_succession", "core.referral"):
            connection.execute(create_statement(tables()[name]))
            connection.execute(current_view_statement(tables()[name]))
        columns = [column[0] for column in connection.execute(sql).description]
    assert columns[:4] == ["area_code", "period_type_code", "period_start_on", "period_end_on"]
    assert "value" in columns
