"""What a computed table was computed from, as one digest: equal digests mean that computing again would change nothing.

Belongs here: the digest of tables, code and instant, and where it is kept (`ops.watermark`). Does not belong here: the
decision what depends on what (`assets`).
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from warehouse.store import Warehouse

PART = "inputs"
ROOMS = ("assets", "methods", "warehouse", "expectations")
MEANING = (".py", ".sql", ".toml", ".csv", ".jinja", ".html", ".css", ".js")


@cache
def code_digest() -> str:
    """Digest of every file of the rooms that decide what a figure is or how it is shown: a changed definition computes anew."""
    digest = hashlib.sha256()
    project = Path(__file__).resolve().parents[1]
    for room in ROOMS:
        for path in sorted(p for p in (project / room).rglob("*") if p.suffix in MEANING):
            digest.update(path.relative_to(project).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def inputs_digest(warehouse: Warehouse, tables: Iterable[str], *also: str) -> str:
    """Digest of when each of `tables` last changed, of the code, and of whatever else the result depends on."""
    names = sorted(tables)
    changed = (
        warehouse.read(
            """select table_name, strftime(max(refresh_at), '%Y-%m-%dT%H:%M:%S') as changed_at from ops.load
            where list_contains($names, table_name) and coalesce(inserted, 0) + coalesce(changed, 0) + coalesce(closed, 0) > 0
            group by table_name order by table_name""",
            {"names": names},
        ).rows()
        if warehouse.exists
        else []
    )
    return hashlib.sha256("\n".join([*map(str, changed), *names, code_digest(), *also]).encode()).hexdigest()


def computed_from(warehouse: Warehouse, source_code: str) -> str | None:
    """The digest that the last result of `source_code` was computed from; None when there is none."""
    if not warehouse.exists:
        return None
    marks = warehouse.read(
        "select watermark from ops.watermark where source_code = $source and part_code = $part",
        {"source": source_code, "part": PART},
    )["watermark"]
    return marks[0] if len(marks) else None
