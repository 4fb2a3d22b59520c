"""How old a source or a release may be before Dagster calls it stale.

Belongs here: the policies and which assets carry them. Does not belong here: telling anybody (`pipelines.alerts`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.settings import Settings

REFERENCE_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
"""Any week will do to measure the distance between ticks; daylight saving is no matter in whole hours of slack."""
SLACK = timedelta(hours=2)


def with_freshness(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """The same assets; what is landed must be new by the weekly deadline, the release two hours after it.

    Dagster judges by the last materialisation. A source that failed records none, in a run of its own or of everything
    (`assets.declare.last_good`); an inbox in which nothing new lay was looked at and is fresh.
    """
    first = settings.schedule.ticks.after(REFERENCE_MONDAY)
    week = settings.schedule.ticks.after(first) - first
    window = settings.schedule.deadlines.after(first) - first
    source = dg.FreshnessPolicy.cron(
        deadline_cron=settings.schedule.deadline_cron,
        lower_bound_delta=window,
        timezone=settings.schedule.timezone,
    )
    release = dg.FreshnessPolicy.time_window(fail_window=week + window + SLACK)

    def with_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key.path[0] == "landing":
            return spec.replace_attributes(freshness_policy=source)
        if spec.key.path[0] == "release":
            return spec.replace_attributes(freshness_policy=release)
        return spec

    return [made.map_asset_specs(with_policy) for made in assets]
