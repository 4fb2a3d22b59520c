"""The inbox sensors: a file that is dropped in and completely written starts a refresh of its source and of what follows.

Belongs here: looking into the inboxes between the weekly ticks. Does not belong here: reading files (the landing assets do),
schedules, alerts.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from assets.inbox import landed_sha256, look
from assets.labour.fetch import complete_files as labour_files
from assets.programme.read import inbox_files as programme_files
from assets.reference.fetch import inbox_files as reference_files
from assets.survey.inbox import complete_files as survey_files
from pipelines.jobs import FILE_SOURCES
from pipelines.resources import landing_of
from pipelines.run_tags import ARRIVAL, LAUNCHED_BY, SOURCE
from pipelines.settings import Settings
from warehouse.landing import Landing

LOOK_SECONDS = 30
"""Between two looks; a file is taken on the second look that finds it unchanged, so within about a minute."""

ATTEMPTS = 3
"""Runs for one arrival; after that it waits for the weekly refresh."""

_FILES: dict[str, Callable[[Path], list[Path]]] = {
    "labour": labour_files,
    "survey": survey_files,
    "programme": programme_files,
    "victims": programme_files,
    "reference": reference_files,
}


@dataclass(frozen=True)
class WatchedInbox:
    """One inbox: its folder, the files of it that its source reads, and the hashes of those taken in already."""

    source_code: str
    folder: Path
    files: Callable[[], list[Path]]
    landed: Callable[[], set[str]]


def watched_inboxes(settings: Settings) -> list[WatchedInbox]:
    """The inboxes of an installation, in the order of the sources."""
    return [
        _watched(code, settings.inbox(getattr(settings, code)), landing_of(settings, code)) for code in FILE_SOURCES
    ]


def _watched(source_code: str, folder: Path, landing: Landing) -> WatchedInbox:
    files = _FILES[source_code]
    return WatchedInbox(
        source_code, folder, lambda: files(folder), lambda: landed_sha256(landing.receipts(source_code))
    )


def inbox_sensors(settings: Settings) -> Sequence[dg.SensorDefinition]:
    """One sensor per inbox, running from the start."""
    return [_inbox_sensor(inbox) for inbox in watched_inboxes(settings)]


def _request(source_code: str, arrival: str, attempt: int) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{source_code}-{arrival}" + (f"-{attempt}" if attempt > 1 else ""),
        tags={LAUNCHED_BY: "inbox", SOURCE: source_code, ARRIVAL: arrival},
    )


def _failed_arrival(instance: dg.DagsterInstance, sensor_name: str) -> tuple[str, int] | None:
    """The arrival whose last run failed, and the number of the attempt that is due; None when there is none or no more is.

    A run fails where the fault is not the file's: a store that stays locked, a key that is not set. A file that cannot be read fails
    no run; it is reported.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/sensor_name": sensor_name}), limit=ATTEMPTS)
    if not runs or runs[0].status != dg.DagsterRunStatus.FAILURE or ARRIVAL not in runs[0].tags:
        return None
    arrival = runs[0].tags[ARRIVAL]
    made = sum(run.tags.get(ARRIVAL) == arrival for run in runs)
    return (arrival, made + 1) if made < ATTEMPTS else None


def _inbox_sensor(inbox: WatchedInbox) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{inbox.source_code}_inbox",
        job_name=f"arrived_{inbox.source_code}",
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"A file dropped into the {inbox.source_code} inbox is taken in once two looks in a row find it unchanged. "
            "Content decides what is new: the same bytes start nothing, other bytes under an old name do."
        ),
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        earlier = json.loads(context.cursor) if context.cursor else {}
        found = look(inbox.folder, inbox.files(), earlier, inbox.landed())
        cursor = json.dumps(found.files, sort_keys=True)
        failed = None if found.arrived else _failed_arrival(context.instance, f"{inbox.source_code}_inbox")
        if failed is not None:
            return dg.SensorResult(run_requests=[_request(inbox.source_code, *failed)], cursor=cursor)
        if not found.arrived:
            waiting = sum(not stands for *_, stands in found.files.values())
            return dg.SensorResult(
                skip_reason=f"{len(found.files)} files, {waiting} not yet seen twice alike, none whole and new.",
                cursor=cursor,
            )
        # With its time, so that a file that was taken away and put back after a failed run is tried again.
        key = json.dumps([found.files[name][1:3] for name in sorted(found.arrived)])
        context.log.info("%s inbox: %s new files", inbox.source_code, len(found.arrived))
        request = _request(inbox.source_code, hashlib.sha256(key.encode()).hexdigest()[:16], 1)
        return dg.SensorResult(run_requests=[request], cursor=cursor)

    return watch
