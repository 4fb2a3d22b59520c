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

from assets.inbox import look
from assets.labour.fetch import complete_files as labour_files
from assets.labour.fetch import landed_sha256 as labour_sha256
from assets.programme.read import inbox_files as programme_files
from assets.programme.read import landed_sha256 as programme_sha256
from assets.survey.inbox import complete_files as survey_files
from assets.survey.inbox import landed_sha256 as survey_sha256
from pipelines.jobs import FILE_SOURCES
from pipelines.settings import Settings
from warehouse.landing import Landing, Receipt

LOOK_SECONDS = 30
"""Between two looks; a file is taken on the second look that finds it unchanged, so within about a minute."""

_READ: dict[str, tuple[Callable[[Path], list[Path]], Callable[[list[Receipt]], set[str]]]] = {
    "labour": (labour_files, labour_sha256),
    "survey": (survey_files, survey_sha256),
    "programme": (programme_files, programme_sha256),
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
    landing = Landing(settings.state_folder / "landing")
    return [_watched(code, settings.inbox(getattr(settings, code)), landing) for code in FILE_SOURCES]


def _watched(source_code: str, folder: Path, landing: Landing) -> WatchedInbox:
    files, landed = _READ[source_code]
    return WatchedInbox(source_code, folder, lambda: files(folder), lambda: landed(landing.receipts(source_code)))


def inbox_sensors(settings: Settings) -> Sequence[dg.SensorDefinition]:
    """One sensor per inbox, running from the start."""
    return [_inbox_sensor(inbox) for inbox in watched_inboxes(settings)]


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
        if not found.arrived:
            waiting = sum(not stands for *_, stands in found.files.values())
            return dg.SensorResult(
                skip_reason=f"{len(found.files)} files, {waiting} not yet seen twice alike, none whole and new.",
                cursor=cursor,
            )
        # With its time, so that a file that was taken away and put back after a failed run is tried again.
        key = json.dumps([found.files[name][1:3] for name in sorted(found.arrived)])
        request = dg.RunRequest(
            run_key=f"{inbox.source_code}-{hashlib.sha256(key.encode()).hexdigest()[:16]}",
            tags={"mhwg/launched_by": "inbox", "mhwg/source": inbox.source_code},
        )
        context.log.info("%s inbox: %s new files", inbox.source_code, len(found.arrived))
        return dg.SensorResult(run_requests=[request], cursor=cursor)

    return watch
