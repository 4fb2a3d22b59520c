"""Surveys in Dagster: landing, the load of harmonised persons, and the design-based estimates.

Belongs here: declaring. Does not belong here: reading files, recoding, estimation.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.declare import (
    backfill_step,
    check_specs,
    landing_key,
    last_good,
    load_results,
    load_step,
    loaded_tables,
    one_opening,
    records_of,
    selected,
    table_key,
    table_spec,
)
from assets.fetch import bring
from assets.inbox import Inbox
from assets.loading import Batch, TableLoad, derive_table, known_receipts, loaded_receipt_ids
from assets.survey.declarations import load_designs, load_measures, load_recodes
from assets.survey.estimate import estimate_frame
from assets.survey.inbox import landed_digests, pull_inbox
from assets.survey.payload import stage_frames
from assets.survey.pools import load_pools
from assets.survey.questions import missing_rates
from warehouse.catalogue.table_catalogue import tables
from warehouse.clock import Refresh
from warehouse.currency import official_rates
from warehouse.landing import Landing, Receipt
from warehouse.quality import Scales
from warehouse.retention import standing_figures
from warehouse.store import Warehouse, fetch_frame

log = logging.getLogger(__name__)

SOURCE = "survey"
ESTIMATES = "estimate.survey_estimate"
LOADS = ("core.survey_wave", "core.survey_person", "core.survey_finding")
ESTIMATED_FROM = (*LOADS, "core.reference_value", "core.country")
"""Official exchange rates serve amounts for whose currency a design declares none."""


def batches(landing: Landing) -> Callable[[Sequence[Receipt]], Iterable[Batch]]:
    """One batch per wave: a wave sent again replaces itself and nothing else."""

    def of_pull(receipts: Sequence[Receipt]) -> Iterable[Batch]:
        recodes, designs = load_recodes(), load_designs()
        for receipt in receipts:
            scope = {
                "survey_code": str(receipt.parameters["survey_code"]),
                "wave_code": str(receipt.parameters["wave_code"]),
            }
            loads = tuple(TableLoad(table, "snapshot", scope) for table in LOADS)
            frames = stage_frames([receipt], landing, recodes, designs)
            yield Batch((receipt,), scope, frames, loads, dict.fromkeys(frames, (scope,)))

    return of_pull


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `landing/survey`, the tables of group survey, and `estimate/survey_estimate`."""
    loaded = loaded_tables(SOURCE)
    estimates = tables()["estimate.survey_estimate"]

    @dg.asset(
        key=landing_key(SOURCE),
        group_name="landing",
        kinds={"spss", "stata", "file"},
        owners=["team:mhwg-data"],
        tags={"layer": "landing", "source": SOURCE},
        description="Survey extracts as raw codes with their labels, without the variables that identify people.",
        check_specs=[
            dg.AssetCheckSpec(
                "pulled",
                asset=landing_key(SOURCE),
                description="Every address answered and every wave in the inbox could be landed; the others go on when one cannot.",
            )
        ],
    )
    def land_survey(
        context: dg.AssetExecutionContext,
        survey_inbox: dg.ResourceParam[Inbox],
        warehouse: dg.ResourceParam[Warehouse],
        landing: dg.ResourceParam[Landing],
        refresh: dg.ResourceParam[Refresh],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
        def pull_factory(part: str) -> Any:
            return landing.pull(SOURCE, part, refresh.as_at, is_practice=refresh.is_practice)

        known = known_receipts(warehouse, landing, SOURCE)
        unread = bring(SOURCE, survey_inbox)
        pulled = pull_inbox(survey_inbox.folder, pull_factory, landed_digests(known), load_recodes())
        pulled.faults[:0] = unread
        landing.note_pull(pulled.receipts, refresh.as_at)
        context.log.info(
            "survey: %s new waves, %s known, %s faults", len(pulled.receipts), len(pulled.known), len(pulled.faults)
        )
        metadata: dict[str, Any] = {
            "dagster/row_count": records_of(pulled.receipts),
            "new_waves": len(pulled.receipts),
            "known_waves": len(pulled.known),
        }
        if pulled.faults:
            metadata |= {"mhwg/fault": " | ".join(pulled.faults), "mhwg/fault_source": SOURCE}
        check = dg.AssetCheckResult(check_name="pulled", passed=not pulled.faults, metadata={"faults": pulled.faults})
        result: dg.MaterializeResult[None] = dg.MaterializeResult(metadata=metadata, check_results=[check])
        return last_good(context, result) if unread else result

    @dg.multi_asset(
        can_subset=True,
        name="estimate_surveys",
        specs=[table_spec(estimates, [table_key(name) for name in ESTIMATED_FROM])],
        check_specs=check_specs([estimates], scales),
    )
    @one_opening
    def estimate_surveys(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        report = derive_table(
            warehouse,
            scales,
            "estimate",
            refresh.recorded_at,
            estimates.name,
            estimate_current_people,
            inputs=ESTIMATED_FROM,
        )
        yield from selected(
            context, load_results([estimates], [report], warehouse.row_counts([estimates.name]), scales)
        )

    waves = backfill_step(
        SOURCE,
        dg.StaticPartitionsDefinition(sorted(recode.part_code for recode in load_recodes().values())),
        "Landed survey waves are coded again: after a recode or design was mended.",
        code_waves_again,
    )
    return [land_survey, load_step(SOURCE, loaded, scales, batches), estimate_surveys, waves]


def code_waves_again(
    waves: Sequence[str], landing: Landing, warehouse: Warehouse, refresh: Refresh, _: Any
) -> Callable[[Sequence[Receipt]], Iterable[Batch]]:
    """The loaded files of these waves wait to be coded again."""
    loaded = loaded_receipt_ids(warehouse, SOURCE)
    landing.note_again(
        SOURCE,
        {
            receipt.receipt_id
            for receipt in landing.receipts(SOURCE)
            if receipt.receipt_id in loaded and receipt.part_code in set(waves)
        },
    )
    return batches(landing)


def estimate_current_people(connection: Any) -> pl.DataFrame:
    """Every declared estimate, pooled ones included, from the current persons of all waves. Amounts in other currencies are converted at
    the rate that the wave's design declares, else at the official rate of the survey year, else not at all."""
    people = fetch_frame(
        connection, "select * from core.survey_person_current order by survey_code, wave_code, person_number"
    )
    rates = official_rates(connection)
    designs = {key: design.with_rates(rates) for key, design in load_designs().items()}
    measures = load_measures()
    for sentence in missing_rates(people, designs):
        log.warning("%s", sentence)
    estimates = estimate_frame(people, designs, measures, pools=load_pools(designs, measures))
    known = fetch_frame(connection, f"select distinct measure_code from {ESTIMATES}_current")["measure_code"]
    resting = {code: [ESTIMATES] for code in {*estimates["measure_code"], *known}}
    return standing_figures(connection, ESTIMATES, estimates, resting)
