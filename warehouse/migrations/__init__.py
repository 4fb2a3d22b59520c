"""Ordered changes that an older warehouse needs and that no rule can guess: one SQL file per step, run once, in order.

Belongs here: the schema version of a store, the steps, running them. Does not belong here: columns and tables that are only
new (the store adds them by itself), backups (`warehouse.backup`).

    NNNN_what_it_does.sql      NNNN is the schema version that the step brings the store to
    victims/NNNN_...sql        the same for the victims' store, which counts its own versions (none yet)
    victims_apart.py           what step 0002 needs done before it, in another file
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
FIRST_VERSION = 1
"""Version of a store that was built before versions were counted."""


@dataclass(frozen=True)
class Step:
    """One migration: the version it brings the store to, its name and its SQL."""

    version: int
    name: str
    sql: str


@cache
def steps(folder: Path = FOLDER) -> tuple[Step, ...]:
    """The steps in order. Raises ValueError when a number is missing or stands twice."""
    found = tuple(
        Step(int(path.name[:4]), path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    )
    wanted = list(range(FIRST_VERSION + 1, FIRST_VERSION + 1 + len(found)))
    if [step.version for step in found] != wanted:
        raise ValueError(f"migrations must be numbered {wanted}, found {[step.version for step in found]}")
    return found


SCHEMA_VERSION = FIRST_VERSION + len(steps())
"""Version of a store that this program builds."""


def stored_version(connection: Any) -> int | None:
    """The schema version of a store; None for an empty file."""
    rows = connection.execute(
        "select column_name from duckdb_columns() where schema_name = 'ops' and table_name = 'store_version'"
    ).fetchall()
    if not rows:
        return None
    if ("schema_version",) not in rows:
        return FIRST_VERSION
    ((version,),) = connection.execute("select coalesce(max(schema_version), 1) from ops.store_version").fetchall()
    return int(version)


def pending(version: int, known: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps that a store of this version still needs."""
    return tuple(step for step in known if step.version > version)


def run(connection: Any, needed: tuple[Step, ...]) -> None:
    """Every statement of the steps was run, in the caller's transaction."""
    for step in needed:
        connection.execute(step.sql)
