"""The corrections ledger: what we change in what a provider sent, until the provider changes it.

Belongs here: the typed model of the ledger's TOML files and their loading. Does not belong here: applying entries
(`warehouse.corrections`).
"""

import hashlib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from warehouse.catalogue.regional_catalogue import Entry
from warehouse.catalogue.table_catalogue import CATALOGUE, CatalogueError, read_entry, tables

Value = float | int | str | bool | date

CORRECTABLE: tuple[str, ...] = (
    "core.data_value",
    "core.referral_record",
    "core.labour_figure",
    "core.labour_contract",
    "core.programme_count",
    "core.reference_value",
    "core.survey_person",
)
"""Tables whose rows may be corrected: what a provider sent, one row per fact. What is computed is never corrected."""


class Correction(Entry):
    """One entry: which rows, the wrong value that must be there, what is done about it, why, and who answers for it."""

    code: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    table: str
    scope: dict[str, str | int] = Field(min_length=1)
    column: str
    expected: Value
    action: Literal["set", "drop", "scale", "flag"]
    value: Value | None = None
    factor: float | None = None
    reason: str = Field(min_length=10)
    provider: str
    entered_by: str
    entered_on: date
    status: Literal["active", "lifted"] = "active"
    expires_on: date | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "Correction":
        if self.table not in CORRECTABLE:
            raise ValueError(f"table {self.table!r} cannot be corrected; these can: {', '.join(CORRECTABLE)}")
        entry = tables()[self.table]
        for name in (self.column, *self.scope):
            if name not in entry.column_names:
                raise ValueError(f"{self.table} has no column {name!r}")
        unknown = sorted(set(self.scope) - set(entry.key))
        if unknown:
            raise ValueError(f"scope names {unknown}, which are not in the key of {self.table}: {', '.join(entry.key)}")
        if self.column in entry.key:
            raise ValueError(f"{self.column} is in the key of {self.table}: a row's identity is dropped, not changed")
        if (self.action == "set") != (self.value is not None):
            raise ValueError("action 'set' needs `value`, the others have none")
        if (self.action == "scale") != (self.factor is not None):
            raise ValueError("action 'scale' needs `factor`, the others have none")
        return self

    def acts_on(self, day: date) -> bool:
        """True while the entry is active and has not expired."""
        return (
            self.status == "active" and self.entered_on <= day and (self.expires_on is None or day <= self.expires_on)
        )


class _Ledger(Entry):
    correction: tuple[Correction, ...] = ()


def load_corrections(folders: Iterable[Path] = ()) -> tuple[Correction, ...]:
    """Every entry of the shipped ledger and of the folders, in code order.

    Raises CatalogueError for a file that is wrong, a folder that is missing, or a code used twice.
    """
    found: dict[str, Correction] = {}
    for folder in (CATALOGUE / "corrections", *folders):
        if not folder.is_dir():
            raise CatalogueError(
                f"the corrections folder {folder.name} does not exist; create it or mend `corrections` in the settings.",
                file=folder.name,
            )
        for path in sorted(folder.glob("*.toml")):
            for entry in read_entry(path, _Ledger).correction:
                if entry.code in found:
                    raise CatalogueError(
                        f"{path.name}: correction {entry.code} is in the ledger twice; give it another code.",
                        file=path.name,
                        key="code",
                    )
                found[entry.code] = entry
    return tuple(found[code] for code in sorted(found))


def ledger_digest(entries: Iterable[Correction]) -> str:
    """Digest of what the ledger says."""
    return hashlib.sha256("\n".join(entry.model_dump_json() for entry in entries).encode()).hexdigest()
