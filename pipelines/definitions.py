"""Gathers what Dagster shows and runs. No logic."""

import dagster as dg

from assets import core, indicators, release
from assets.dhis2 import assets as dhis2
from assets.labour import assets as labour
from assets.programme import assets as programme
from assets.quality import assets as quality
from assets.reference import assets as reference
from assets.survey import assets as survey
from assets.validation import assets as validation
from assets.victims import assets as victims
from expectations.scales import GreatExpectationsScales
from pipelines import quality_pages
from pipelines.alert_sensors import alert_sensors
from pipelines.freshness import with_freshness
from pipelines.jobs import arrivals, jobs, sources_of
from pipelines.jobs import release as release_job
from pipelines.progress import progress_logger
from pipelines.resources import build_resources, settings_in_force
from pipelines.retention import retention_job, retention_schedule
from pipelines.schedules import deadline_schedule, release_sensor, source_schedules
from pipelines.sensors import inbox_sensors


@dg.definitions
def defs() -> dg.Definitions:
    """The code location: assets with their checks, jobs, schedules, sensors, resources."""
    settings = settings_in_force()
    scales = GreatExpectationsScales()
    assets = [
        *reference.build(scales),
        *dhis2.build(settings.dhis2_codes(), scales, settings.dhis2_starts()),
        *labour.build(scales),
        *survey.build(scales),
        *programme.build(scales),
        *victims.build(scales),
        *core.build(scales),
        *validation.build(scales),
        *quality.build(scales),
        *indicators.build(scales),
        *release.build(scales),
        *quality_pages.build(settings.state_folder / "quality"),
    ]
    sources = sources_of(assets)
    return dg.Definitions(
        assets=with_freshness(assets, settings),
        jobs=[*jobs(assets), *arrivals, release_job, retention_job(settings)],
        schedules=[
            *source_schedules(settings, sources),
            deadline_schedule(settings, sources),
            retention_schedule(settings),
        ],
        sensors=[release_sensor(settings, sources), *inbox_sensors(settings), *alert_sensors(settings)],
        resources=build_resources(settings, [source.code for source in sources]),
        executor=dg.in_process_executor,
        loggers={"progress": progress_logger},
    )
