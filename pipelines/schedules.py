"""The weekly tick."""

import dagster as dg

from pipelines.jobs import refresh
from pipelines.settings import Settings


def weekly(settings: Settings) -> dg.ScheduleDefinition:
    """The schedule of the weekly refresh: Monday 05:00 in Viet Nam unless the settings say otherwise."""
    return dg.ScheduleDefinition(
        name="weekly_refresh",
        job=refresh,
        cron_schedule=settings.schedule.cron,
        execution_timezone=settings.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Starts the same job as `make refresh`.",
    )
