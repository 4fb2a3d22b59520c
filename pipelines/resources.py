"""Settings -> plain objects, handed to assets as Dagster resources. Dagster stays at this rim: every object works without it.

Belongs here: how each object is built. Does not belong here: what the objects do.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.dhis2.sources import Dhis2Server, servers_from_settings
from assets.inbox import Inbox
from assets.reference.fetch import ReferenceServices
from expectations.scales import GreatExpectationsScales
from methods.pseudonym import Pseudonymiser
from pipelines.erasure import erase_again, pseudonymiser_of
from pipelines.practice_ground import Ground, practice_ground
from pipelines.privacy import keep_private
from pipelines.rotation import require_one_key
from pipelines.run_tags import Purpose, purpose_of
from pipelines.settings import FileSource, Settings, load_settings
from warehouse.catalogue.correction_ledger import load_corrections
from warehouse.clock import FixedClock, Refresh, WallClock, next_recorded_at
from warehouse.landing import Landing
from warehouse.locks import held
from warehouse.publishing.shelf import ReleaseShelf
from warehouse.store import Warehouse
from warehouse.victims import SOURCE as VICTIMS
from warehouse.victims import victims_landing

log = logging.getLogger(__name__)

RUN_PATIENCE_SECONDS = 3600.0
"""How long a run waits for another that has the store or the same source: longer than any load, shorter than a morning."""


def warehouse_of(settings: Settings, *, patience_seconds: float = 0.0) -> Warehouse:
    """The restricted warehouse of an installation; `patience_seconds` is how long to wait for another process."""
    return Warehouse(
        settings.state_folder / "warehouse.duckdb",
        patience_seconds=patience_seconds,
        corrections=load_corrections(settings.corrections_folders),
        memory_mb=settings.warehouse.memory_mb,
        most_memory_mb=settings.warehouse.most_memory_mb,
    )


def landing_of(settings: Settings, source_code: str) -> Landing:
    """Where what a source sends is kept as received: victim support apart from all others."""
    if source_code == VICTIMS:
        return victims_landing(settings.state_folder)
    return Landing(settings.state_folder / "landing")


def shelf_of(settings: Settings) -> ReleaseShelf:
    """The folder of releases of an installation."""
    return ReleaseShelf(settings.state_folder / "release")


def refresh_of(settings: Settings, ground: Ground, warehouse: Warehouse, purpose: Purpose | None = None) -> Refresh:
    """The instant of a new refresh (the wall clock, or the practice ground's simulated one), and what it is for."""
    clock = FixedClock(ground.instant) if ground.instant else WallClock()
    now = clock.now()
    purpose = purpose or Purpose()
    return Refresh(
        next_recorded_at(now, warehouse.last_refresh_at(), shelf_of(settings).last_event_at),
        now,
        settings.practice,
        is_full=purpose.is_full,
        since=purpose.since,
        alone=purpose.is_alone,
        missing=purpose.missing,
    )


def _purpose(context: dg.InitResourceContext) -> Purpose:
    return purpose_of(context.run.tags) if context.run else Purpose()


def _sources_of_run(context: dg.InitResourceContext, sources: Sequence[str]) -> list[str]:
    """The sources that a run pulls or loads: as its tags say; of a backfill, those whose partitions were chosen; else all."""
    chosen = context.run.asset_selection if context.run else None
    if chosen and all(key.path[0] == "backfill" for key in chosen):
        return sorted({key.path[1] for key in chosen})
    return [source for source in sources if _purpose(context).concerns(source)]


@contextmanager
def source_locks(settings: Settings, sources: Iterable[str], holder: str) -> Iterator[None]:
    """Nobody else pulls or loads these sources while the block runs: two processes would write into one another's pages.

    Waits for a run of the same source that has begun. Raises LockHeld when it does not end within an hour.
    """
    with ExitStack() as stack:
        for source in sorted(sources):
            stack.enter_context(
                held(
                    settings.state_folder / "locks" / f"{source}.lock",
                    f"source {source}",
                    holder,
                    patience_seconds=RUN_PATIENCE_SECONDS,
                    waiting=lambda who, source=source: log.info("%s: waiting for %s", source, who),  # type: ignore[misc]
                )
            )
        yield


def build_resources(settings: Settings, sources: Sequence[str] = ()) -> dict[str, Any]:
    """Every resource by the name that assets ask for. Nothing is opened or started until a run needs it.

    `sources`: the source instances of the river; a run that is for all of them holds the lock of each.
    """

    @dg.resource(description="The practice ground's servers, up while a run needs them; nothing on real sources.")
    def ground(_: dg.InitResourceContext) -> Iterator[Ground]:
        with practice_ground(settings) as running:
            yield running

    @dg.resource(description="The restricted warehouse; one writer.")
    def warehouse(_: dg.InitResourceContext) -> Warehouse:
        keep_private(settings)
        store = warehouse_of(settings, patience_seconds=RUN_PATIENCE_SECONDS)
        # An older state may have been put back by hand: whoever was erased since is erased again before anything is read.
        erase_again(settings, store, datetime.now(UTC))
        return store

    @dg.resource(description="Where received payloads are kept, content-addressed; one run at a time for each source.")
    def landing(context: dg.InitResourceContext) -> Iterator[Landing]:
        concerned = _sources_of_run(context, sources)
        holder = f"run {(context.run_id or 'without id')[:8]}, process {os.getpid()}"
        with source_locks(settings, concerned, holder):
            yield Landing(settings.state_folder / "landing")

    @dg.resource(description="Great Expectations on the live connection.")
    def scales(_: dg.InitResourceContext) -> GreatExpectationsScales:
        return GreatExpectationsScales()

    @dg.resource(required_resource_keys={"ground", "warehouse"}, description="System time of this refresh.")
    def refresh(context: dg.InitResourceContext) -> Refresh:
        return refresh_of(settings, context.resources.ground, context.resources.warehouse, _purpose(context))

    @dg.resource(description="Keyed hash of identifiers.")
    def pseudonymiser(_: dg.InitResourceContext) -> Pseudonymiser:
        require_one_key(settings, warehouse_of(settings, patience_seconds=RUN_PATIENCE_SECONDS))
        return pseudonymiser_of(settings)

    @dg.resource(required_resource_keys={"ground"}, description="The DHIS2 servers named in the settings.")
    def dhis2_servers(context: dg.InitResourceContext) -> dict[str, Dhis2Server]:
        purpose = _purpose(context)
        servers = servers_from_settings(
            settings.dhis2, context.resources.ground.urls or {}, settings.credential, is_practice=settings.practice
        )
        return {code: server for code, server in servers.items() if purpose.concerns(server.source_code)}

    def inbox_resource(source: FileSource, description: str) -> dg.ResourceDefinition:
        # The ground fills the practice inboxes, so it comes first.
        @dg.resource(required_resource_keys={"ground"}, description=description)
        def inbox(_: dg.InitResourceContext) -> Inbox:
            return Inbox(settings.inbox(source), source.urls, settings.credential(source.credential_env))

        return inbox

    @dg.resource(required_resource_keys={"ground"}, description="Public services and the inbox of reference series.")
    def reference_services(_: dg.InitResourceContext) -> ReferenceServices:
        wanted = settings.reference
        folder = settings.inbox(wanted)
        addresses = Inbox(folder, wanted.urls, settings.credential(wanted.credential_env))
        return ReferenceServices(folder, wanted.services, wanted.base_urls, addresses)

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
        "victims_inbox": inbox_resource(settings.victims, "Where registers of victim support arrive."),
        "reference_services": reference_services,
        "shelf": shelf,
    }


def settings_in_force() -> Settings:
    """The settings, read when asked for."""
    return load_settings()
