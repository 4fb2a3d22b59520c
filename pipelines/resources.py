"""Settings -> plain objects, handed to assets as Dagster resources. Dagster stays at this rim: every object works without it.

Belongs here: how each object is built. Does not belong here: what the objects do.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets.dhis2.sources import Dhis2Server, servers_from_settings
from assets.inbox import Inbox
from expectations.scales import GreatExpectationsScales
from methods.pseudonym import Pseudonymiser
from pipelines.practice_ground import Ground, practice_ground
from pipelines.settings import FileSource, Settings, load_settings
from warehouse.clock import FixedClock, Refresh, WallClock, next_recorded_at
from warehouse.landing import Landing
from warehouse.publishing.shelf import ReleaseShelf
from warehouse.store import Warehouse


def warehouse_of(settings: Settings) -> Warehouse:
    """The restricted warehouse of an installation."""
    return Warehouse(settings.state_folder / "warehouse.duckdb")


def shelf_of(settings: Settings) -> ReleaseShelf:
    """The folder of releases of an installation."""
    return ReleaseShelf(settings.state_folder / "release")


def refresh_of(settings: Settings, ground: Ground, warehouse: Warehouse) -> Refresh:
    """The instant of a new refresh: the wall clock, or the practice ground's simulated one."""
    clock = FixedClock(ground.instant) if ground.instant else WallClock()
    now = clock.now()
    return Refresh(next_recorded_at(now, warehouse.last_refresh_at()), now, settings.practice)


def build_resources(settings: Settings) -> dict[str, Any]:
    """Every resource by the name that assets ask for. Nothing is opened or started until a run needs it."""

    @dg.resource(description="The practice ground's servers, up while a run needs them; nothing on real sources.")
    def ground(_: dg.InitResourceContext) -> Iterator[Ground]:
        with practice_ground(settings) as running:
            yield running

    @dg.resource(description="The restricted warehouse; one writer.")
    def warehouse(_: dg.InitResourceContext) -> Warehouse:
        return warehouse_of(settings)

    @dg.resource(description="Where received payloads are kept, content-addressed.")
    def landing(_: dg.InitResourceContext) -> Landing:
        return Landing(settings.state_folder / "landing")

    @dg.resource(description="Great Expectations on the live connection.")
    def scales(_: dg.InitResourceContext) -> GreatExpectationsScales:
        return GreatExpectationsScales()

    @dg.resource(required_resource_keys={"ground", "warehouse"}, description="System time of this refresh.")
    def refresh(context: dg.InitResourceContext) -> Refresh:
        return refresh_of(settings, context.resources.ground, context.resources.warehouse)

    @dg.resource(description="Keyed hash of identifiers.")
    def pseudonymiser(_: dg.InitResourceContext) -> Pseudonymiser:
        return Pseudonymiser(settings.pseudonym_key(), settings.pseudonym.key_id)

    @dg.resource(required_resource_keys={"ground"}, description="The DHIS2 servers named in the settings.")
    def dhis2_servers(context: dg.InitResourceContext) -> dict[str, Dhis2Server]:
        return servers_from_settings(
            settings.dhis2, context.resources.ground.urls or {}, settings.credential, is_practice=settings.practice
        )

    def inbox_resource(source: FileSource, description: str) -> dg.ResourceDefinition:
        # The ground fills the practice inboxes, so it comes first.
        @dg.resource(required_resource_keys={"ground"}, description=description)
        def inbox(_: dg.InitResourceContext) -> Inbox:
            return Inbox(settings.inbox(source), source.urls, settings.credential(source.credential_env))

        return inbox

    @dg.resource(description="The folder of releases.")
    def shelf(_: dg.InitResourceContext) -> ReleaseShelf:
        return shelf_of(settings)

    return {
        "ground": ground,
        "warehouse": warehouse,
        "landing": landing,
        "scales": scales,
        "refresh": refresh,
        "pseudonymiser": pseudonymiser,
        "dhis2_servers": dhis2_servers,
        "labour_inbox": inbox_resource(settings.labour, "Where labour bulletins and registers arrive."),
        "survey_inbox": inbox_resource(settings.survey, "Where survey extracts arrive."),
        "programme_inbox": inbox_resource(settings.programme, "Where programme registers arrive."),
        "shelf": shelf,
    }


def settings_in_force() -> Settings:
    """The settings, read when asked for."""
    return load_settings()
