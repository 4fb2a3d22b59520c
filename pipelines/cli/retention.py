"""`mhwg retention`: enforce the periods of the record of processing now, or see what would go."""

import json

from pipelines.cli.console import console
from pipelines.cli.erase import busy, now_of
from pipelines.failures import Exit, Refused
from pipelines.resources import warehouse_of
from pipelines.retention import Outcome, run_retention
from pipelines.settings import load_settings


def run(*, dry_run: bool, as_json: bool) -> int:
    """What is due is gone, or was counted."""
    settings = load_settings()
    if not settings.state_folder.exists():
        raise Refused("nothing has been refreshed yet, so nothing is kept.", Exit.NOT_FOUND)
    with busy("Looking for what may no longer be kept ..."):
        outcome = run_retention(settings, warehouse_of(settings), now_of(settings), dry_run=dry_run)
    if as_json:
        print(json.dumps(_told(outcome), ensure_ascii=False))
    else:
        _tell(outcome)
    return Exit.DONE


def _told(outcome: Outcome) -> dict[str, object]:
    return {
        "removal_id": outcome.removal_id,
        "today": outcome.today.isoformat(),
        "is_dry_run": outcome.is_dry_run,
        "before": {group: day.isoformat() for group, day in sorted(outcome.data.horizons.items())},
        "rows": outcome.data.tables,
        "landed_lines": outcome.data.landed_lines,
        "landed_files": outcome.data.landed_files,
        "runs": outcome.runs,
        "commands": outcome.commands,
        "inbox_files": outcome.inbox_files,
    }


def _tell(outcome: Outcome) -> None:
    out = console()
    for group, day in sorted(outcome.data.horizons.items()):
        out.print(f"  {group}: what was over before {day} is due", highlight=False)
    done = "due" if outcome.is_dry_run else "removed"
    for name, count in sorted(outcome.data.tables.items()):
        out.print(f"  {name}: {count:,} rows {done}", highlight=False)
    for source in sorted({*outcome.data.landed_lines, *outcome.data.landed_files}):
        lines, files = outcome.data.landed_lines.get(source, 0), outcome.data.landed_files.get(source, 0)
        out.print(f"  landing/{source}: {lines:,} lines, {files:,} whole landings {done}", highlight=False)
    for what, count in (("runs", outcome.runs), ("commands of the audit log", outcome.commands)):
        if count:
            out.print(f"  {what}: {count:,} {done}", highlight=False)
    for name in outcome.inbox_files:
        out.print(f"  inbox: {name} {done}", highlight=False)
    if not outcome.is_change:
        out.print("Nothing is due.")
    elif outcome.is_dry_run:
        out.print("Nothing was written; without --dry-run it is removed.")
