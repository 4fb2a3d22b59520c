"""The queries of docs/analysts.md run on a release as they are printed, and say what the page says."""

import json
import re
from pathlib import Path

import duckdb
import pytest

import warehouse

PAGE = Path(warehouse.__file__).parents[1] / "docs" / "analysts.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
MAY_BE_EMPTY = ("from change", "from province_series", "from agency_role")


@pytest.fixture(scope="module")
def database(released):
    with duckdb.connect(str(released.folder / "mhwg.duckdb"), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        yield con


def test_there_are_queries():
    assert len(QUERIES) >= 10


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: " ".join(query.split())[:50])
def test_each_query_runs(database, query):
    rows = database.sql(query).fetchall()
    assert rows or any(part in query for part in MAY_BE_EMPTY)


def test_the_women_of_2023_come_out(database):
    query = next(query for query in QUERIES if "women_percent" in query)
    rows = {row[0]: row for row in database.sql(query).fetchall()}
    assert rows["_T"][1:3] == (55804.0, 159986.0)
    assert rows["_T"][3] == pytest.approx(34.88, abs=0.005)


def test_the_notebook_runs_from_top_to_bottom(released, tmp_path, monkeypatch):
    """Each code cell as it stands, in a folder that holds `release/`; no output is kept in the file."""
    notebook = json.loads(PAGE.with_name("analysts.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 6
    assert [cell["outputs"] for cell in cells] == [[]] * len(cells)
    (tmp_path / "release").symlink_to(released.folder.parent)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert round(names["women_percent"], 1) == 34.9
    assert names["reasons"]["with_number"].sum() == 0
    assert names["protection"]["least_room"][0] >= 0
    assert names["then"].equals(names["table"]), "one release: then is now"


def test_every_table_of_the_page_exists(database):
    inside = PAGE.read_text(encoding="utf-8").split("## What is inside")[1].split("Every table, column")[0]
    named = [
        name
        for line in inside.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z0-9_]+)`", line.split("|")[1])
    ]
    existing = {row[0] for row in database.sql("select table_name from information_schema.tables").fetchall()}
    assert set(named) <= existing
    wide = {name for name in existing if re.fullmatch(r"rt\d\d_(en|vi)", name)}
    assert existing - wide == set(named) - wide
