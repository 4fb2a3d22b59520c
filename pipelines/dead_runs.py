"""Runs whose process is gone: a power cut or a kill leaves them "started" in Dagster's storage for ever, and the queue waits.

Belongs here: finding such runs on this machine and closing them as failed. Does not belong here: what a run does; the store
needs no repair after a kill (`warehouse.load`).
"""

import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.run_tags import PROCESS

OPEN = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
SLACK_SECONDS = 60.0
WORDS = "The process of this run has ended without a word (killed, out of memory, or power cut). The last good state stands."


def process_tag(pid: int) -> dict[str, str]:
    """The tag that says in which process of which machine a run lives."""
    return {PROCESS: f"{socket.gethostname()}:{pid}"}


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Every open run whose process is no more on this machine is failed; their ids. Runs of other machines are left alone."""
    closed = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=OPEN)):
        pid = _process_of(instance, record.dagster_run)
        if pid is None or _is_alive(pid, record.create_timestamp):
            continue
        instance.report_run_failed(record.dagster_run, WORDS)
        closed.append(record.dagster_run.run_id)
    return closed


def _process_of(instance: dg.DagsterInstance, run: Any) -> int | None:
    tags: Mapping[str, str] = run.tags
    if PROCESS in tags:
        host, _, pid = tags[PROCESS].rpartition(":")
        return int(pid) if host == socket.gethostname() else None
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        # The run worker's own words; it lives beside the code server, as this code does.
        found = re.search(r"Started process for run \(pid: (\d+)\)", entry.message or "")
        if found:
            return int(found[1])
    return None


def _is_alive(pid: int, run_created_at: datetime) -> bool:
    """True when the process exists and is not a younger one that was given the same number."""
    status = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return True  # no way to know here: better an open run than a closed living one
    try:
        fields = status.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        if fields[0] == "Z":
            return False
        boot = next(
            int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")
        )
    except (FileNotFoundError, ProcessLookupError):
        return False
    started = boot + int(fields[19]) / TICKS_PER_SECOND
    return started <= run_created_at.replace(tzinfo=UTC).timestamp() + SLACK_SECONDS


TICKS_PER_SECOND = 100
"""USER_HZ, 100 on every Linux that Dagster runs on."""
