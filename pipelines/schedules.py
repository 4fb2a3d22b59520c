"""The ticks of the week: every source starts on its own at 05:00 on Monday, the release follows when all have ended or at
09:00 (both in Viet Nam, and both settings).

Belongs here: schedules and the sensor that watches the sources' runs. Does not belong here: the decision itself
(`pipelines.weekly`).

A tick missed while the machine was off is made up once: Dagster runs the last missed tick of a schedule without partitions.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pipelines.jobs import PUBLISH, Source
from pipelines.settings import Settings
from pipelines.weekly import look

WATCH_SECONDS = 60


def source_schedules(settings: Settings, sources: Sequence[Source]) -> list[dg.ScheduleDefinition]:
    """One schedule per source instance, all with the weekly tick: the work of `make refresh`, source by source."""
    return [
        dg.ScheduleDefinition(
            name=f"weekly_{source.job_name}",
            job_name=source.job_name,
            cron_schedule=settings.schedule.cron,
            execution_timezone=settings.schedule.timezone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=f"Starts the refresh of {source.code} every week.",
        )
        for source in sources
    ]


def deadline_schedule(settings: Settings, sources: Sequence[Source]) -> dg.ScheduleDefinition:
    """At the deadline the release is built without the sources that have not ended, unless it has been built."""

    @dg.schedule(
        name="release_deadline",
        job_name=PUBLISH,
        cron_schedule=settings.schedule.deadline_cron,
        execution_timezone=settings.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Builds the release without the sources that are late, if it has not been built.",
    )
    def release_deadline(context: dg.ScheduleEvaluationContext) -> Any:
        return watched(settings, sources, context.instance, datetime.now(UTC))

    return release_deadline


def release_sensor(settings: Settings, sources: Sequence[Source]) -> dg.SensorDefinition:
    """Watches the sources' runs and starts the release build when the last of them has ended, or a late one has come in."""

    @dg.sensor(
        name="release_when_sources_ended",
        job_name=PUBLISH,
        minimum_interval_seconds=WATCH_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Builds the release when every source has ended, at the deadline without the late ones, and once more "
        "when a late one has come in.",
    )
    def release_when_sources_ended(context: dg.SensorEvaluationContext) -> Any:
        return watched(settings, sources, context.instance, datetime.now(UTC))

    return release_when_sources_ended


def watched(settings: Settings, sources: Sequence[Source], instance: dg.DagsterInstance, now: datetime) -> Any:
    """The decision for the week in which `now` lies."""
    tick = settings.schedule.ticks.until(now)
    return look(instance, sources, tick, settings.schedule.deadlines.after(tick), now)
