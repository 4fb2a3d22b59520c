"""`mhwg indicator`: the catalogue of indicators in the terminal, and the statement that computes each.

Belongs here: printing entries. Does not belong here: what an entry says (`warehouse.catalogue`), the SQL (`warehouse.indicator_sql`).
Needs no state: the catalogue is part of the program.
"""

import json
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.settings import load_settings

if TYPE_CHECKING:
    from warehouse.catalogue.indicator_catalogue import Indicator


def run_list(language: str, group: str | None, *, as_json: bool) -> int:
    """Code, tier, unit and name of every indicator, or of one group."""
    from warehouse.catalogue.indicator_catalogue import indicator_catalogue

    _check_language(language)
    entries = indicator_catalogue().indicators
    groups = sorted({entry.group for entry in entries.values()})
    if group is not None and group not in groups:
        raise Refused(f"--group {group}: there are {', '.join(groups)}.", Exit.USAGE)
    shown = [entry for entry in entries.values() if group in (None, entry.group)]
    if as_json:
        listed = [
            {"code": entry.code, "tier": entry.tier, "group": entry.group, "unit": entry.unit,
             "name": getattr(entry.name, language), "definition_version": entry.definition_version}
            for entry in shown
        ]  # fmt: skip
        console().print_json(json.dumps(listed, ensure_ascii=False))
        return Exit.DONE
    for entry in shown:
        mark = "" if entry.tier == "core" else f"  ({entry.tier})"
        console().print(
            f"[bold]{entry.code}[/]  {getattr(entry.name, language)}{mark}", highlight=False, soft_wrap=True
        )
    return Exit.DONE


def run_show(code: str, *, sql: bool, as_json: bool) -> int:
    """One entry whole: as its page, as JSON, or as the statement that is run for it."""
    from warehouse.catalogue.indicator_catalogue import indicator_catalogue
    from warehouse.indicator_reference import page

    known = indicator_catalogue()
    entry = known.indicators.get(code.upper())
    if entry is None:
        near = get_close_matches(code.upper(), list(known.indicators), 3)
        raise Refused(
            f"there is no indicator {code!r}; nearest: {', '.join(near) or 'none'}. `mhwg indicator list` lists all.",
            Exit.NOT_FOUND,
        )
    if as_json:
        told = entry.model_dump(mode="json")
        if sql:
            told["sql"] = _statement(entry)
        console().print_json(json.dumps(told, ensure_ascii=False))
        return Exit.DONE
    text = _statement(entry) if sql else page(entry, known)
    console().print(text, markup=False, highlight=False, soft_wrap=True)
    return Exit.DONE


def run_alternates(code: str, *, as_json: bool) -> int:
    """The latest totals of a rate on the other populations of the registry, as the current release has them."""
    from warehouse.publishing.alternates import alternates_of
    from warehouse.publishing.release import ShelfError

    try:
        rows = alternates_of(load_settings().state_folder / "release", code)
    except ShelfError as fault:
        raise Refused(str(fault), Exit.NOT_FOUND) from fault
    if not rows:
        raise Refused(f"{code}: the denominator registry knows no other population for it.", Exit.NOT_FOUND)
    if as_json:
        console().print_json(json.dumps(rows, ensure_ascii=False))
        return Exit.DONE
    for row in rows:
        difference = "" if row["difference_percent"] is None else f" ({row['difference_percent']:+.1f} %)"
        console().print(
            f"{row['area_code']}  {row['period_code']}  {row['published_value']:.4g} as published, {row['value']:.4g}"
            f"{difference} on {row['edition']}",
            highlight=False,
            soft_wrap=True,
        )
    return Exit.DONE


def _statement(entry: "Indicator") -> str:
    """The SQL as the last refresh ran it, ready to run in the restricted warehouse; before any refresh, as at now. Where it reads
    registers of victims, it says where they are."""
    from warehouse.catalogue.indicator_catalogue import indicator_catalogue
    from warehouse.indicator_sql import compile_sql
    from warehouse.store import StoreLocked, Warehouse

    try:
        last = Warehouse(load_settings().state_folder / "warehouse.duckdb").last_refresh_at()
    except StoreLocked:
        last = None  # a refresh is writing; the statement is the same but for its instant
    sql = compile_sql(entry, last or datetime.now(UTC), indicator_catalogue()) + ";"
    apart = "-- restricted.* stands apart: attach 'victims/victims.duckdb' as victims (read_only), and write victims.restricted.* for it.\n"
    return apart + sql if "restricted." in sql else sql


def _check_language(language: str) -> None:
    if language not in ("en", "vi"):
        raise Refused(f"--language {language}: there are en and vi.", Exit.USAGE)
