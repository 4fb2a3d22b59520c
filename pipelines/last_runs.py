"""The latest runs as Dagster's storage has them, read without Dagster: importing it alone takes longer than `status` may.

Belongs here: one query on the table `runs` of SQLite or PostgreSQL. Does not belong here: anything that writes there.
The table is Dagster's own (1.13, unchanged since 0.13.12); a storage that is not there yet has no runs.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.settings import Settings

QUERY = "select pipeline_name, status, start_time, end_time, run_id from runs order by id desc limit 200"
OPEN = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")


@dataclass(frozen=True)
class LastRun:
    """One run of a job."""

    job: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    run_id: str

    @property
    def is_open(self) -> bool:
        """True while it waits or runs."""
        return self.status in OPEN


def latest_runs(settings: Settings) -> list[LastRun]:
    """The latest run of each job, newest first. Runs of assets that somebody picked by hand have the job `__ASSET_JOB`."""
    found: dict[str, LastRun] = {}
    for job, status, started, ended, run_id in _rows(settings):
        found.setdefault(job, LastRun(job, status, _instant(started), _instant(ended), run_id))
    return list(found.values())


def _rows(settings: Settings) -> Sequence[Any]:
    if settings.dagster.postgres_url_env:
        import psycopg2

        url = (settings.secret(settings.dagster.postgres_url_env) or "").replace("+psycopg2", "", 1)
        with closing(psycopg2.connect(url, connect_timeout=3)) as database, database.cursor() as cursor:
            cursor.execute("select to_regclass('runs') is not null")
            if not cursor.fetchall()[0][0]:
                return []
            cursor.execute(QUERY)
            return list(cursor.fetchall())
    path = settings.dagster_home / "history" / "runs.db"
    if not path.exists():
        return []
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)
    try:
        return connection.execute(QUERY).fetchall()
    except sqlite3.OperationalError:
        return []  # made this very moment, or held by a migration: `status` has the rest to tell
    finally:
        connection.close()


def _instant(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=0) if seconds else None
