"""The release layer: observations protected under the policy, weighed, and published when a figure moved.

Belongs here: the order - protect, weigh, keep, publish. Does not belong here: disclosure arithmetic, file formats.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.declare import check_results, check_specs, one_opening, selected, table_key, table_spec
from assets.reference.read import source_cards
from warehouse.catalogue.disclosure import load_policy
from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.catalogue.table_catalogue import Table, tables
from warehouse.clock import Refresh, next_recorded_at
from warehouse.evidence import TABLE as EVIDENCE
from warehouse.evidence import evidence_at, gather_evidence
from warehouse.inputs_digest import PART, computed_from, inputs_digest
from warehouse.load import transaction
from warehouse.publishing.claims import claims_at
from warehouse.publishing.content import ReleaseContext, Source
from warehouse.publishing.inputs import (
    area_links,
    causes_between,
    earlier_releases,
    observations_at,
    other_denominators,
    reference_editions,
    release_areas,
    release_receipts,
)
from warehouse.publishing.quality_summary import quality_at
from warehouse.publishing.registers import register_tables, release_registers
from warehouse.publishing.release import Draft, ReleaseResult, current_release, publish_draft, published_frames
from warehouse.publishing.release_catalogue import release_catalogue
from warehouse.publishing.sampling_errors import sampling_errors_at
from warehouse.publishing.shelf import ReleaseShelf
from warehouse.quality import Scales
from warehouse.store import Warehouse, code_version

PRACTICE_SOURCES = ("dhis2", "survey", "programme")
"""Sources that are made up on the practice ground; bulletins and reference series are real there too."""

REVIEW = ("core.quality_finding", "core.quality_measure", "core.validation_rule")


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The assets `release/observation` and `release/regional_cell`, and with them the folder `release/<id>/`."""
    made = [tables()["release.observation"], tables()["release.regional_cell"]]

    @dg.multi_asset(
        can_subset=True,
        name="publish_release",
        specs=[
            # The review comes first: a release shows the state of the data that it was made from.
            table_spec(made[0], [table_key(name) for name in ("indicator.observation", *REVIEW)]),
            table_spec(made[1], [table_key("release.observation")]),
        ],
        check_specs=check_specs(made, scales),
    )
    @one_opening
    def publish(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        shelf: dg.ResourceParam[ReleaseShelf],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        digest = inputs_digest(
            warehouse,
            [
                "indicator.observation",
                "estimate.survey_estimate",
                "core.area",
                "core.reference_value",
                *(table.name for table in register_tables()),
            ],
        )
        # A source refreshed alone in a new store: nothing it brought can become a figure.
        has_areas = warehouse.row_counts(["core.area"]).get("core.area", 0) > 0
        current = current_release(shelf.folder)
        if current is not None and computed_from(warehouse, "release") == f"{digest} {current.name}":
            result = ReleaseResult(current.name, current, False, None)
            counts = warehouse.row_counts(table.name for table in made)
            yield from selected(context, _results(made, counts, result, refresh.missing, has_areas))
            return
        from warehouse.publishing.protection import (
            protect,  # brings the solver: seconds that an unchanged release saves
        )

        # Another run may have published since this one began.
        wanted = next_recorded_at(refresh.recorded_at, shelf.last_event_at)
        with warehouse.showing_victims(), transaction(warehouse, "release", wanted) as load:
            at = load.recorded_at
            protected = protect(
                observations_at(load.connection, at),
                load_policy(),
                areas=area_links(load.connection, at),
                earlier=earlier_releases(load.connection, published_frames(shelf.folder)),
            )
            context.log.info(
                "%s observations, %s hidden, %s audited", protected.frame.height,
                protected.frame.filter(pl.col("obs_status") == "Q").height, protected.audit.height,
            )  # fmt: skip
            catalogue = release_catalogue(
                release_areas(load.connection, at),
                reference_sources=[
                    Source(is_practice=False, **card) for card in source_cards(reference_editions(load.connection, at))
                ],
                practice_sources=PRACTICE_SOURCES if refresh.is_practice else (),
            )
            draft = Draft(protected, catalogue)
            cells = draft.regional.cells
            for table, frame in zip(made, (protected.frame, cells), strict=True):
                load.replace_rows(table.name, frame)
                load.weigh(table.name, scales)
            used = protected.frame["receipt_ids"].explode().drop_nulls().unique()
            receipts = release_receipts(load.connection, used)
            errors = sampling_errors_at(load.connection, at, protected.frame)
            others = other_denominators(load.connection, at)
            registers = release_registers(load.connection, at)
            load.load_frame(
                EVIDENCE, gather_evidence(load.connection, indicator_catalogue(), load_policy()), mode="snapshot"
            )
            release_context = ReleaseContext(
                at, code_version(), receipts, errors, others, registers=registers,
                quality=quality_at(load.connection, at),
                claims=claims_at(load.connection, at, protected.frame, registers),
                evidence=evidence_at(load.connection, at),
            )  # fmt: skip
            last = current_release(shelf.folder)
            causes = causes_between(load.connection, last.name if last else None, at)
            result = publish_draft(draft, release_context, shelf.folder, causes)
            load.report.released = result.is_new
            load.report.remembered = True
            load.mark("release", PART, f"{digest} {result.release_id}")
        counts = {made[0].name: protected.frame.height, made[1].name: cells.height}
        yield from selected(
            context,
            [
                *_results(made, counts, result, refresh.missing, has_areas),
                *check_results(load.report.outcomes, made, scales),
            ],
        )

    return [publish]


def _results(
    made: Sequence[Table], counts: Mapping[str, int], result: ReleaseResult, missing: str | None, has_areas: bool
) -> list[dg.MaterializeResult]:  # type: ignore[type-arg]  # Dagster reads the bare name
    """The materialisations of the two tables, with where the release is and which sources it does without."""
    metadata = {
        "mhwg/release_id": result.release_id,
        "mhwg/release_state": "published" if result.is_new else "unchanged",
        "mhwg/release_folder": dg.MetadataValue.path(str(result.folder)),
        "hidden_cells": result.cells_hidden,
        "new_cells": result.cells_new,
        "revised_cells": result.cells_revised,
        "problems": list(result.problems),
        **({"mhwg/partial": missing} if missing else {}),
        **({} if has_areas else {"mhwg/has_no_areas": True}),
    }
    return [
        dg.MaterializeResult(
            asset_key=table_key(table.name),
            metadata={"dagster/row_count": counts[table.name], **(metadata if number == 0 else {})},
            data_version=dg.DataVersion(result.release_id),
        )
        for number, table in enumerate(made)
    ]
