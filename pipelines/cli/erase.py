"""`mhwg erase`: one person is gone from everything this installation keeps, and stays gone.

Belongs here: asking, telling, and computing the figures anew. Does not belong here: the work itself (`pipelines.erasure`).
"""

import json
import os
import sys
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.cli.console import console, error_console
from pipelines.erasure import Outcome, check_token, erase, look, pseudonymiser_of
from pipelines.failures import Exit, Refused
from pipelines.resources import warehouse_of
from pipelines.settings import Settings, load_settings
from warehouse.locks import held


def run(token: str, *, dry_run: bool, yes: bool, drop_backups: bool, compute: bool, as_json: bool) -> int:
    """The person is erased. PARTIAL when older backups still hold them, REFUSED when something else does, NOT_FOUND when
    nothing of them was here; they are on the list of erased persons in any case."""
    settings = load_settings()
    person = check_token(sys.stdin.readline() if token == "-" else token)
    if not settings.state_folder.exists():
        raise Refused("nothing has been refreshed yet, so nobody can be erased.", Exit.NOT_FOUND)
    if dry_run:
        with busy("Searching every table and file ..."):
            found = look(settings, warehouse_of(settings), person)
        return _tell(found, as_json=as_json)
    if not yes:
        raise Refused(
            "this removes every row and landed line of the person for good; look with --dry-run first, then say --yes.",
            Exit.USAGE,
        )
    pseudonymiser_of(settings)  # without the key nothing begins
    holder = f"mhwg erase, process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    lock = settings.state_folder / "locks" / "refresh.lock"
    with held(lock, "the refresh", holder), busy("Erasing, and searching every table and file ..."):
        outcome = erase(
            settings,
            warehouse_of(settings),
            person,
            now=now_of(settings),
            drop_backups=drop_backups,
            take_backup=lambda: _fresh_backup(settings),
        )
    if outcome.tables and compute:
        _compute_anew(as_json=as_json)
    return _tell(outcome, as_json=as_json)


def busy(words: str) -> Any:
    """A sign of life on a terminal while the block runs."""
    out = error_console()
    return out.status(words) if out.is_terminal else nullcontext()


def now_of(settings: Settings) -> datetime:
    """The instant of this installation: the practice ground's simulated one, else the machine's."""
    if settings.practice:
        from pipelines.cli.practice import clock_of

        return clock_of(settings).instant()
    return datetime.now(UTC)


def _fresh_backup(settings: Settings) -> Path:
    from warehouse.backup import take_backup

    state = settings.state_folder
    return take_backup(warehouse_of(settings), state, state / "backups", datetime.now(UTC), settings.file).path


def _compute_anew(*, as_json: bool) -> None:
    """The figures that rested on the person's records say so, with the cause in the change log."""
    from pipelines.cli.refresh import run as refresh

    if as_json:
        out, sys.stdout = sys.stdout, sys.stderr  # one JSON document for the caller
        try:
            refresh(job_name="publish")
        finally:
            sys.stdout = out
    else:
        refresh(job_name="publish")


def _tell(outcome: Outcome, *, as_json: bool) -> int:
    code = _code(outcome)
    if as_json:
        print(json.dumps({**asdict(outcome), "exit_code": int(code)}, ensure_ascii=False))
        return code
    out = console()
    would = "would be " if outcome.is_dry_run else ""
    if not outcome.was_found:
        out.print("Nothing of this person is here.", highlight=False)
    for name, count in sorted(outcome.tables.items()):
        out.print(f"  {name}: {count} rows {would}removed", highlight=False)
    for name, count in sorted(outcome.landed_lines.items()):
        out.print(f"  landing/{name}: {count} lines {would}removed", highlight=False)
    for name in sorted(outcome.files):
        out.print(f"  {name}: {would}cleaned or removed", highlight=False)
    for name in outcome.old_states:
        out.print(f"  {name} still holds the person", style="yellow", highlight=False)
    if outcome.is_dry_run:
        out.print("Nothing was written. The same command with --yes erases.")
        return code
    left = {**outcome.tables_after, **outcome.files_after}
    for name in sorted(left):
        error_console().print(f"{name}: the person is still found there", style="bold red", highlight=False)
    searched = f"{outcome.files_searched:,} files and every table were searched afterwards"
    out.print(f"Erased; {searched}: {'nothing was found' if not left else 'see above'}.", highlight=False)
    if outcome.old_states:
        out.print(
            "Older backups hold the person until they are deleted: `--drop-backups` takes a new one and removes them. "
            "`mhwg restore` erases the person again before anything is read.",
            highlight=False,
        )
    for name in outcome.not_searched:
        out.print(f"Not searched: {name}.", highlight=False)
    out.print(f"Proof: {outcome.proof}", highlight=False, soft_wrap=True)
    return code


def _code(outcome: Outcome) -> Exit:
    if outcome.tables_after or outcome.files_after:
        return Exit.REFUSED
    if not outcome.was_found and not outcome.old_states:
        return Exit.NOT_FOUND
    return Exit.PARTIAL if outcome.old_states and not outcome.is_dry_run else Exit.DONE
