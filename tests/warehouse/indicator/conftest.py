"""A small store in memory: the tables that indicators read, made from their catalogue entries, and rows worth a pencil."""

import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from methods.periods import parse_period
from warehouse.catalogue.indicator_catalogue import IndicatorCatalogue, indicator_catalogue
from warehouse.catalogue.table_catalogue import CATALOGUE, Table, read_entry
from warehouse.indicator_engine import compute
from warehouse.schema import create_statement, current_view_statement

NAMES = (
    "core.area", "core.area_succession", "core.area_membership", "core.reference_value", "core.labour_figure",
    "core.labour_document", "core.referral", "core.data_value", "core.org_unit", "core.data_set_assignment",
    "core.org_unit_earlier_place", "core.data_set_registration", "estimate.survey_estimate", "core.labour_contract", "core.programme_count",
    "restricted.victim_count", "core.correction_row",
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
        made: list[list[Any]] = []
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
            made.append(values)
        if made:
            marks = ", ".join(f"({', '.join('?' for _ in values)})" for values in made)
            self.connection.execute(
                f"insert into {name} values {marks}", [value for values in made for value in values]
            )

    def renew(self) -> None:
        """Everything that the test put in is gone; areas and memberships stand again."""
        self.connection.execute("rollback")
        self.connection.execute("begin")
        _furnish(self)

    def observe(self, code: str, *, catalogue: IndicatorCatalogue | None = None, as_at: datetime = AS_AT) -> "Cells":
        """The cells of one indicator."""
        known = catalogue or indicator_catalogue()
        return Cells(compute(self.connection, [known.indicators[code]], as_at, catalogue=known).to_dicts())


class Cells(list[dict[str, Any]]):
    """Observations that can be picked by their codes; whatever is not named is at its total."""

    def matching(self, area: str, period: str, **codes: str) -> list[dict[str, Any]]:
        """The cells of an area and period with these codes."""
        wanted = {
            f"{name}_code": "_T" for name in ("sex", "age", "migrant_status", "origin", "destination", "category")
        }
        wanted |= {f"{name}_code": code for name, code in codes.items()}
        return [
            cell
            for cell in self
            if cell["area_code"] == area
            and cell["period_code"] == period
            and all(cell[name] == code for name, code in wanted.items())
        ]

    def where(self, area: str, period: str, **codes: str) -> dict[str, Any]:
        """The one cell of an area and period. Fails when there is none or more than one."""
        found = self.matching(area, period, **codes)
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


def _furnish(made: World) -> None:
    """Viet Nam, Cambodia, three small other members, two merged provinces and both memberships."""
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
    until = {"membership_version": "ASEAN4", "valid_from_on": date(1999, 4, 30), "valid_to_on": date(2025, 10, 25)}
    since = {"membership_version": "ASEAN5", "valid_from_on": date(2025, 10, 26)}
    for code in ("VNM", "KHM", "LAO", "BRN"):
        made.put("core.area_membership", {"group_code": "ASEAN", "area_code": code, **until})
    for code in ("VNM", "KHM", "LAO", "BRN", "TLS"):
        made.put("core.area_membership", {"group_code": "ASEAN", "area_code": code, **since})


@pytest.fixture
def world(empty_world: World) -> Iterator[World]:
    """A world with five members, two merged provinces and both memberships; what a test puts in is gone afterwards."""
    empty_world.connection.execute("begin")
    try:
        _furnish(empty_world)
        yield empty_world
    finally:
        empty_world.connection.execute("rollback")


@pytest.fixture
def catalogue_folder() -> Path:
    """Where the shipped indicator entries are."""
    return CATALOGUE / "indicators"


# --- Worlds in files: rows, and the cells that a pencil makes of them -------------------------------------------------

WORLDS = Path(__file__).parent / "worlds"
_TWIN_KEYS = ("referral_code", "contract_token")
_NUMBERS = ("quantity", "value", "value_number")


@dataclass(frozen=True)
class Pencil:
    """One indicator's world: rows by table, the cells that must come of them, and the cells that must not exist."""

    code: str
    file: str
    text: str
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    cells: Sequence[Mapping[str, Any]]
    none: Sequence[Mapping[str, Any]]
    design: Mapping[str, Any]


def read_pencils(folder: Path = WORLDS) -> dict[str, Pencil]:
    """The registry: indicator code -> its world. A code in two files, or a world without a cell, is refused."""
    found: dict[str, Pencil] = {}
    for path in sorted(folder.glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        base, design = content.pop("base", {}), content.pop("design", {})
        common = content.pop("common", {}).get("rows", {})
        for code, entry in content.items():
            assert code not in found, f"{code} has a world in {found[code].file} and in {path.name}"
            unknown = set(entry) - {"pencil", "rows", "cells", "none"}
            assert not unknown, f"{path.name}: {code} has unknown keys {unknown}"
            rows = {
                table: [
                    {**base.get(table, {}), **row} for row in [*common.get(table, []), *entry["rows"].get(table, [])]
                ]
                for table in {**common, **entry["rows"]}
            }
            found[code] = Pencil(
                code, path.name, entry["pencil"], rows, entry["cells"], entry.get("none", []), design
            )  # fmt: skip
    return found


def _placed(name: str, row: Mapping[str, Any], number: int, columns: Collection[str]) -> dict[str, Any]:
    """A row of a file as a row of its table: short names of dimensions, the days of its period, a key of its own."""
    made = {key: None if value == "" else value for key, value in row.items()}
    for short in ("sex", "destination"):
        if short in made:
            made[f"{short}_code"] = made.pop(short)
    if "window" in made:
        made["window_code"] = made.pop("window")
    if "period" in made:
        text = str(made.pop("period"))
        period = parse_period(text)
        made |= {"period_start_on": period.start_on, "period_end_on": period.end_on}
        if "period_code" in columns:
            made["period_code"] = text
        if "period_type_code" in columns:
            made["period_type_code"] = period.type_code
        if name == "core.labour_figure":
            window = made.setdefault("window_code", "year" if len(text) == 4 else "month")
            if window == "cumulative":
                made["period_start_on"] = made["period_start_on"].replace(month=1)
            if window == "point":
                made["period_start_on"] = made["period_end_on"]
    if "record_code" in columns:
        made.setdefault("record_code", f"r{number}")
    if name == "core.data_value":
        made.setdefault("data_element_uid", made["concept_code"])
        made.setdefault("category_option_combo_uid", made.get("category_code", "_T"))
    return made


def _closed(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same row as it stood before it was corrected: other numbers, closed in January 2026."""
    twin = {**row, "recorded_from": datetime(2025, 1, 1), "recorded_to": datetime(2026, 1, 1)}
    twin |= {key: twin[key] * 3 + 1 for key in _NUMBERS if isinstance(twin.get(key), int | float)}
    twin |= {key: f"{twin[key]}-before" for key in _TWIN_KEYS if key in twin}
    if "n_unweighted" in twin:
        twin["n_unweighted"] += 100_000
    if "published_on" in twin:
        twin["published_on"] += timedelta(days=2000)
    return twin


def set_up(world: World, pencil: Pencil, estimates: Sequence[Mapping[str, Any]] = ()) -> None:
    """The rows of a world stand in the store, each with a closed version of itself that must not count."""
    for short, rows in {
        **pencil.rows,
        "survey_estimate": [*pencil.rows.get("survey_estimate", []), *estimates],
    }.items():
        if short == "survey_person":
            continue
        (name,) = [name for name in NAMES if name.split(".")[1] == short]
        columns = world.tables[name].column_names
        placed = [_placed(name, row, number, columns) for number, row in enumerate(rows)]
        standing = [{k: v for k, v in row.items() if k != "closed"} for row in placed if not row.get("closed")]
        gone = [{k: v for k, v in row.items() if k != "closed"} for row in placed if row.get("closed")]
        twins = [_closed(row) for row in standing]
        if name == "core.labour_contract":
            # A contract that was withdrawn: had it counted, there would be one worker more in everything.
            twins += [_closed({**row, "contract_token": f"{row['contract_token']}-again"}) for row in standing]
        world.put(name, *standing, *[{**row, "recorded_to": datetime(2026, 1, 1)} for row in gone], *twins)


def misses(cells: Cells, pencil: Pencil) -> list[str]:
    """What the cells have otherwise than the pencil; nothing when they agree."""
    found: list[str] = []
    places = ("area", "period", "sex", "age", "origin", "destination", "category")
    for wanted in pencil.cells:
        place = {name: wanted[name] for name in places if name in wanted}
        name = f"{pencil.code} " + " ".join(place.values())
        matching = cells.matching(**place)
        if len(matching) != 1:
            found.append(f"{name}: {len(matching)} cells")
            continue
        (cell,) = matching
        for key, value in wanted.items():
            if key in places:
                continue
            got: Any
            match key:
                case "interval":
                    got, value = cell["interval_code"] or "", value
                case "status":
                    got, value = value in cell["obs_flags"], True
                case "note":
                    got, value = value in cell["footnote_codes"], True
                case "coverage":
                    got = cell["coverage_share"]
                case _:
                    got = cell[key]
            value = None if value == "none" else value
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            same = got is not None and abs(got - value) <= 5e-6 * max(1, abs(value)) if is_number else got == value
            if not same:
                found.append(f"{name}: {key} is {got}, by pencil {value}")
    found += [f"{pencil.code} {place}: must not exist" for place in pencil.none if cells.matching(**place)]
    return found


@pytest.fixture(scope="session")
def pencils() -> dict[str, Pencil]:
    """The registry of worlds, by indicator code."""
    return read_pencils()


@pytest.fixture
def pencil_tools() -> tuple[Callable[..., None], Callable[..., list[str]]]:
    """`set_up` and `misses`; a test module cannot import them from here."""
    return set_up, misses
