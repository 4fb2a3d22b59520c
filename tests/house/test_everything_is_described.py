"""Every table, column, code list, indicator, regional table and command is described; the definitions stay a small graph."""

import csv
from pathlib import Path

from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.catalogue.regional_catalogue import regional_catalogue
from warehouse.catalogue.table_catalogue import load_codelist, tables

PROJECT = Path(__file__).resolve().parents[2]
CATALOGUE = PROJECT / "warehouse" / "catalogue"


def test_every_table_and_column_has_more_than_its_own_name_as_description():
    assert len(tables()) >= 20
    poor = [
        f"{table.name}.{column.name}"
        for table in tables().values()
        for column in table.columns
        if column.description.strip(". ").lower() == column.name.replace("_", " ")
    ]
    assert poor == []


def test_every_code_list_named_by_a_column_exists_with_names_in_both_languages():
    named = {column.codelist for table in tables().values() for column in table.columns if column.codelist}
    assert named
    for name in sorted(named):
        for code in load_codelist(name):
            assert all((code.name_en, code.name_vi)), f"{name}: {code.code}"


def test_every_code_list_file_has_the_four_columns():
    for path in sorted((CATALOGUE / "codelists").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            assert (csv.DictReader(stream).fieldnames or [])[:3] == ["code", "name_en", "name_vi"], path.name


def test_every_reference_points_at_a_column_that_exists():
    for table in tables().values():
        for column in table.columns:
            if column.references:
                target, _, name = column.references.rpartition(".")
                assert name in tables()[target].column_names, f"{table.name}.{column.name} -> {column.references}"


def test_columns_of_one_name_have_one_type():
    types: dict[str, set[str]] = {}
    for table in tables().values():
        for column in table.columns:
            types.setdefault(column.name, set()).add(column.type)
    assert {name: found for name, found in types.items() if len(found) > 1} == {}


def test_personal_classes_never_reach_the_release():
    wrong = [
        f"{table.name}.{column.name}"
        for table in tables().values()
        if table.schema_name == "release"
        for column in table.columns
        if column.data_class in ("personal", "sensitive", "restricted")
    ]
    assert wrong == []


def test_every_indicator_is_described_in_both_languages():
    entries = indicator_catalogue().indicators
    assert {
        "LM01",
        "LM02",
        "LM03",
        "LM04",
        "TB01",
        "TB02",
        "TB10",
        "TB11",
        "TB12",
        "ML02",
        "UH04",
        "UH06",
        "MG09",
        "DQ01",
    } <= set(entries)
    for code, entry in entries.items():
        for text in (entry.name, entry.definition, entry.numerator_text):
            assert text.en.strip(), code
            assert text.vi.strip(), code
            assert text.en != text.vi, code


def test_every_regional_table_names_indicators_that_exist():
    known = set(indicator_catalogue().indicators)
    tables_shown = regional_catalogue().tables
    assert len(tables_shown) >= 4
    for table in tables_shown:
        named = {column.indicator for column in table.column} | {entry.indicator for entry in table.rows.entry}
        assert named - {None} <= known, f"{table.code}: {sorted(named - {None} - known)}"


def test_every_command_has_help():
    from typer.main import get_command

    from pipelines.cli import app

    def walk(command, path):
        for name, child in getattr(command, "commands", {}).items():
            yield (*path, name), child
            yield from walk(child, (*path, name))

    found = dict(walk(get_command(app), ()))
    assert {("refresh",), ("status",), ("table",), ("dev",), ("practice", "advance")} <= set(found)
    assert [path for path, command in found.items() if not (command.help or "").strip()] == []
