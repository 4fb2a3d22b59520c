"""`mhwg status`: one screen of what the warehouse holds, how old it is, and how the last runs ended."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.last_runs import latest_runs
from pipelines.settings import Settings, load_settings
from warehouse.locks import holder_of

SHOWN_CHECKS = 8


def run(*, as_json: bool) -> int:
    """Sources with their age, the last runs, failing checks, what is held back, the release, the next tick."""
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
    """What `status` tells, as plain values. While a refresh writes, what the store would say is missing and `busy` says why."""
    from warehouse.publishing.shelf import ReleaseShelf
    from warehouse.store import StoreLocked, Warehouse
    from warehouse.victims import victims_beside

    now = datetime.now(UTC)
    current = ReleaseShelf(settings.state_folder / "release").current
    state: dict[str, Any] = {
        "settings": str(settings.file),
        "state_folder": str(settings.state_folder),
        "is_practice": settings.practice,
        "busy": None,
        "running": holder_of(settings.state_folder / "locks" / "refresh.lock"),
        "last_change_at": None,
        "sources": [],
        "failing_checks": [],
        "held_back": [],
        "runs": [
            {
                "job": last.job,
                "status": last.status,
                "started_at": last.started_at,
                "ended_at": last.ended_at,
                "run": last.run_id,
            }
            for last in latest_runs(settings)
        ],
        "release": current.name if current else None,
        "release_age_days": _age_days(current.name, now) if current and not settings.practice else None,
        "next_tick": settings.schedule.ticks.after(now).astimezone(ZoneInfo(settings.schedule.timezone)),
        "next_deadline": settings.schedule.deadlines.after(now).astimezone(ZoneInfo(settings.schedule.timezone)),
    }
    try:
        warehouse = Warehouse(settings.state_folder / "warehouse.duckdb")
        told = _store_state(warehouse)
        victims = victims_beside(warehouse)
        if victims.exists:
            with victims.connect(read_only=True) as connection:
                told["held_back"] += _held_back(connection)
        return state | told
    except StoreLocked as fault:
        return state | {"busy": str(fault)}


def _store_state(warehouse: Any) -> dict[str, Any]:
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
        held = _held_back(connection)
        ((last,),) = rows("select max(refresh_at) from ops.load")
    return {
        "last_change_at": last,
        "sources": [
            dict(zip(("source", "last_change_at", "receipts", "server_version", "is_practice"), row, strict=True))
            for row in sources
        ],
        "failing_checks": [
            dict(zip(("source", "rule", "severity", "rows", "why"), row, strict=True)) for row in failing
        ],
        "held_back": held,
    }


def _held_back(connection: Any) -> list[dict[str, Any]]:
    rows = connection.execute(
        """select source_code, table_name, count(*) from quarantine.record where status_code = 'held'
        group by source_code, table_name order by source_code, table_name"""
    ).fetchall()
    return [dict(zip(("source", "table", "records"), row, strict=True)) for row in rows]


def _age_days(release_id: str, now: datetime) -> int | None:
    """Days since the instant in a release's name."""
    try:
        made = datetime.strptime(release_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (now - made).days


def _draw(settings: Settings, state: dict[str, Any]) -> None:
    from rich.text import Text

    out = console()
    out.print(Text(settings.organisation, style="bold"))
    if state["is_practice"]:
        out.print("[yellow]Practice ground: synthetic patients, workers and respondents.[/]")
    if state["running"]:
        out.print(Text(f"Running now: {state['running']}", style="bold cyan"))
    if state["busy"]:
        out.print(Text(f"{state['busy']} Sources and checks are shown when it has ended.", style="yellow"))
    else:
        _draw_store(state)
    _draw_runs(state)
    age = state["release_age_days"]
    shown = state["release"] or "none yet"
    aged = f" ({age} days old)" if age else ""
    out.print(
        f"Release: [bold]{shown}[/]{aged}   Next refresh: {state['next_tick']:%a %Y-%m-%d %H:%M} "
        f"{settings.schedule.timezone}, release by {state['next_deadline']:%H:%M}",
        highlight=False,
    )


def _draw_store(state: dict[str, Any]) -> None:
    from rich.table import Table

    out = console()
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
        for check in state["failing_checks"][:SHOWN_CHECKS]:
            colour = "red" if check["severity"] == "critical" else "yellow"
            out.print(
                f"  [{colour}]{check['severity']:<8}[/] {check['source']}: {check['rule']} ({check['rows']:,} rows)",
                highlight=False,
            )
        if len(state["failing_checks"]) > SHOWN_CHECKS:
            out.print(f"  and {len(state['failing_checks']) - SHOWN_CHECKS} more (--json lists them)")
    else:
        out.print("\n[green]All checks of the last loads passed.[/]")
    held = sum(entry["records"] for entry in state["held_back"])
    out.print(f"Held back with reasons: {held:,} records" + (" (quarantine.record)" if held else ""))


def _draw_runs(state: dict[str, Any]) -> None:
    out = console()
    if not state["runs"]:
        return
    last = state["runs"][0]
    at = f"{last['started_at']:%Y-%m-%d %H:%M} UTC" if last["started_at"] else "not started"
    out.print(f"Last run: {last['job']} {last['status'].lower()}, {at}", highlight=False)
    for failed in (entry for entry in state["runs"] if entry["status"] in ("FAILURE", "CANCELED")):
        out.print(f"  [red]{failed['job']} {failed['status'].lower()}[/] (run {failed['run'][:8]})", highlight=False)
