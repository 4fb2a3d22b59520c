"""Table entries: what one row of every table is, its key, columns, codes and data classes.

Belongs here: the typed model of `tables/*.toml` and `codelists/*.csv` and their loading. Does not belong here: DDL
(`warehouse.schema`), indicators, rules about content (`expectations`).
"""

import csv
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

CATALOGUE = Path(__file__).parent
Entry = TypeVar("Entry", bound=BaseModel)

ColumnType = Literal["varchar", "integer", "bigint", "double", "boolean", "date", "timestamp", "varchar[]", "json"]
DataClass = Literal["public", "internal", "personal", "sensitive", "restricted"]
Group = Literal["dhis2", "labour", "survey", "reference", "programme", "victims", "indicator", "release", "operations"]
Store = Literal["warehouse", "victims"]
"""Files that hold tables: the warehouse, and the victims' store, in which all data on trafficking are kept apart."""
SHARED_SCHEMAS = ("ops", "quarantine")
"""Schemas of the books: each store keeps its own."""

OPEN_END = "9999-12-31 00:00:00"
"""`recorded_to` of a row that is still current. A sentinel, so that as-of reads need one comparison and no NULL logic."""


class CatalogueError(Exception):
    """A catalogue file is wrong; the message names the file, the key, what was found and what to do."""

    def __init__(self, message: str, *, file: str, key: str = "") -> None:
        super().__init__(message)
        self.file = file
        self.key = key


class Column(BaseModel):
    """One column of a table: name, DuckDB type, meaning, data class, unit, code list and reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    type: ColumnType
    nullable: bool = True
    description: str = Field(min_length=8)
    data_class: DataClass = "internal"
    codelist: str | None = None
    references: str | None = None
    unit: str | None = None
    is_provenance: bool = False
    """True: where the row came from, not what it says; history does not compare it."""


class Table(BaseModel):
    """One table: what a row is, its key, owner, who may see it, and its columns in order."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, ignored_types=(cached_property,))

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")
    row: str = Field(min_length=8)
    description: str = Field(min_length=20)
    group: Group
    owner: str
    key: tuple[str, ...] = Field(min_length=1)
    history: bool = False
    access: Literal["pipeline", "restricted", "public"] = "restricted"
    store: Store = "warehouse"
    own_columns: tuple[Column, ...] = Field(alias="column", min_length=1)

    @model_validator(mode="after")
    def _key_columns_exist(self) -> "Table":
        names = [column.name for column in self.columns]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(
                f"columns listed twice: {sorted(repeated)} (receipt_id, pointer, recorded_* are added by the loader)"
            )
        for key in self.key:
            if key not in names:
                raise ValueError(f"key column {key!r} is not a column; nearest: {get_close_matches(key, names, 1)}")
        return self

    @property
    def schema_name(self) -> str:
        """Schema part of the name."""
        return self.name.split(".")[0]

    @property
    def table_name(self) -> str:
        """Table part of the name."""
        return self.name.split(".")[1]

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns in order: the entry's own, then those that its layer adds."""
        return self.own_columns + _added_columns(self.schema_name, self.history)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns in order."""
        return tuple(column.name for column in self.columns)

    @property
    def batch_columns(self) -> tuple[str, ...]:
        """Columns that a batch brings: all but the system times."""
        return tuple(name for name in self.column_names if name not in ("recorded_from", "recorded_to"))

    @property
    def compared_columns(self) -> tuple[str, ...]:
        """Value columns whose change makes a new version of the row: neither key nor provenance nor system time."""
        return tuple(
            column.name
            for column in self.columns
            if column.name not in self.key
            and not column.is_provenance
            and column.name not in ("recorded_from", "recorded_to")
        )

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def _added_columns(schema: str, history: bool) -> tuple[Column, ...]:
    added: list[Column] = []
    receipt = "Receipt of the pull or file the row came from (ops.receipt)."
    if schema == "staging":
        added.append(Column(name="receipt_id", type="varchar", nullable=False, description=receipt, is_provenance=True))
        added.append(
            Column(
                name="pointer",
                type="varchar",
                description="Where the record stands in the landed payload: file, sheet and cell, row, or page and UID.",
                is_provenance=True,
            )
        )
    elif schema == "core":
        added.append(Column(name="receipt_id", type="varchar", description=receipt, is_provenance=True))
    if history:
        added.append(
            Column(
                name="recorded_from",
                type="timestamp",
                nullable=False,
                description="Instant (UTC) of the refresh from which the warehouse held this version.",
                is_provenance=True,
            )
        )
        added.append(
            Column(
                name="recorded_to",
                type="timestamp",
                nullable=False,
                description=f"Instant (UTC) of the refresh that replaced this version; {OPEN_END} while it is current.",
                is_provenance=True,
            )
        )
    return tuple(added)


@dataclass(frozen=True)
class Code:
    """One code of a code list, with its names."""

    code: str
    name_en: str
    name_vi: str
    description: str = ""


def read_toml(path: Path) -> dict[str, Any]:
    """The parsed TOML file; CatalogueError naming file and line when it does not parse."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as fault:
        raise CatalogueError(f"{path.name}: not valid TOML: {fault}. Mend the line named.", file=path.name) from fault


def read_entry(path: Path, model: type[Entry]) -> Entry:
    """One catalogue file as a frozen typed object; every fault of the file in one CatalogueError."""
    raw = read_toml(path)
    try:
        return model.model_validate(raw)
    except ValidationError as fault:
        lines = []
        for error in fault.errors():
            key = ".".join(str(part) for part in error["loc"])
            hint = ""
            if error["type"] == "extra_forbidden":
                near = get_close_matches(str(error["loc"][-1]), list(model.model_fields), 1)
                hint = f"; nearest known key: {near[0]}" if near else "; remove it or correct its name"
            lines.append(f"{key}: {error['msg']}{hint}")
        raise CatalogueError(f"{path.name}: " + " | ".join(lines), file=path.name) from fault


def load_tables(folder: Path | None = None) -> dict[str, Table]:
    """Every table entry by name, in name order. Raises CatalogueError for a wrong file or a file name that differs from the table."""
    tables: dict[str, Table] = {}
    for path in sorted((folder or CATALOGUE / "tables").glob("*.toml")):
        table = read_entry(path, Table)
        if path.stem != table.name:
            raise CatalogueError(
                f"{path.name}: holds table {table.name!r}; name the file {table.name}.toml.", file=path.name, key="name"
            )
        tables[table.name] = table
    return tables


@cache
def tables() -> dict[str, Table]:
    """The table entries shipped with the code."""
    return load_tables()


def tables_of(store: Store) -> dict[str, Table]:
    """The entries of the tables that stand in one store, its own books among them."""
    return {
        name: table for name, table in tables().items() if table.store == store or table.schema_name in SHARED_SCHEMAS
    }


def load_codelist(name: str, folder: Path | None = None) -> tuple[Code, ...]:
    """The codes of one list in file order (columns code, name_en, name_vi, description). Raises CatalogueError when missing or repeated."""
    path = (folder or CATALOGUE / "codelists") / f"{name}.csv"
    if not path.exists():
        known = sorted(p.stem for p in path.parent.glob("*.csv"))
        near = get_close_matches(name, known, 1)
        raise CatalogueError(
            f"code list {name!r} has no file {path.name}; nearest: {near or known[:5]}.", file=path.name
        )
    with path.open(encoding="utf-8", newline="") as stream:
        codes = tuple(
            Code(row["code"], row["name_en"], row["name_vi"], row.get("description") or "")
            for row in csv.DictReader(stream)
        )
    seen = [code.code for code in codes]
    if len(seen) != len(set(seen)):
        repeated = sorted({code for code in seen if seen.count(code) > 1})
        raise CatalogueError(f"{path.name}: codes listed twice: {repeated}.", file=path.name)
    return codes
