"""`mhwg status`: one screen of what the warehouse holds and how old it is."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.settings import Schedule, Settings, load_settings


def run(*, as_json: bool) -> int:
    """Sources with their age, failing checks, what is held back, the release, the next tick."""
    settings = load_settings()
    if not (settings.state_folder / "warehouse.duckdb").exists():
        raise Refused("nothing has been refreshed yet; run `mhwg refresh`.", Exit.NOT_FOUND)
    state = read_state(settings)
    if as_json:
        console().print_json(json.dumps(state, default=str, ensure_ascii=False))
    else:
        _draw(settings, state)
    return Exit.DONE


def read_state(settings: Settings) -> dict[str, Any]:
    """What `status` tells, as plain values."""
    from warehouse.publishing.shelf import ReleaseShelf
    from warehouse.store import Warehouse

    warehouse = Warehouse(settings.state_folder / "warehouse.duckdb")
    with warehouse.connect(read_only=True) as connection:

        def rows(query: str) -> list[tuple[Any, ...]]:
            return list(connection.execute(query).fetchall())

        sources = rows(
            """select source_code, max(refresh_at), count(*), max(server_version), bool_or(is_practice)
            from ops.receipt group by source_code order by source_code"""
        )
        failing = rows(
            """select c.source_code, c.rule_code, c.severity_code, c.unexpected_count, c.why from ops.check_result c
            where not c.is_passed and c.refresh_at = (select max(l.refresh_at) from ops.load l where l.source_code = c.source_code)
            order by c.severity_code, c.source_code, c.rule_code"""
        )
        held = rows(
            """select source_code, table_name, count(*) from quarantine.record where status_code = 'held'
            group by source_code, table_name order by source_code, table_name"""
        )
        ((last,),) = rows("select max(refresh_at) from ops.load")
    current = ReleaseShelf(settings.state_folder / "release").current
    return {
        "settings": str(settings.file),
        "state_folder": str(settings.state_folder),
        "is_practice": settings.practice,
        "last_change_at": last,
        "sources": [
            dict(zip(("source", "last_change_at", "receipts", "server_version", "is_practice"), row, strict=True))
            for row in sources
        ],
        "failing_checks": [
            dict(zip(("source", "rule", "severity", "rows", "why"), row, strict=True)) for row in failing
        ],
        "held_back": [dict(zip(("source", "table", "records"), row, strict=True)) for row in held],
        "release": current.name if current else None,
        "next_tick": next_tick(settings.schedule, datetime.now(UTC)),
    }


def next_tick(schedule: Schedule, now: datetime) -> datetime | str:
    """The next weekly tick after `now`; for a schedule that is not once a week, its cron expression."""
    weekly = re.fullmatch(r"(\d{1,2}) (\d{1,2}) \* \* ([0-7])", schedule.cron)
    if not weekly:
        return f"cron {schedule.cron} ({schedule.timezone})"
    minute, hour, day = (int(part) for part in weekly.groups())
    local = now.astimezone(ZoneInfo(schedule.timezone))
    # cron counts days from Sunday = 0, Python from Monday = 0
    candidate = local.replace(hour=hour, minute=minute, second=0, microsecond=0) + timedelta(
        days=(day - 1 - local.weekday()) % 7
    )
    return candidate if candidate > local else candidate + timedelta(days=7)


def _draw(settings: Settings, state: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(settings.organisation, style="bold"))
    if state["is_practice"]:
        out.print("[yellow]Practice ground: synthetic patients, workers and respondents.[/]")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in (("source", "left"), ("last new data", "left"), ("receipts", "right"), ("server", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for source in state["sources"]:
        table.add_row(
            source["source"],
            f"{source['last_change_at']:%Y-%m-%d %H:%M} UTC",
            str(source["receipts"]),
            source["server_version"] or "",
        )
    out.print(table)
    if state["failing_checks"]:
        out.print(f"\n[bold red]{len(state['failing_checks'])} failing checks[/] in the last load of their source")
        for check in state["failing_checks"]:
            colour = "red" if check["severity"] == "critical" else "yellow"
            out.print(
                f"  [{colour}]{check['severity']:<8}[/] {check['source']}: {check['rule']} ({check['rows']:,} rows)",
                highlight=False,
            )
    else:
        out.print("\n[green]All checks of the last loads passed.[/]")
    held = sum(entry["records"] for entry in state["held_back"])
    out.print(f"Held back with reasons: {held:,} records" + (" (quarantine.record)" if held else ""))
    out.print(
        f"Release: [bold]{state['release'] or 'none yet'}[/]   Next refresh: {state['next_tick']}", highlight=False
    )
