"""`mhwg keys rotate`: another pseudonym key, the same persons.

Belongs here: asking and telling. Does not belong here: the work (`pipelines.rotation`).
"""

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime

from assets.dhis2.sources import servers_from_settings
from pipelines.cli.console import console, error_console
from pipelines.failures import Exit, Refused
from pipelines.practice_ground import practice_ground
from pipelines.resources import source_locks, warehouse_of
from pipelines.rotation import Outcome, rotate
from pipelines.settings import load_settings
from warehouse.locks import held


def run(*, dry_run: bool, leave_unseen: bool, as_json: bool) -> int:
    """The tokens are of the key in force, or the reason why none was changed was told."""
    settings = load_settings()
    if not (settings.state_folder / "warehouse.duckdb").exists():
        raise Refused("nothing has been refreshed yet, so there is no token to make anew.", Exit.NOT_FOUND)
    holder = f"mhwg keys rotate, process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    lock = settings.state_folder / "locks" / "refresh.lock"
    sources = [*(f"dhis2_{code}" for code in settings.dhis2_codes()), "labour"]
    with (
        held(lock, "the refresh", holder),
        source_locks(settings, sources, holder),
        practice_ground(settings) as ground,
    ):
        servers = servers_from_settings(
            settings.dhis2, ground.urls or {}, settings.credential, is_practice=settings.practice
        )
        outcome = rotate(
            settings,
            warehouse_of(settings),
            servers,
            now=datetime.now(UTC),
            leave_unseen=leave_unseen,
            dry_run=dry_run,
            tell=lambda words: error_console().print(words, highlight=False),
        )
    if as_json:
        print(json.dumps(asdict(outcome), ensure_ascii=False))
    else:
        _tell(outcome, settings.pseudonym.old_key_env)
    return Exit.DONE


def _tell(outcome: Outcome, old_key_env: str) -> None:
    out = console()
    if outcome.is_done:
        out.print(f"Every token is of key {outcome.new_key_id!r}; there is nothing to rotate.", highlight=False)
        return
    for source, count in sorted(outcome.records.items()):
        out.print(f"  {source}: {count:,} {'files' if source == 'labour' else 'records'} read", highlight=False)
    rotated = outcome.rotated
    out.print(
        f"  {rotated.made_anew:,} tokens made anew, {rotated.retired:,} of persons whom no source sends any more"
        f" ({outcome.unseen:,} of them current)",
        highlight=False,
    )
    if outcome.is_dry_run:
        out.print("Nothing was changed; without --dry-run the tokens are replaced.")
        return
    for name, count in sorted(rotated.tables.items()):
        out.print(f"  {name}: {count:,} rows", highlight=False)
    for name, count in sorted(rotated.landed_lines.items()):
        out.print(f"  landing/{name}: {count:,} lines", highlight=False)
    if outcome.erasures_carried or outcome.erasures_left:
        out.print(
            f"  erased: {outcome.erasures_carried:,} digests carried over; {outcome.erasures_left:,} of records that no source sends",
            highlight=False,
        )
    out.print(
        f"Key {outcome.old_key_id!r} is retired: no token of it is left. Remove {old_key_env}, destroy the copies of the key, and "
        "delete backups from before: they hold its tokens. Take a new one now (`mhwg backup`).",
        highlight=False,
    )
