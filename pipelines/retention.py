"""The retention job: what the record of processing allows to keep, and no longer.

Belongs here: the order of the work, the job and its weekly tick, logs of runs and commands. Does not belong here: which rows are due
(`warehouse.retention`), the periods (`warehouse/catalogue/processing.toml`), the command (`pipelines.cli.retention`).
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.run_tags import JOB
from pipelines.settings import Settings
from warehouse.catalogue.processing import processing_record
from warehouse.clock import next_recorded_at
from warehouse.landing import Landing
from warehouse.locks import held
from warehouse.publishing.shelf import ReleaseShelf
from warehouse.retention import Enforced, due, enforce, horizons
from warehouse.store import Warehouse
from warehouse.victims import copy_books, victims_beside, victims_landing

JOB_NAME = "retention"
PATIENCE_SECONDS = 3600.0


@dataclass
class Outcome:
    """What one run removed, or would: from the store and the landing, of logs, and files that lay in inboxes too long."""

    removal_id: str
    today: date
    is_dry_run: bool
    data: Enforced = field(default_factory=Enforced)
    runs: int = 0
    commands: int = 0
    inbox_files: list[str] = field(default_factory=list)

    @property
    def is_change(self) -> bool:
        """True when anything was due."""
        return bool(self.data.is_change or self.runs or self.commands or self.inbox_files)


def run_retention(settings: Settings, warehouse: Warehouse, now: datetime, *, dry_run: bool = False) -> Outcome:
    """Nothing stands here longer than the record of processing says; with `dry_run` only what is due is counted.

    `now`: the instant of the installation, the practice ground's simulated one there. Logs are judged by it too.
    """
    outcome = Outcome(f"retention-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.urandom(3).hex()}", now.date(), dry_run)
    outcome.data.horizons = horizons(outcome.today)
    with _alone(settings, dry_run=dry_run):
        shelf = ReleaseShelf(settings.state_folder / "release")
        at = next_recorded_at(now, warehouse.last_refresh_at(), shelf.last_event_at)
        for store, landing in (
            (warehouse, Landing(settings.state_folder / "landing")),
            (victims_beside(warehouse), victims_landing(settings.state_folder)),
        ):
            if store.exists:
                outcome.data.add(_enforced(store, landing, outcome, at))
        if not dry_run and warehouse.exists:
            copy_books(warehouse)
        record = processing_record()
        outcome.runs = _old_runs(settings, now - timedelta(days=record.run_log_days), dry_run=dry_run)
        outcome.commands = _old_commands(
            settings.state_folder, now - timedelta(days=record.audit_log_days), dry_run=dry_run
        )
        outcome.inbox_files = _old_inbox_files(settings, outcome.data.horizons, dry_run=dry_run)
    return outcome


def _enforced(store: Warehouse, landing: Landing, outcome: Outcome, at: datetime) -> Enforced:
    """What one store and its landing lost, or would."""
    store.bring_up_to_date()
    if outcome.is_dry_run:
        with store.connect(read_only=True) as connection:
            return due(connection, outcome.today)
    with store.connect() as connection:
        found = enforce(connection, landing, outcome.today, outcome.removal_id, at)
    if found.tables:
        store.rewrite()  # DuckDB keeps the bytes of deleted rows until the file is written anew
    return found


def _old_runs(settings: Settings, before: datetime, *, dry_run: bool) -> int:
    """Runs in Dagster's storage that ended before then are gone, with their events and logs; their number."""
    if not (settings.dagster_home.exists() or settings.dagster.postgres_url_env):
        return 0
    from pipelines.settings import use_dagster_home

    use_dagster_home(settings)
    with dg.DagsterInstance.get() as instance:
        old = instance.get_run_records(dg.RunsFilter(updated_before=before))
        if not dry_run:
            for record in old:
                instance.delete_run(record.dagster_run.run_id)
    return len(old)


def _old_commands(state: Path, before: datetime, *, dry_run: bool) -> int:
    """Lines of the audit log that are older are gone; their number."""
    path = state / "audit" / "commands.jsonl"
    if not path.exists():
        return 0
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if datetime.fromisoformat(json.loads(line)["at"]) >= before]
    if len(kept) < len(lines) and not dry_run:
        aside = path.with_suffix(".part")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in kept))
        os.replace(aside, path)
    return len(lines) - len(kept)


def _old_inbox_files(settings: Settings, days: dict[str, date], *, dry_run: bool) -> list[str]:
    """Files that have lain in an inbox with persons (registers, microdata) longer than the period are gone; their names."""
    gone = []
    for group, source in (("labour", settings.labour), ("survey", settings.survey), ("victims", settings.victims)):
        folder = settings.inbox(source)
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            if path.is_file() and datetime.fromtimestamp(path.stat().st_mtime, UTC).date() < days[group]:
                gone.append(f"{group}/{path.relative_to(folder).as_posix()}")
                if not dry_run:
                    path.unlink()
    return gone


@contextmanager
def _alone(settings: Settings, *, dry_run: bool) -> Iterator[None]:
    """No refresh runs meanwhile; looking disturbs nobody."""
    if dry_run:
        yield
        return
    holder = f"the retention job, process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    lock = settings.state_folder / "locks" / "refresh.lock"
    with held(lock, "the refresh", holder, patience_seconds=PATIENCE_SECONDS):
        yield


def retention_job(settings: Settings) -> dg.JobDefinition:
    """The job `retention`: one step, its counts in the log and as metadata."""

    @dg.op(
        name="remove_what_is_due",
        required_resource_keys={"warehouse", "refresh"},
        description="Removes rows, landed files, held records and logs whose period in the record of processing is over.",
    )
    def remove_what_is_due(context: dg.OpExecutionContext) -> None:
        outcome = run_retention(settings, context.resources.warehouse, context.resources.refresh.as_at)
        context.log.info(
            "retention: %s rows, %s landed lines, %s landed files, %s runs, %s commands, %s inbox files",
            sum(outcome.data.tables.values()),
            sum(outcome.data.landed_lines.values()),
            sum(outcome.data.landed_files.values()),
            outcome.runs,
            outcome.commands,
            len(outcome.inbox_files),
        )
        metadata: dict[str, Any] = {f"rows/{name}": count for name, count in outcome.data.tables.items()}
        context.add_output_metadata({"runs": outcome.runs, "commands": outcome.commands, **metadata})

    @dg.job(
        name=JOB_NAME,
        description="Enforces the periods of the record of processing (docs/processing-record.md).",
        executor_def=dg.in_process_executor,
        tags={JOB: JOB_NAME},
    )
    def retention() -> None:
        remove_what_is_due()

    return retention


def retention_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """The weekly tick of the job, on the day after the refresh by default."""
    return dg.ScheduleDefinition(
        name="weekly_retention",
        job_name=JOB_NAME,
        cron_schedule=settings.schedule.retention_cron,
        execution_timezone=settings.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes what may no longer be kept.",
    )
