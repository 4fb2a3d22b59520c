"""A small store in memory: the tables that indicators read, made from their catalogue entries, and rows worth a pencil."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from warehouse.catalogue.indicator_catalogue import IndicatorCatalogue, indicator_catalogue
from warehouse.catalogue.table_catalogue import CATALOGUE, Table, read_entry
from warehouse.indicator_engine import compute
from warehouse.schema import create_statement, current_view_statement

NAMES = (
    "core.area", "core.area_succession", "core.area_membership", "core.reference_value", "core.labour_figure",
    "core.labour_document", "core.referral", "core.data_value", "core.org_unit", "core.data_set_assignment",
    "core.data_set_registration", "estimate.survey_estimate", "core.labour_contract", "core.programme_count",
    "restricted.victim_count",
)  # fmt: skip
AS_AT = datetime(2026, 7, 6, tzinfo=UTC)

_BLANKS: Mapping[str, Any] = {
    "varchar": "_T", "integer": 0, "bigint": 0, "double": 0.0, "boolean": False, "date": date(2000, 1, 1),
    "timestamp": datetime(2000, 1, 1),
}  # fmt: skip


class World:
    """A store in memory with `put` (rows with defaults) and `observe` (one indicator as a list of cells)."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.tables: dict[str, Table] = {}
        for schema in ("core", "estimate", "restricted"):
            connection.execute(f"create schema {schema}")
        for name in NAMES:
            self._make(name)

    def _make(self, name: str) -> None:
        table = self.tables[name] = read_entry(CATALOGUE / "tables" / f"{name}.toml", Table)
        self.connection.execute(create_statement(table))
        self.connection.execute(current_view_statement(table))

    def put(self, name: str, *rows: Mapping[str, Any]) -> None:
        """Current rows stand in the table; columns not given are NULL, or blank where NULL is not allowed."""
        table = self.tables[name]
        for row in rows:
            unknown = set(row) - set(table.column_names)
            assert not unknown, f"{name} has no columns {unknown}"
            values = []
            for column in table.columns:
                if column.name in row:
                    values.append(row[column.name])
                elif column.name == "recorded_to":
                    values.append(datetime(9999, 12, 31))
                elif column.nullable and column.name not in table.key:
                    values.append(None)
                else:
                    values.append(_BLANKS[column.type])
            marks = ", ".join("?" for _ in values)
            self.connection.execute(f"insert into {name} values ({marks})", values)

    def observe(self, code: str, *, catalogue: IndicatorCatalogue | None = None, as_at: datetime = AS_AT) -> "Cells":
        """The cells of one indicator."""
        known = catalogue or indicator_catalogue()
        return Cells(compute(self.connection, [known.indicators[code]], as_at, catalogue=known).to_dicts())


class Cells(list[dict[str, Any]]):
    """Observations that can be picked by their codes; whatever is not named is at its total."""

    def where(self, area: str, period: str, **codes: str) -> dict[str, Any]:
        """The one cell of an area and period. Fails when there is none or more than one."""
        wanted = {
            f"{name}_code": "_T" for name in ("sex", "age", "migrant_status", "origin", "destination", "category")
        }
        wanted |= {f"{name}_code": code for name, code in codes.items()}
        found = [
            cell
            for cell in self
            if cell["area_code"] == area
            and cell["period_code"] == period
            and all(cell[name] == code for name, code in wanted.items())
        ]
        assert len(found) == 1, f"{len(found)} cells for {area} {period} {codes}"
        return found[0]

    def has(self, area: str, period: str, **codes: str) -> bool:
        """True when such a cell exists."""
        try:
            self.where(area, period, **codes)
        except AssertionError:
            return False
        return True


def area(code: str, kind: str = "country", parent: str | None = None, frame: str = "iso3") -> dict[str, Any]:
    """An area row."""
    return {"area_code": code, "area_type_code": kind, "parent_code": parent, "frame_code": frame}


@pytest.fixture(scope="session")
def empty_world() -> Iterator[World]:
    """The tables, empty, once for all tests: making them anew took a second each."""
    with duckdb.connect(":memory:") as connection:
        yield World(connection)


@pytest.fixture
def world(empty_world: World) -> Iterator[World]:
    """A world with Viet Nam, Cambodia, three small other members, two merged provinces and both memberships."""
    made = empty_world
    made.connection.execute("begin")
    try:
        made.put("core.area", *[area(code) for code in ("VNM", "KHM", "LAO", "BRN", "TLS")])
        made.put(
            "core.area",
            area("VN34-91", "province", "VNM", "vn34"),
            area("VN63-89", "province", "VNM", "vn63"),
            area("VN63-91", "province", "VNM", "vn63"),
            area("KH-20", "province", "KHM", "kh"),
        )
        made.put(
            "core.area_succession",
            {"old_area_code": "VN63-89", "new_area_code": "VN34-91", "kind_code": "merged"},
            {"old_area_code": "VN63-91", "new_area_code": "VN34-91", "kind_code": "merged"},
        )
        for code in ("VNM", "KHM", "LAO", "BRN"):
            made.put(
                "core.area_membership",
                {"group_code": "ASEAN", "membership_version": "ASEAN4", "area_code": code,
                 "valid_from_on": date(1999, 4, 30), "valid_to_on": date(2025, 10, 25)},
            )  # fmt: skip
        for code in ("VNM", "KHM", "LAO", "BRN", "TLS"):
            made.put(
                "core.area_membership",
                {"group_code": "ASEAN", "membership_version": "ASEAN5", "area_code": code,
                 "valid_from_on": date(2025, 10, 26)},
            )  # fmt: skip
        yield made
    finally:
        made.connection.execute("rollback")


@pytest.fixture
def catalogue_folder() -> Path:
    """Where the shipped indicator entries are."""
    return CATALOGUE / "indicators"
