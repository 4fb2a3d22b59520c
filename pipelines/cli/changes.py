"""`mhwg changes`: what the releases changed, and why, as it may be seen.

Belongs here: reading the published change log and drawing it. Does not belong here: finding causes (`warehouse.change_log`).
"""

import json
from typing import Any

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.settings import load_settings

SHOWN = 40


def run(since: str | None, indicator: str | None, *, as_json: bool) -> int:
    """The changes of the newest release, or of every release after `since`; of one indicator or of all."""
    import polars as pl

    from warehouse.publishing.change_log import cause_counts, causes_text, read_changes
    from warehouse.publishing.release import ShelfError

    try:
        changes = read_changes(load_settings().state_folder / "release", since)
    except ShelfError as fault:
        raise Refused(str(fault), Exit.NOT_FOUND) from fault
    if indicator is not None:
        changes = changes.filter(pl.col("indicator_code") == indicator.upper())
    if as_json:
        console().print_json(json.dumps(changes.to_dicts(), ensure_ascii=False))
        return Exit.DONE
    from rich.table import Table

    out = console()
    if changes.is_empty():
        out.print("No figure changed.")
        return Exit.DONE
    told = ", ".join(f"{name.lower()} {count:,}" for name, count in cause_counts(changes, "en"))
    out.print(f"[bold]{changes.height:,} figures changed.[/] By cause: {told}", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("release", "change", "indicator", "area", "period", "breakdown", "before", "after", "why"):
        table.add_column(column, justify="right" if column in ("before", "after") else "left")
    # Revised figures first: whoever asks wants to know what was said otherwise, not what is new.
    rank = {"revised": 0, "redefined": 1, "withdrawn": 2, "hidden": 3, "shown": 4, "status": 5, "new": 6}
    ordered = changes.sort(pl.col("change_code").replace_strict(rank), "release_id", maintain_order=True)
    for row in ordered.head(SHOWN).iter_rows(named=True):
        table.add_row(
            row["release_id"], row["change_code"], row["indicator_code"], row["area_code"], row["period_code"],
            _breakdown(row), _told(row["value_before"], row["status_before"]), _told(row["value_after"], row["status_after"]),
            causes_text(row["cause_codes"], "en"),
        )  # fmt: skip
    out.print(table)
    if changes.height > SHOWN:
        out.print(f"… and {changes.height - SHOWN:,} more; all of them with --json.", highlight=False)
    return Exit.DONE


def _told(value: float | None, status: str | None) -> str:
    if value is not None:
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return {"Q": "hidden", None: ""}.get(status, "no value")


def _breakdown(row: dict[str, Any]) -> str:
    from warehouse.catalogue.indicator_catalogue import DIMENSIONS

    return " ".join(str(row[name]) for name in DIMENSIONS if row[name] != "_T")
