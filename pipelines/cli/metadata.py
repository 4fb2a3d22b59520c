"""`mhwg sources diff`: what changed in the servers' metadata from pull to pull, as the warehouse keeps it.

Belongs here: drawing the differences. Does not belong here: finding them (`warehouse.metadata_diff`), asking a server.
"""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.settings import load_settings

if TYPE_CHECKING:
    from warehouse.metadata_diff import MetadataChange, MetadataDiff, PropertyChange

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def diff(code: str | None, since: datetime | None, kinds: tuple[str, ...], *, as_json: bool) -> int:
    """Every server of the settings, or the one named, with what changed since a day or in its newest reading with a change."""
    from warehouse.metadata_diff import metadata_diff
    from warehouse.store import Warehouse

    settings = load_settings()
    known = settings.dhis2_codes()
    if code is not None and code not in known:
        raise Refused(
            f"{settings.file.name} has no DHIS2 server {code!r}; it has {', '.join(known) or 'none'}.", Exit.NOT_FOUND
        )
    warehouse = Warehouse(settings.state_folder / "warehouse.duckdb")
    if not warehouse.exists:
        raise Refused("nothing has been refreshed yet; run `mhwg refresh`.", Exit.NOT_FOUND)
    start = since.replace(tzinfo=UTC) if since else None
    found = [metadata_diff(warehouse, name, start) for name in known if code in (None, name)]
    shown = [_of_kinds(diff, kinds) for diff in found if diff is not None]
    if not shown:
        raise Refused("no metadata has been loaded yet; run `mhwg refresh`.", Exit.NOT_FOUND)
    if as_json:
        told = [{**asdict(diff), "changes": [_told(change) for change in diff.changes]} for diff in shown]
        console().print_json(
            json.dumps({"is_practice": settings.practice, "servers": told}, ensure_ascii=False, default=_text)
        )
        return Exit.DONE
    if settings.practice:
        console().print("[yellow]Practice ground: synthetic servers.[/]")
    for diff in shown:
        _draw(diff)
    return Exit.DONE


def _of_kinds(diff: "MetadataDiff", kinds: tuple[str, ...]) -> "MetadataDiff":
    if not kinds:
        return diff
    unknown = sorted(set(kinds) - set(diff.counts) - {change.kind for change in diff.changes})
    if unknown:
        raise Refused(
            f"server {diff.server} has no metadata of kind {unknown[0]!r}; it has {', '.join(diff.counts)}.",
            Exit.NOT_FOUND,
        )
    return replace(diff, changes=tuple(change for change in diff.changes if change.kind in kinds))


def _told(change: "MetadataChange") -> dict[str, Any]:
    return {**asdict(change), "recorded_at": change.recorded_at.isoformat()}


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _draw(diff: "MetadataDiff") -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    held = ", ".join(f"{count:,} {kind}" for kind, count in diff.counts.items())
    out.print(
        Text(f"\n{diff.server}", style="bold"), Text(f"first read {diff.first_read_at:%Y-%m-%d}; held now: {held}")
    )
    if not diff.changes:
        out.print(f"Nothing changed since {diff.since:%Y-%m-%d}.", highlight=False)
        return
    for at in dict.fromkeys(change.recorded_at for change in diff.changes):
        changes = [change for change in diff.changes if change.recorded_at == at]
        out.print(f"{at:%Y-%m-%d}: {len(changes):,} changed", highlight=False)
        table = Table(box=None, pad_edge=False, show_header=False)
        for change in changes:
            mark, style = _MARKS[change.change]
            said = Text(f"{change.name}  ").append(change.uid, style="dim")
            for found in change.properties:
                said.append(f"\n{_property(found)}")
            table.add_row(Text(mark, style=style), Text(change.kind), said)
        out.print(table)


def _property(found: "PropertyChange") -> str:
    """One property as a line: before -> after; of a list, what went and what came."""
    if isinstance(found.before, list) and isinstance(found.after, list):
        parts = [f"+ {item}" for item in found.after] + [f"- {item}" for item in found.before]
        return f"{found.property}: {', '.join(parts)}"
    before, after = ("(none)" if value is None else _text(value) for value in (found.before, found.after))
    return f"{found.property}: {before} → {after}"
